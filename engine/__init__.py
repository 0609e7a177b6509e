"""Inbox, turns, outbox, settings, and the composition root."""
