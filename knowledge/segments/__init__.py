"""Entries on disk, prepared for search: immutable segments, and the corpus that they make up."""
