"""Answers that leave in the response to the platform's own callback.

They wait in the outbox like all others. Whoever leases a row sends it: the response here, or the
deliverer, never both. A response that carried one is remembered by the message it answered, for a
platform that asks again has not got it.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.messages import InboundMessage
from storage import outbox
from storage.clock import iso
from storage.outbox import NewDelivery
from storage.statements import Statement

MAX_ROWS = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """``text`` for the response; ``rows`` of the outbox are leased until the response is written.
    Without rows: it was given before, in a response that the platform did not get."""

    key: str
    text: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A callback that would carry the answer to message ``message_id``, or that of a turn which it
    is part of. ``arrived``: seconds since the epoch, ``until``: when its response is taken for lost
    if nobody has said that it was written. ``again_after``: a callback for the same message that
    comes so much later than one that carried the answer says that it was not received.
    ``retake``: also what was offered before and not confirmed."""

    channel: str
    account: str
    message_id: str
    conversation_id: str
    arrived: float
    until: float
    max_bytes: int
    again_after: float
    retake: bool = False

    @property
    def key(self) -> str:
        return f"passive:{self.channel}:{self.account}:{self.message_id}"


_GIVEN = Statement("SELECT payload FROM effects WHERE key = :key")
_NOTE = Statement(
    "INSERT INTO effects (key, turn_id, conversation_id, kind, payload, created_at)"
    " VALUES (:key, '', :conversation_id, 'passive_reply', :payload, :at)"
    " ON CONFLICT (key) DO UPDATE SET payload = excluded.payload"
)
_CONFIRM = Statement("UPDATE effects SET payload = :payload WHERE key = :key")
_FORGET = Statement("DELETE FROM effects WHERE key = :key")
_WAITING = Statement(
    "SELECT id, payload, attempts, lease_until, task_id, kind FROM outbox"
    " WHERE queue = :queue AND status = 'pending' ORDER BY id LIMIT :limit"
)
_LEASE = Statement(
    """
    UPDATE outbox SET lease_owner = :owner, lease_until = :until, attempts = attempts + 1
    WHERE id = :id AND status = 'pending' AND attempts = :attempts AND lease_until < :now
    """
)
_GIVE_BACK = Statement(
    """
    UPDATE outbox SET lease_owner = NULL, lease_until = 0, attempts = attempts - 1
    WHERE id = :id AND status = 'pending' AND lease_owner = :owner
    """
)


def waits(connection: Connection, conversation_id: str) -> bool:
    """Whether anything of the conversation is still to be delivered."""
    return bool(_WAITING.first(connection, {"queue": conversation_id, "limit": 1}))


def take(connection: Connection, ask: Ask, *, now: float) -> Offer | None:
    """What the response is to carry: what stands first in the conversation's queue, as much as fits
    into one text."""
    given = _GIVEN.first(connection, {"key": ask.key})
    if given is not None and not (ask.retake and not json.loads(given[0])["written"]):
        return _again(connection, ask, json.loads(given[0]))
    texts: list[str] = []
    rows: list[int] = []
    found = _WAITING.all(connection, {"queue": ask.conversation_id, "limit": MAX_ROWS})
    for row, payload, attempts, lease_until, task_id, kind in found:
        said = _text_of(json.loads(payload)) if kind == "message" and task_id is None else ""
        if not said or not _fits([*texts, said], ask.max_bytes) or lease_until >= now:
            break
        if attempts and not ask.retake:
            break
        values = {"id": row, "owner": ask.key, "until": ask.until, "attempts": attempts, "now": now}
        if not _LEASE.run(connection, values):
            break
        texts.append(said)
        rows.append(int(row))
    if not rows:
        return None
    _note(connection, ask, "\n".join(texts), written=False)
    return Offer(ask.key, "\n".join(texts), tuple(rows))


