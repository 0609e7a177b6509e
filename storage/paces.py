"""How often something may be sent to one place, over all processes: a sliding log of when it was.

It is kept in the table of reply windows, which says the same of customers.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from storage.statements import Statement

_FIND = Statement("SELECT spent FROM reply_windows WHERE channel = :channel AND account = ''")
_STORE = Statement(
    """
    INSERT INTO reply_windows (channel, account, sender_id, opened_ts, expires_ts, allowed, spent,
        state)
    VALUES (:channel, '', '', :now, :expires, :allowed, :after, '')
    ON CONFLICT (channel, account, sender_id) DO UPDATE SET expires_ts = excluded.expires_ts,
        allowed = excluded.allowed, spent = excluded.spent WHERE reply_windows.spent = :before
    """
)
_TRIES = 20


class Pace(NamedTuple):
    """At most ``most`` within ``seconds``."""

    most: int
    seconds: float


def take(
    connection: Connection, place: str, paces: Sequence[Pace], *, now: float, tries: int = _TRIES
) -> float:
    """0.0: it is noted that something is sent to ``place`` now. Else how many seconds to wait."""
    longest = max(pace.seconds for pace in paces)
    for _ in range(tries):
        row = _FIND.first(connection, {"channel": place})
        before = str(row[0]) if row else ""
        # What lies ahead was noted before the clock was set back.
        sent = [at for at in json.loads(before or "[]") if now - longest < at <= now]
        wait = max(_wait(sent, pace, now) for pace in paces)
        if wait > 0:
            return wait
        values = {
            "channel": place,
            "now": now,
            "expires": now + longest,
            "allowed": max(pace.most for pace in paces),
            "after": json.dumps([*sent, now]),
            "before": before,
        }
        if _STORE.run(connection, values):
            return 0.0
    return longest


def _wait(sent: Sequence[float], pace: Pace, now: float) -> float:
    if len(sent) < pace.most:
        return 0.0
    return max(0.0, sent[-pace.most] + pace.seconds - now)
