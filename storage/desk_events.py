"""What happens at the desk, for whoever looks on: rows of the transaction that they tell of.

Numbers are given before a commit, so that on PostgreSQL a smaller one may come to light after a
larger one. `after` stops at such a gap and says so; whoever reads looks again, and passes the gap
when every transaction of that moment has ended (it was rolled back, then).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from domain.desk import EventKind
from storage.statements import Statement

TEXT_CHARS = 200
"""Of a message that an event carries."""
_TELL = Statement(
    """
    INSERT INTO desk_events (at_ts, kind, conversation_id, channel, account, agent, data)
    SELECT :at, :kind, id, channel, account, :agent, :data FROM conversations WHERE id = :id
    """
)
_TELL_OF_AGENT = Statement(
    "INSERT INTO desk_events (at_ts, kind, conversation_id, channel, account, agent, data)"
    " VALUES (:at, :kind, '', '', '', :agent, :data)"
)
_AFTER = Statement(
    "SELECT id, at_ts, kind, conversation_id, channel, account, agent, data FROM desk_events"
    " WHERE id > :after ORDER BY id LIMIT :limit"
)
_NEWEST = Statement("SELECT COALESCE(MAX(id), 0) FROM desk_events")
# The newest one stays, so that SQLite gives no number twice.
_PRUNE = Statement(
    "DELETE FROM desk_events WHERE at_ts < :before AND id < (SELECT MAX(id) FROM desk_events)"
)
_STILL_OPEN = Statement("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
_BEGUN = Statement("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")


@dataclass(frozen=True, slots=True)
class DeskEventRow:
    """``conversation_id``, ``channel`` and ``account`` are empty for PRESENCE, which is about
    ``agent``. ``agent``: who did it; empty: the customer, the bot or the clock.

    ``data`` by kind. queued: reason, priority, question. assigned: agent, sticky. taken: from, the
    agent before. transferred: from, to ("" is the queue), skill, why, note. message: message (row
    id), role, text (its first 200 characters). draft: draft, status. note: note. resolved: outcome,
    why, handoff. reopened: handoff. rating: rating, handoff. presence: status, scopes (the
    agent's). mode: mode. overdue: agent, times.
    """

    id: int
    at_ts: float
    kind: str
    conversation_id: str
    channel: str
    account: str
    agent: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventPage:
    """``events`` up to a gap, if there is one; ``gap``: the transactions (PostgreSQL's number) that
    have to end before it may be passed."""

    events: tuple[DeskEventRow, ...]
    gap: int | None = None


def tell(
    connection: Connection,
    kind: EventKind,
    conversation: str,
    *,
    now: float,
    agent: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    _TELL.run(
        connection,
        {
            "at": now,
            "kind": kind.value,
            "id": conversation,
            "agent": agent,
            "data": json.dumps(data or {}, ensure_ascii=False),
        },
    )


def tell_message(
    connection: Connection,
    conversation: str,
    *,
    now: float,
    role: str,
    text: str,
    message: int = 0,
    agent: str = "",
) -> None:
    """A message of the talk; ``role``: user, assistant or staff."""
    data = {"message": message, "role": role, "text": text[:TEXT_CHARS]}
    tell(connection, EventKind.MESSAGE, conversation, now=now, agent=agent, data=data)


def tell_presence(
    connection: Connection, agent: str, status: str, *, scopes: Sequence[str], now: float
) -> None:
    data = json.dumps({"status": status, "scopes": list(scopes)}, ensure_ascii=False)
    values = {"at": now, "kind": EventKind.PRESENCE.value, "agent": agent, "data": data}
    _TELL_OF_AGENT.run(connection, values)


def after(
    connection: Connection, last: int, *, limit: int = 200, passed: int | None = None
) -> EventPage:
    """Events after number ``last``, oldest first. ``passed``: the ``gap`` of an earlier page: gaps
    are passed where its transactions have ended."""
    ended = connection.dialect.name != "postgresql" or _has_ended(connection, passed)
    rows = _AFTER.all(connection, {"after": last, "limit": limit})
    events = tuple(_event(*row) for row in rows)
    if ended:
        return EventPage(events)
    whole = _without_gap(events, last)
    return EventPage(whole, _begun(connection) if len(whole) < len(events) else None)


def _event(number: int, at_ts: float, kind: str, *rest: str) -> DeskEventRow:
    conversation, channel, account, agent, data = rest
    return DeskEventRow(
        number, at_ts, kind, conversation, channel, account, agent, json.loads(data)
    )


def newest(connection: Connection) -> int:
    """The number of the newest event; 0 before the first."""
    row = _NEWEST.first(connection, {})
    assert row is not None
    return int(row[0])


def prune(connection: Connection, *, before: float) -> int:
    return _PRUNE.run(connection, {"before": before})


def _without_gap(events: tuple[DeskEventRow, ...], last: int) -> tuple[DeskEventRow, ...]:
    expected = last + 1
    for at, event in enumerate(events):
        if event.id != expected:
            return events[:at]
        expected += 1
    return events


def _has_ended(connection: Connection, passed: int | None) -> bool:
    if passed is None:
        return False
    row = _STILL_OPEN.first(connection, {})
    assert row is not None
    return int(row[0]) >= passed


def _begun(connection: Connection) -> int:
    row = _BEGUN.first(connection, {})
    assert row is not None
    return int(row[0])
