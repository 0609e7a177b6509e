"""Who has a customer's session at customer service: the bot, the pool that waits for a servicer, or
one of them.

An open hand-over for the desk moves the session, once, through the outbox. From then on the bot
keeps quiet, so that nothing is composed that the platform would not take any more.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.desk import EventKind
from storage import desk_events, outbox
from storage.audit import record
from storage.clock import iso
from storage.desk_talks import RETURNED
from storage.handoffs import DESK
from storage.inbox_events import put_event
from storage.kf import CHANNEL
from storage.outbox import NewDelivery
from storage.statements import Statement

HAND_OVER = "kf_hand_over"
"""Type of a payload that moves a session."""
LASTS_S = 48 * 3_600.0
"""A session ends that long after its last word."""
_AT_ONCE = 100

_QUIET = Statement("UPDATE conversations SET mode = 'human' WHERE id = :id AND mode <> 'human'")
_BACK = Statement(
    "UPDATE conversations SET mode = 'bot' WHERE id = :id AND mode IN ('human', 'copilot')"
)
_KEPT = Statement(
    """
    UPDATE conversations SET mode = COALESCE((SELECT CASE WHEN status = 'taken' THEN 'human'
        WHEN target = :target THEN 'queued' ELSE 'bot' END
        FROM handoffs WHERE conversation_id = :whose AND status <> 'closed'), 'bot')
    WHERE id = :id AND mode = 'human'
    """
)
_TAKEN = Statement(
    "UPDATE handoffs SET status = 'taken', agent = COALESCE(:agent, agent), assigned_ts = :now,"
    " asked_ts = NULL, due_ts = NULL, updated_at = :at"
    " WHERE conversation_id = :id AND status = 'open'"
)
_CLOSED = Statement(
    "UPDATE handoffs SET status = 'closed', agent = COALESCE(:agent, agent), resolved_ts = :now,"
    " asked_ts = NULL, due_ts = NULL, updated_at = :at"
    " WHERE conversation_id = :id AND status <> 'closed' RETURNING id"
)
_DUE = Statement(
    """
    SELECT h.id, h.updated_at, c.id, c.account, c.sender_id
    FROM handoffs h JOIN conversations c ON c.id = h.conversation_id
    WHERE h.status = 'open' AND h.target = :target
        AND h.updated_at >= :since AND c.channel = :channel AND c.mode IN ('bot', 'queued')
        AND NOT EXISTS (SELECT 1 FROM outbox o
            WHERE o.message_id = 'kf-session:' || h.id || ':' || h.updated_at)
    ORDER BY h.id LIMIT :most
    """
)
_STATUS = Statement("SELECT status FROM handoffs WHERE id = :id")
_UNSAID = Statement(
    """
    SELECT id, payload FROM outbox WHERE conversation_id = :conversation AND status = 'dead'
        AND kind = 'message' AND channel = :channel AND created_at = :at ORDER BY id LIMIT 1
    """
)
_SAID = Statement(
    "UPDATE outbox SET status = 'delivered', delivered_at = :at, last_error = NULL"
    " WHERE id = :id AND status = 'dead'"
)
_UNHEARD = Statement(
    """
    UPDATE messages SET status = 'unread', turn_id = NULL WHERE conversation_id = :id
        AND role = 'user' AND status = 'handled' AND kind <> 'event' AND turn_id IN (
            SELECT turn_id FROM turns WHERE conversation_id = :id AND action = 'none'
            AND started_ts >= :since)
    """
)
_DUE_AGAIN = Statement(
    """
    UPDATE conversations SET due_at = :now, first_unread_ts = :now, attempts = 0, failures = 0,
        received = received + 1 WHERE id = :id
    """
)


@dataclass(frozen=True, slots=True)
class HandOver:
    """An open hand-over whose session is ours. ``at``: when it was asked for last."""

    handoff: int
    at: str
    conversation: str
    account: str
    customer: str


@dataclass(frozen=True, slots=True)
class Unsaid:
    """The word to the customer that a hand-over came with and that did not reach them."""

    delivery: int
    payload: dict[str, Any]


# What the platform tells ----------------------------------------------------------------------


def hand_to_person(connection: Connection, conversation: str, *, agent: str, now: float) -> bool:
    """A servicer has the session: we keep quiet. False if that was known."""
    values = {"id": conversation, "agent": agent or None, "now": now, "at": iso(now)}
    quiet = _QUIET.run(connection, values) == 1
    taken = _TAKEN.run(connection, values) > 0
    if quiet or taken:
        _record(connection, "taken", conversation, agent, now)
        desk_events.tell(connection, EventKind.TAKEN, conversation, now=now, agent=agent)
    return quiet or taken


def keep_quiet(connection: Connection, conversation: str) -> None:
    """It waits in the pool, and whoever takes it is still to come."""
    _QUIET.run(connection, {"id": conversation})


def queued(connection: Connection, conversation: str, *, now: float) -> None:
    """We have moved it there."""
    keep_quiet(connection, conversation)
    _record(connection, "queued", conversation, "", now)


def give_back(connection: Connection, conversation: str, *, agent: str, now: float) -> bool:
    if _BACK.run(connection, {"id": conversation}) != 1:
        return False
    values = {"id": conversation, "agent": agent or None, "now": now, "at": iso(now)}
    closed = _CLOSED.first(connection, values)
    _record(connection, "closed", conversation, agent, now)
    data = {"why": "session", "handoff": closed[0] if closed is not None else None}
    desk_events.tell(connection, EventKind.RESOLVED, conversation, now=now, agent=agent, data=data)
    if closed is not None:
        # WeCom asks for a mark itself; of what was open before, nothing is.
        event = f"{RETURNED}:{closed[0]}:"
        put_event(connection, conversation, event, message_id=f"{event}{iso(now)}", now=now)
    return True


# Moving it ------------------------------------------------------------------------------------


def due(connection: Connection, *, now: float) -> list[HandOver]:
    values = {"target": DESK, "channel": CHANNEL, "since": iso(now - LASTS_S), "most": _AT_ONCE}
    return [HandOver(*row) for row in _DUE.all(connection, values)]


def begin(connection: Connection, found: HandOver, *, now: float) -> bool:
    """Behind what is to be said before; nothing is composed behind it. False where somebody was
    first."""
    if status_of(connection, found.handoff) != "open":
        return False
    if not outbox.add(connection, [_delivery(found)], iso(now)):
        return False
    keep_quiet(connection, found.conversation)
    return True


def _delivery(found: HandOver) -> NewDelivery:
    # Without «to»: no words behind it leave before it.
    payload = {
        "type": HAND_OVER,
        "customer": found.customer,
        "handoff": found.handoff,
        "at": found.at,
    }
    return NewDelivery(
        message_id=f"kf-session:{found.handoff}:{found.at}",
        queue=found.conversation,
        kind="session",
        channel=CHANNEL,
        account=found.account,
        conversation_id=found.conversation,
        turn_id="",
        payload=payload,
    )


def status_of(connection: Connection, handoff: int) -> str:
    """open, taken or closed."""
    row = _STATUS.first(connection, {"id": handoff})
    return str(row[0]) if row is not None else "closed"


def unsaid(connection: Connection, conversation: str, at: str) -> Unsaid | None:
    values = {"conversation": conversation, "channel": CHANNEL, "at": at}
    row = _UNSAID.first(connection, values)
    return Unsaid(row[0], json.loads(row[1])) if row is not None else None


def said(connection: Connection, delivery: int, *, now: float) -> None:
    """It has reached the customer another way."""
    _SAID.run(connection, {"id": delivery, "at": iso(now)})


def keep(connection: Connection, conversation: str, *, since: float, now: float) -> bool:
    """The session stays ours. What the customer wrote meanwhile is answered after all; returns
    whether there is any."""
    _KEPT.run(connection, {"id": conversation, "whose": conversation, "target": DESK})
    _record(connection, "kept", conversation, "", now)
    unheard = _UNHEARD.run(connection, {"id": conversation, "since": since}) > 0
    if unheard:
        _DUE_AGAIN.run(connection, {"id": conversation, "now": now})
    return unheard


def _record(connection: Connection, what: str, conversation: str, agent: str, now: float) -> None:
    record(
        connection,
        at=iso(now),
        actor=agent or CHANNEL,
        action=f"session.{what}",
        subject=conversation,
        detail={"channel": CHANNEL},
    )
