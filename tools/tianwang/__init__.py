"""Tianwang: the tasks it hands over, and the callbacks it gets back (seed 000)."""
