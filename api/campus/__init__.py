"""Seed 002's surface: the campus shop."""
