"""Quotes that wait for a person's word: one a conversation, decided once."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import InvalidInput, NotFound
from storage.audit import record
from storage.clock import iso
from storage.inbox_events import put_event
from storage.statements import Statement

EVENT = "approval"
_OPEN = Statement(
    """
    INSERT INTO approvals (conversation_id, turn_id, contact_id, quote, reasons, request, status,
        note, expires_ts, created_at)
    VALUES (:conversation_id, :turn_id, :contact_id, :quote, :reasons, :request, 'pending', '',
        :expires, :at)
    RETURNING id
    """
)
_SUPERSEDE = Statement(
    "UPDATE approvals SET status = 'superseded', decided_at = :at"
    " WHERE conversation_id = :conversation_id AND status = 'pending' RETURNING id"
)
_DECIDE = Statement(
    "UPDATE approvals SET status = :status, decided_by = :by, note = :note, quote = :quote,"
    " decided_at = :at WHERE id = :id AND status = 'pending' RETURNING conversation_id"
)


@dataclass(frozen=True, slots=True)
class NewApproval:
    """``quote``: a Quote as dict, money in fen; ``expires``: seconds since the epoch."""

    quote: dict[str, Any]
    reasons: tuple[str, ...]
    request: str
    expires: float


def open_approval(
    connection: Connection,
    new: NewApproval,
    *,
    conversation_id: str,
    contact_id: str,
    turn_id: str,
    now: float,
) -> int:
    supersede(connection, conversation_id, now=now)
    row = _OPEN.first(
        connection,
        {
            "conversation_id": conversation_id,
            "turn_id": turn_id,
            "contact_id": contact_id,
            "quote": json.dumps(new.quote, ensure_ascii=False),
            "reasons": json.dumps(new.reasons, ensure_ascii=False),
            "request": new.request,
            "expires": new.expires,
            "at": iso(now),
        },
    )
    assert row is not None
    return int(row[0])


def supersede(connection: Connection, conversation_id: str, *, now: float) -> None:
    """The customer has gone on: what was asked for is not waited for any more."""
    values = {"conversation_id": conversation_id, "at": iso(now)}
    row = _SUPERSEDE.first(connection, values)
    if row is not None:
        _audit(connection, int(row[0]), "superseded", "customer", now)


def decide(
    connection: Connection,
    approval: int,
    *,
    status: str,
    by: str,
    note: str,
    quote: dict[str, Any],
    now: float,
) -> str:
    """Close it and put the word into the conversation's inbox; returns the conversation.

    Raises NotFound, and InvalidInput (409) for what is decided already.
    """
    row = _DECIDE.first(
        connection,
        {
            "id": approval,
            "status": status,
            "by": by,
            "note": note,
            "quote": json.dumps(quote, ensure_ascii=False),
            "at": iso(now),
        },
    )
    if row is None:
        found = get(connection, approval)
        raise InvalidInput("approval_id", f"已处理,状态为 {found['status']}", status=409)
    _audit(connection, approval, status, by, now)
    event = f"{EVENT}:{approval}"
    put_event(connection, str(row[0]), event, message_id=event, now=now)
    return str(row[0])


def get(connection: Connection, approval: int) -> dict[str, Any]:
    """Raises NotFound."""
    row = connection.execute(
        text("SELECT * FROM approvals WHERE id = :id"), {"id": approval}
    ).first()
    if row is None:
        raise NotFound("approval_id", str(approval))
    return _shown(dict(row._mapping))


def listed(
    connection: Connection, *, status: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Newest first."""
    rows = connection.execute(
        text(
            "SELECT * FROM approvals WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)"
            " ORDER BY id DESC LIMIT :limit OFFSET :offset"
        ),
        {"status": status, "limit": limit, "offset": offset},
    )
    return [_shown(dict(row._mapping)) for row in rows]


def overdue(connection: Connection, *, now: float, limit: int = 50) -> list[int]:
    rows = connection.execute(
        text(
            "SELECT id FROM approvals WHERE status = 'pending' AND expires_ts <= :now"
            " ORDER BY id LIMIT :limit"
        ),
        {"now": now, "limit": limit},
    )
    return [int(row[0]) for row in rows]


def spoken(connection: Connection, event: str) -> dict[str, Any] | None:
    """What was decided, of an inbox event that `decide` wrote; None for what is none of it."""
    kind, _, number = event.partition(":")
    if kind != EVENT or not number.isdigit():
        return None
    return get(connection, int(number))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"quote": json.loads(row["quote"]), "reasons": json.loads(row["reasons"])}


def _audit(connection: Connection, approval: int, what: str, actor: str, now: float) -> None:
    record(
        connection,
        at=iso(now),
        actor=actor,
        action=f"approval.{what}",
        subject=str(approval),
        detail={},
    )
