"""Guesses at keys, counted in rows: every process sees the same, and none keeps them in memory.

An attempt counts as wrong before it is looked at, so that attempts that come at once are no more
than as many one after another; the right key takes that back.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from domain.clients import Throttle
from storage.statements import Statement

MAX_ROWS = 10_000
"""Whoever invents names and addresses fills no disk: the oldest go."""
_NEXT = Statement("SELECT next_ts FROM sign_in_failures WHERE key = :key AND next_ts > :now")
_COUNT = Statement(
    """
    INSERT INTO sign_in_failures (key, failures, next_ts, seen_ts)
    VALUES (:key, 1, CASE WHEN :free <= 1 THEN :now + :wait ELSE 0.0 END, :now)
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN sign_in_failures.seen_ts < :stale THEN 1
            ELSE sign_in_failures.failures + 1 END,
        next_ts = CASE WHEN sign_in_failures.seen_ts >= :stale
            AND sign_in_failures.failures + 1 >= :free THEN :now + :wait ELSE 0.0 END,
        seen_ts = :now
    WHERE sign_in_failures.next_ts <= :now
    RETURNING failures
    """
)
_FORGET = Statement("DELETE FROM sign_in_failures WHERE key = :key")


def attempt(connection: Connection, limits: Mapping[str, Throttle], *, now: float) -> float:
    """Count an attempt for each key of ``limits``; returns the seconds to wait where none may be
    made, and nothing is counted then."""
    waits = [_wait(connection, key, now) for key in limits]
    if any(waits):
        return max(waits)
    for key, limit in sorted(limits.items()):
        values = {"key": key, "now": now, "free": limit.free, "wait": limit.wait_s}
        if _COUNT.first(connection, values | {"stale": now - limit.forget_s}) is None:
            return _wait(connection, key, now) or limit.wait_s
    return 0.0


def _wait(connection: Connection, key: str, now: float) -> float:
    row = _NEXT.first(connection, {"key": key, "now": now})
    return float(row[0]) - now if row is not None else 0.0


def was_right(connection: Connection, keys: Sequence[str]) -> None:
    for key in sorted(keys):
        _FORGET.run(connection, {"key": key})


def prune(connection: Connection, *, before: float, keep: int = MAX_ROWS) -> int:
    """Forget what was tried before; returns how many rows went."""
    old = connection.execute(
        text("DELETE FROM sign_in_failures WHERE seen_ts < :before"), {"before": before}
    ).rowcount
    many = connection.execute(
        text(
            "DELETE FROM sign_in_failures WHERE key IN (SELECT key FROM sign_in_failures"
            " ORDER BY seen_ts DESC, key LIMIT 1000000 OFFSET :keep)"
        ),
        {"keep": keep},
    ).rowcount
    return old + many
