"""Channels that deliver messages to us and take answers as pushes."""
