"""How the whole deployment stands at this moment: what waits, since when, and who is there."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.clock import iso
from storage.handoffs import DESK
from storage.statements import Statement

ACTIVE_S, IDLE_S, DORMANT_S = 300.0, 900.0, 1_800.0
"""Seed 003: seconds since the last message until which a session is called so."""
_WINDOWS_READ = 5_000
_PUT_OFF_S = 900.0
"""What is postponed for longer waits for something else, such as the customer's next word."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Ages in seconds, 0 where nothing waits; ``outbox_age`` leaves out what is put off on purpose.
    ``parked``: messages whose turn was given up; ``dead``: deliveries that were. ``active``,
    ``idle`` and ``dormant``: sessions by their life."""

    conversations: int
    queue_age: float
    pending: int
    outbox_age: float
    dead: int
    parked: int
    waiting: int
    wait_age: float
    with_people: int
    active: int
    idle: int
    dormant: int
    clients_online: int
    clients_offline: int

    @property
    def letters(self) -> int:
        return self.dead + self.parked


_NOW = Statement(
    """
    SELECT (SELECT COUNT(*) FROM conversations WHERE due_at IS NOT NULL),
        (SELECT MIN(first_unread_ts) FROM conversations WHERE due_at IS NOT NULL),
        (SELECT COUNT(*) FROM outbox WHERE status = 'pending'),
        (SELECT MIN(o.created_at) FROM outbox o WHERE o.status = 'pending' AND NOT EXISTS (
            SELECT 1 FROM outbox e WHERE e.status = 'pending' AND e.queue = o.queue
                AND e.id <= o.id AND e.next_attempt_at > :far)),
        (SELECT COUNT(*) FROM outbox WHERE status = 'dead'),
        (SELECT COUNT(*) FROM dead_letters WHERE status = 'parked'),
        (SELECT COUNT(*) FROM handoffs WHERE status = 'open' AND target = :desk),
        (SELECT MIN(waiting_since_ts) FROM handoffs WHERE status = 'open' AND target = :desk),
        (SELECT COUNT(*) FROM handoffs WHERE status = 'taken')
    """
)
_SESSIONS = Statement(
    """
    SELECT SUM(CASE WHEN last_active_at > :active THEN 1 ELSE 0 END),
        SUM(CASE WHEN last_active_at <= :active AND last_active_at > :idle THEN 1 ELSE 0 END),
        SUM(CASE WHEN last_active_at <= :idle THEN 1 ELSE 0 END)
    FROM sessions WHERE last_active_at > :dormant
    """
)
_WINDOWS = Statement(
    "SELECT channel, allowed, spent FROM reply_windows WHERE expires_ts > :now"
    " ORDER BY expires_ts DESC LIMIT :limit"
)
_CLIENTS = Statement(
    """
    SELECT SUM(CASE WHEN h.offline_ts IS NULL THEN 1 ELSE 0 END),
        SUM(CASE WHEN h.offline_ts IS NOT NULL THEN 1 ELSE 0 END)
    FROM heartbeats h JOIN clients k ON k.agent_id = h.agent_id WHERE k.enabled
    """
)


def read(connection: Connection, *, now: float) -> Standing:
    row = _NOW.all(connection, {"desk": DESK, "far": now + _PUT_OFF_S})[0]
    sessions = _SESSIONS.all(
        connection,
        {
            "active": iso(now - ACTIVE_S),
            "idle": iso(now - IDLE_S),
            "dormant": iso(now - DORMANT_S),
        },
    )[0]
    clients = _CLIENTS.all(connection, {})[0]
    oldest = datetime.fromisoformat(row[3]).timestamp() if row[3] else None
    return Standing(
        conversations=row[0],
        queue_age=_age(row[1], now),
        pending=row[2],
        outbox_age=_age(oldest, now),
        dead=row[4],
        parked=row[5],
        waiting=row[6],
        wait_age=_age(row[7], now),
        with_people=row[8],
        active=sessions[0] or 0,
        idle=sessions[1] or 0,
        dormant=sessions[2] or 0,
        clients_online=clients[0] or 0,
        clients_offline=clients[1] or 0,
    )


def active_sessions(connection: Connection, *, now: float) -> int:
    values = {"active": iso(now - ACTIVE_S), "idle": iso(now - IDLE_S)}
    row = _SESSIONS.all(connection, values | {"dormant": iso(now - DORMANT_S)})[0]
    return row[0] or 0


def replies_left(connection: Connection, *, now: float) -> dict[tuple[str, int], int]:
    """How many customers of a channel with quotas may be sent how many messages until they write
    again: of the 5,000 whose windows stay open longest."""
    found: Counter[tuple[str, int]] = Counter()
    for channel, allowed, spent in _WINDOWS.all(connection, {"now": now, "limit": _WINDOWS_READ}):
        found[channel, max(0, allowed - _spent(spent))] += 1
    return dict(found)


def _spent(stored: str) -> int:
    """A list of ids, or what `storage.kf_windows` keeps."""
    spent = json.loads(stored)
    if isinstance(spent, dict):
        return len(spent.get("sent", ())) + len(spent.get("unsure", ()))
    return len(spent)


def _age(since: float | None, now: float) -> float:
    return max(0.0, now - since) if since else 0.0
