"""The human desk's queue: who of some channels waits for a person, and in which place.

The queue is the open hand-overs: first come, first served, so that a place is only ever better than
the last time somebody asked. Who is with a person waits no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, text

from storage.clock import iso
from storage.handoffs import DESK as DESK
from storage.recipients import RecipientRow
from storage.statements import Statement

_LOCK = 7_106_340  # any constant that no other lock of ours has
_LOCK_QUEUE = Statement(f"SELECT pg_advisory_xact_lock({_LOCK})")
_KNOW = Statement(
    """
    INSERT INTO conversations (id, channel, account, chat_id, sender_id, contact_id, customer_name,
        mode, session_no, session_last_ts, received, lease_until, fence, attempts, failures,
        created_at, last_active_at)
    VALUES (:id, :channel, :account, :chat_id, :sender_id, :contact_id, '', 'bot', 0, 0, 0, 0, 0, 0,
        0, :at, :at)
    ON CONFLICT (id) DO NOTHING
    """
)
_ACTIVE = Statement(
    "SELECT id, status, target FROM handoffs WHERE conversation_id = :id AND status <> 'closed'"
)
_WAITING = text(
    "SELECT COUNT(*) FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
    " WHERE h.status = 'open' AND h.target = :target AND h.id <= :up_to AND c.channel IN :channels"
).bindparams(bindparam("channels", expanding=True))
_LAST = 2**62


@dataclass(frozen=True, slots=True)
class Place:
    """``number``: 1 is next, 0 is with a person. ``handoff``: its row."""

    handoff: int
    status: Literal["open", "taken"]
    number: int


def lock_queue(connection: Connection) -> None:
    """Until the end of this unit nobody else joins: SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        _LOCK_QUEUE.first(connection, {})


def know(connection: Connection, who: RecipientRow, *, now: float) -> None:
    """The conversation of somebody who may never have written."""
    _KNOW.run(
        connection,
        {
            "id": who.conversation_id,
            "channel": who.channel,
            "account": who.account,
            "chat_id": who.chat_id,
            "sender_id": who.sender_id,
            "contact_id": who.contact_id,
            "at": iso(now),
        },
    )


def place_of(connection: Connection, conversation: str, channels: Collection[str]) -> Place | None:
    """None for somebody who neither waits nor is with a person."""
    row = _ACTIVE.first(connection, {"id": conversation})
    if row is None:
        return None
    handoff, status, target = row
    if status != "open":
        return Place(handoff, "taken", 0)
    return Place(handoff, "open", waiting(connection, channels, target=target, up_to=handoff))


def waiting(
    connection: Connection,
    channels: Collection[str],
    *,
    target: str = DESK,
    up_to: int = _LAST,
) -> int:
    """How many wait, up to that hand-over."""
    values = {"target": target, "up_to": up_to, "channels": list(channels)}
    return int(connection.execute(_WAITING, values).scalar_one())
