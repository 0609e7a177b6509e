"""Instants as rows carry them, for people to read."""

from datetime import datetime, tzinfo


def local(instant: str, zone: tzinfo) -> str:
    """ISO 8601 in ``zone`` with its offset, whole seconds, of a row's ISO 8601 text in UTC."""
    return datetime.fromisoformat(instant).astimezone(zone).isoformat(timespec="seconds")
