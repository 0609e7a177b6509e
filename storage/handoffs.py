"""Conversations that wait for a person: at most one open handoff each."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection

from domain.desk import EventKind
from storage import desk_events
from storage.statements import Statement

DESK = "desk"
"""``target`` of who waits to talk to a person; a designer's work is another."""
# Whoever had the customer last is asked first.
_OPEN = Statement(
    """
    INSERT INTO handoffs (conversation_id, contact_id, turn_id, reason, priority, target, question,
        status, created_at, updated_at, skill, waiting_since_ts, asked_ts, overdue, active_ts,
        moves, previous_agent, outcome, mood)
    VALUES (:conversation_id, :contact_id, :turn_id, :reason, :priority, :target, :question,
        'open', :at, :at, :skill, :now, :now, 0, :now, 0,
        COALESCE((SELECT agent FROM handoffs WHERE conversation_id = :whose
            AND agent IS NOT NULL ORDER BY id DESC LIMIT 1), ''), '', :mood)
    ON CONFLICT (conversation_id) WHERE status <> 'closed' DO NOTHING RETURNING id
    """
)
_AGAIN = Statement(
    "UPDATE handoffs SET updated_at = :at,"
    " priority = CASE WHEN :priority = 'high' THEN 'high' ELSE priority END,"
    " mood = CASE WHEN :mood = '' THEN mood ELSE :mood END"
    " WHERE conversation_id = :conversation_id AND status <> 'closed'"
)
_QUEUED = Statement("UPDATE conversations SET mode = 'queued' WHERE id = :id AND mode = 'bot'")

_WAITS = Statement(
    "SELECT reason, waiting_since_ts FROM handoffs"
    " WHERE conversation_id = :id AND status <> 'closed'"
)


@dataclass(frozen=True, slots=True)
class HandoffRow:
    """``skill``: of the agents it is for; empty: anybody. ``mood``: of the customer: empty,
    negative or strong."""

    reason: str
    priority: str
    target: str
    question: str
    skill: str = ""
    mood: str = ""


def open_handoff(
    connection: Connection,
    handoff: HandoffRow,
    *,
    conversation_id: str,
    contact_id: str,
    turn_id: str,
    at: str,
) -> None:
    """One that is open stays, at the higher priority of the two. Who is to talk to a person is
    queued from then on."""
    now = datetime.fromisoformat(at).timestamp()
    of = {"conversation_id": conversation_id, "contact_id": contact_id, "turn_id": turn_id}
    values = asdict(handoff) | of | {"at": at, "now": now, "whose": conversation_id}
    if _OPEN.first(connection, values) is None:
        _AGAIN.run(connection, values)
        return
    if handoff.target == DESK:
        _QUEUED.run(connection, {"id": conversation_id})
    told = {name: values[name] for name in ("reason", "priority", "question")}
    told["question"] = handoff.question[: desk_events.TEXT_CHARS]
    desk_events.tell(connection, EventKind.QUEUED, conversation_id, now=now, data=told)


def waits_for(connection: Connection, conversation_id: str) -> tuple[str, float] | None:
    """The reason of the hand-over that is not closed, and since when it waits."""
    row = _WAITS.first(connection, {"id": conversation_id})
    return (row[0], row[1]) if row is not None else None
