"""Scripted conversations: written, checked against the real graph, saved from a turn."""
