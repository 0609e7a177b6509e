"""The agent console: pages under /desk, rendered here, kept live by server-sent events."""
