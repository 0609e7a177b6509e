"""Callbacks that were taken: one that comes again is not served anew."""

from sqlalchemy import Connection

from storage.statements import Statement

_SEEN = Statement(
    "INSERT INTO callbacks_seen (key, at_ts) VALUES (:key, :now)"
    " ON CONFLICT (key) DO NOTHING RETURNING key"
)
_KNOWN = Statement("SELECT 1 FROM callbacks_seen WHERE key = :key")
_FORGET = Statement("DELETE FROM callbacks_seen WHERE at_ts < :before")


def first_time(connection: Connection, key: str, *, now: float) -> bool:
    return _SEEN.first(connection, {"key": key, "now": now}) is not None


def is_known(connection: Connection, key: str) -> bool:
    return _KNOWN.first(connection, {"key": key}) is not None


def forget(connection: Connection, *, before: float) -> int:
    """How many were too old to come again."""
    return _FORGET.run(connection, {"before": before})