def written(connection: Connection, offer: Offer, *, now: float) -> None:
    """The response was handed over inside the platform's time. Where the lease has run out
    meanwhile, another way has been taken, and no retry is to carry it again."""
    settled = [outbox.delivered(connection, row, owner=offer.key, now=now) for row in offer.rows]
    if not all(settled):
        _FORGET.run(connection, {"key": offer.key})
        return
    given = _GIVEN.first(connection, {"key": offer.key})
    if given is not None:
        payload = json.dumps(json.loads(given[0]) | {"written": True}, ensure_ascii=False)
        _CONFIRM.run(connection, {"payload": payload, "key": offer.key})


def give_back(connection: Connection, offer: Offer) -> None:
    """The response was not written: the rows go the asynchronous way."""
    for row in offer.rows:
        _GIVE_BACK.run(connection, {"id": row, "owner": offer.key})
    if offer.rows:
        _FORGET.run(connection, {"key": offer.key})


def _again(connection: Connection, ask: Ask, given: dict[str, Any]) -> Offer | None:
    """A platform that comes back after its own time-out has not got what we answered. One that
    comes back at once has doubled its callback: the other response carries the answer."""
    if not given["written"] or ask.arrived - given["arrived"] < ask.again_after:
        return None
    _note(connection, ask, given["text"], written=True)
    return Offer(ask.key, given["text"])


def _note(connection: Connection, ask: Ask, said: str, *, written: bool) -> None:
    payload = {"text": said, "arrived": ask.arrived, "written": written}
    _NOTE.run(
        connection,
        {
            "key": ask.key,
            "conversation_id": ask.conversation_id,
            "payload": json.dumps(payload, ensure_ascii=False),
            "at": iso(ask.arrived),
        },
    )


def _text_of(payload: dict[str, Any]) -> str:
    """Empty for what is no mere text."""
    return "" if payload.get("url") else str(payload.get("text", "")).strip()


def _fits(texts: list[str], max_bytes: int) -> bool:
    return len("\n".join(texts).encode("utf-8", "replace")) <= max_bytes


_NOTED = Statement(
    """
    INSERT INTO messages (contact_id, content, role, received_at, channel, account,
        channel_message_id, conversation_id, kind, event, attachments, sent_ts, received_ts, route,
        status)
    VALUES (:contact_id, :content, 'user', :at, :channel, :account, :message_id, :conversation_id,
        :kind, :event, :attachments, :sent_ts, :received_ts, 'push', 'handled')
    ON CONFLICT (channel, account, channel_message_id) DO NOTHING RETURNING id
    """
)


def keep_handled(connection: Connection, message: InboundMessage, *, now: float) -> bool:
    """Store what starts no turn; False where it was stored before."""
    attachments = [{"kind": one.kind, "url": one.url} for one in message.attachments]
    row = _NOTED.first(
        connection,
        {
            "contact_id": message.contact,
            "content": message.text,
            "at": iso(now),
            "channel": message.channel,
            "account": message.account,
            "message_id": message.channel_message_id,
            "conversation_id": message.conversation,
            "kind": message.kind.value,
            "event": message.event,
            "attachments": json.dumps(attachments) if attachments else None,
            "sent_ts": message.sent_at,
            "received_ts": now,
        },
    )
    return row is not None


def say(
    connection: Connection, message: InboundMessage, said: str, *, now: float, not_before: float
) -> str:
    """A fixed answer to ``message`` into the outbox, once; returns its queue."""
    delivery = NewDelivery(
        message_id=f"{message.channel}:{message.account}:{message.channel_message_id}:said",
        queue=message.conversation,
        kind="message",
        channel=message.channel,
        account=message.account,
        conversation_id=message.conversation,
        turn_id="",
        payload={
            "chat_id": message.chat_id,
            "to": message.sender_id,
            "text": said,
            "created_at": now,
        },
        not_before=not_before,
    )
    outbox.add(connection, [delivery], iso(now))
    return message.conversation


def note_progress(connection: Connection, delivery: int, payload: dict[str, Any]) -> None:
    """How far a delivery under way has come, for whoever tries it again."""
    connection.execute(
        text("UPDATE outbox SET payload = :payload WHERE id = :id AND status = 'pending'"),
        {"payload": json.dumps(payload, ensure_ascii=False), "id": delivery},
    )
