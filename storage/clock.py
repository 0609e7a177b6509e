"""Seconds since the epoch to the ISO 8601 text that rows carry."""

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """UTC, milliseconds; fixed width, so that text order is time order."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
