"""Clients: signing in, heartbeats, and who administers them."""
