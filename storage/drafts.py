"""What the bot would say in copilot mode, for a person's word: one pending a conversation, decided
once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from domain.desk import EventKind
from domain.errors import InvalidInput, NotFound
from storage import desk_events
from storage.audit import record
from storage.clock import iso
from storage.inbox_events import put_event
from storage.statements import Statement

EVENT = "desk_draft"
Decided = Literal["approved", "edited", "discarded"]

_OPEN = Statement(
    """
    INSERT INTO desk_drafts (conversation_id, turn_id, text, evidence, status, created_at)
    VALUES (:conversation_id, :turn_id, :text, :evidence, 'pending', :at) RETURNING id
    """
)
_STALE = Statement(
    "UPDATE desk_drafts SET status = 'stale', decided_at = :at"
    " WHERE conversation_id = :conversation_id AND status = 'pending' RETURNING id"
)
_DECIDE = Statement(
    """
    UPDATE desk_drafts SET status = :status, text = :text, agent = :agent, decided_at = :at
    WHERE id = :id AND status = 'pending' AND NOT EXISTS (
        SELECT 1 FROM messages m WHERE m.conversation_id = desk_drafts.conversation_id
            AND m.status = 'unread' AND m.kind <> 'event')
    RETURNING conversation_id
    """
)
_GET = Statement(
    "SELECT id, conversation_id, turn_id, text, evidence, status, agent, created_at, decided_at"
    " FROM desk_drafts WHERE id = :id"
)
_NEWEST = Statement(
    "SELECT turn_id FROM desk_drafts WHERE conversation_id = :id ORDER BY id DESC LIMIT 1"
)
# Row ids grow with time, in the order of their commits within one conversation; from the newest
# back, so that it costs what was said since, however long the conversation is.
_SPOKEN_SINCE = Statement(
    """
    SELECT 1 FROM messages m WHERE m.conversation_id = :id AND m.role = 'staff' AND m.id > (
        SELECT q.id FROM messages q WHERE q.conversation_id = :id AND q.turn_id = :turn
            AND q.role = 'user' ORDER BY q.id DESC LIMIT 1)
    LIMIT 1
    """
)

_WHY_NOT = {
    "pending": "客户又发来了新消息,草稿马上会重新生成",
    "stale": "客户又发来了新消息或模式已切换,草稿已作废",
}


@dataclass(frozen=True, slots=True)
class NewDraft:
    """``evidence``: what it rests on, as the turn's answer shows it."""

    text: str
    evidence: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    id: int
    conversation_id: str
    turn_id: str
    text: str
    evidence: tuple[dict[str, Any], ...]
    status: str
    agent: str
    created_at: str
    decided_at: str | None


def open_draft(
    connection: Connection, new: NewDraft, *, conversation_id: str, turn_id: str, now: float
) -> int:
    supersede(connection, conversation_id, now=now)
    row = _OPEN.first(
        connection,
        {
            "conversation_id": conversation_id,
            "turn_id": turn_id,
            "text": new.text,
            "evidence": json.dumps([dict(one) for one in new.evidence], ensure_ascii=False),
            "at": iso(now),
        },
    )
    assert row is not None
    _tell(connection, conversation_id, int(row[0]), "pending", now)
    return int(row[0])


def supersede(connection: Connection, conversation_id: str, *, now: float) -> None:
    """The customer has gone on, or the person speaks for themselves: it is not waited for."""
    row = _STALE.first(connection, {"conversation_id": conversation_id, "at": iso(now)})
    if row is not None:
        _tell(connection, conversation_id, int(row[0]), "stale", now)


def decide(
    connection: Connection, draft: int, status: Decided, *, text: str, agent: str, now: float
) -> str:
    """Close it, and put the word into the conversation's inbox; returns the conversation, which
    wants a turn. ``text``: what is said, of an edited one.

    Raises NotFound, and InvalidInput (409) for what is decided already, and where the customer has
    written on: the next draft answers that too.
    """
    found = get(connection, draft)
    said = text if status == "edited" else found.text
    values = {"id": draft, "status": status, "text": said, "agent": agent, "at": iso(now)}
    if _DECIDE.first(connection, values) is None:
        now_is = get(connection, draft).status
        reason = _WHY_NOT.get(now_is, f"已处理,状态为 {now_is}")
        raise InvalidInput("draft_id", reason, status=409)
    record(
        connection,
        at=iso(now),
        actor=agent,
        action=f"draft.{status}",
        subject=found.conversation_id,
        detail={"draft": draft},
    )
    _tell(connection, found.conversation_id, draft, status, now, agent)
    event = f"{EVENT}:{draft}"
    put_event(connection, found.conversation_id, event, message_id=event, now=now)
    return found.conversation_id


def get(connection: Connection, draft: int) -> Draft:
    """Raises NotFound."""
    row = _GET.first(connection, {"id": draft})
    if row is None:
        raise NotFound("draft_id", str(draft))
    number, conversation, turn, text, evidence, status, agent, created_at, decided_at = row
    shown = tuple(json.loads(evidence))
    return Draft(
        number, conversation, turn, text, shown, status, agent or "", created_at, decided_at
    )


def spoken(connection: Connection, event: str) -> Draft | None:
    """What was decided, of an inbox event that `decide` wrote; None for what is none of it."""
    kind, _, number = event.partition(":")
    if kind != EVENT or not number.isdigit():
        return None
    return get(connection, int(number))


def was_answered(connection: Connection, conversation_id: str) -> bool:
    """Whether a person has spoken since the messages that the last draft was for."""
    newest = _NEWEST.first(connection, {"id": conversation_id})
    if newest is None:
        return False
    values = {"id": conversation_id, "turn": newest[0]}
    return _SPOKEN_SINCE.first(connection, values) is not None


def _tell(
    connection: Connection, conversation: str, draft: int, status: str, now: float, agent: str = ""
) -> None:
    data = {"draft": draft, "status": status}
    desk_events.tell(connection, EventKind.DRAFT, conversation, now=now, agent=agent, data=data)
