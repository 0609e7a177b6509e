"""Seed 000's surface: Tianwang hands over tasks and asks how they fare."""
