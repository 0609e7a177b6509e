"""Seed 003's surface: clients report messages and get {action, content, confidence}."""
