"""Conversations that wait for a person: at most one open handoff each."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from storage.statements import Statement

_OPEN = Statement(
    """
    INSERT INTO handoffs (conversation_id, contact_id, turn_id, reason, priority, target, question,
        status, created_at, updated_at)
    VALUES (:conversation_id, :contact_id, :turn_id, :reason, :priority, :target, :question,
        'open', :at, :at)
    ON CONFLICT (conversation_id) WHERE status <> 'closed' DO UPDATE SET
        updated_at = excluded.updated_at,
        priority = CASE WHEN excluded.priority = 'high' THEN 'high' ELSE handoffs.priority END
    """
)


@dataclass(frozen=True, slots=True)
class HandoffRow:
    reason: str
    priority: str
    target: str
    question: str


def open_handoff(
    connection: Connection,
    handoff: HandoffRow,
    *,
    conversation_id: str,
    contact_id: str,
    turn_id: str,
    at: str,
) -> None:
    """One that is open stays, at the higher priority of the two."""
    of = {"conversation_id": conversation_id, "contact_id": contact_id, "turn_id": turn_id}
    _OPEN.run(connection, asdict(handoff) | of | {"at": at})
