"""Intake and claiming: a message is stored once, a conversation is worked on by one process."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from domain.decisions import CustomerFacts
from domain.messages import Attachment, InboundMessage
from storage.checkpoints import StoredCheckpoint, latest_checkpoint
from storage.clock import iso
from storage.customers import facts
from storage.orders import has_open
from storage.sealed import name_index, seal, unseal
from storage.statements import Statement
from storage.tasks import watch_version


@dataclass(frozen=True, slots=True)
class Receipt:
    """What intake says. For a duplicate: the state of the first delivery, and its turn's result.
    ``mode``: who had the conversation when it came."""

    row_id: int
    conversation_id: str
    duplicate: bool = False
    status: str = "unread"
    turn_id: str | None = None
    result: str | None = None
    due_at: float | None = None
    claim: "Claim | None" = None
    mode: str = "bot"


@dataclass(frozen=True, slots=True)
class UnreadMessage:
    row_id: int
    channel_message_id: str
    text: str
    kind: str
    route: str
    received_ts: float
    attachments: tuple[Attachment, ...] = ()
    event: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one turn, and all that the turn needs to know. Valid until ``until``.

    ``tasks_version``: number of the newest task that these messages may fire. ``has_orders``: the
    conversation has open ones. ``to_person``: they were written to a person, who has given the
    conversation back since.
    """

    conversation_id: str
    owner: str
    fence: int
    until: float
    channel: str
    account: str
    chat_id: str
    sender_id: str
    contact_id: str
    mode: str
    session_no: int
    session_last_ts: float
    received: int
    attempts: int
    failures: int
    last_error: str | None
    messages: tuple[UnreadMessage, ...]
    more: bool
    customer: CustomerFacts = field(default_factory=CustomerFacts)
    checkpoint: StoredCheckpoint | None = None
    tasks_version: int = 0
    has_orders: bool = False
    to_person: bool = False


WORDS = ("approval:", "desk_draft:", "desk_returned:")
"""Events that we put into the inbox ourselves: each makes a turn of its own, in its place."""
_RETURNED = WORDS[2]
_INSERT_MESSAGE = Statement(
    """
    INSERT INTO messages (contact_id, content, role, received_at, channel, account,
        channel_message_id, conversation_id, kind, event, attachments, sent_ts, received_ts, route,
        status)
    VALUES (:contact_id, :content, 'user', :received_at, :channel, :account,
        :channel_message_id, :conversation_id, :kind, :event, :attachments, :sent_ts, :received_ts,
        :route, 'unread')
    ON CONFLICT (channel, account, channel_message_id) DO NOTHING
    RETURNING id
    """
)
_FIND_MESSAGE = Statement(
    """
    SELECT m.id, m.conversation_id, m.status, m.turn_id, t.result
    FROM messages m LEFT JOIN turns t ON t.turn_id = m.turn_id
    WHERE m.channel = :channel AND m.account = :account
      AND m.channel_message_id = :channel_message_id
    """
)
_TOUCH_CONVERSATION = Statement(
    """
    INSERT INTO conversations (id, channel, account, chat_id, sender_id, contact_id, customer_name,
        name_index, mode, session_no, session_last_ts, due_at, first_unread_ts, received,
        lease_until, fence, attempts, failures, created_at, last_active_at)
    VALUES (:id, :channel, :account, :chat_id, :sender_id, :contact_id, :customer_name,
        :name_index, 'bot', 0, 0, :due, :now, 1, 0, 0, 0, 0, :now_iso, :now_iso)
    ON CONFLICT (id) DO UPDATE SET
        customer_name = CASE WHEN excluded.customer_name = '' THEN conversations.customer_name
                             ELSE excluded.customer_name END,
        name_index = CASE WHEN excluded.customer_name = '' THEN conversations.name_index
                          ELSE excluded.name_index END,
        received = conversations.received + 1,
        last_active_at = excluded.last_active_at,
        due_at = CASE
            WHEN conversations.due_at IS NULL THEN excluded.due_at
            WHEN excluded.due_at > conversations.first_unread_ts + :max_debounce
                THEN conversations.first_unread_ts + :max_debounce
            ELSE excluded.due_at END,
        first_unread_ts = COALESCE(conversations.first_unread_ts, excluded.first_unread_ts)
    RETURNING due_at, mode
    """
)
_CLAIM = Statement(
    """
    UPDATE conversations
    SET lease_owner = :owner, lease_until = :until, fence = fence + 1, attempts = attempts + 1
    WHERE id = :id AND due_at <= :now AND lease_until < :now
    RETURNING fence, channel, account, chat_id, sender_id, contact_id, customer_name, mode,
        session_no, session_last_ts, received, attempts, failures, last_error
    """
)
_UNREAD = Statement(
    """
    SELECT id, channel_message_id, content, kind, route, received_ts, attachments, event
    FROM messages WHERE conversation_id = :id AND status = 'unread' ORDER BY id LIMIT :limit
    """
)
_NOTHING_DUE = Statement(
    "UPDATE conversations SET due_at = NULL, first_unread_ts = NULL, lease_owner = NULL,"
    " lease_until = 0, attempts = 0 WHERE id = :id AND fence = :fence"
)


class _Claimed(NamedTuple):
    """The columns that `_CLAIM` returns."""

    fence: int
    channel: str
    account: str
    chat_id: str
    sender_id: str
    contact_id: str
    customer_name: str
    mode: str
    session_no: int
    session_last_ts: float
    received: int
    attempts: int
    failures: int
    last_error: str | None


def receive(
    connection: Connection,
    message: InboundMessage,
    *,
    debounce: float = 0.0,
    max_debounce: float = 0.0,
    claim_for: str | None = None,
    lease_s: float = 30.0,
    merge_limit: int = 10,
    merge_polled: bool = False,
) -> Receipt:
    """Store ``message`` once. With ``claim_for``, also claim its conversation if that is free."""
    key = {
        "channel": message.channel,
        "account": message.account,
        "channel_message_id": message.channel_message_id,
    }
    row = _INSERT_MESSAGE.first(connection, key | _message_values(message))
    if row is None:
        return _duplicate(connection, key)
    now = message.received_at
    touched = _TOUCH_CONVERSATION.first(
        connection,
        {
            "id": message.conversation,
            "channel": message.channel,
            "account": message.account,
            "chat_id": message.chat_id,
            "sender_id": message.sender_id,
            "contact_id": message.contact,
            "customer_name": seal(connection, message.sender_name),
            "name_index": name_index(connection, message.sender_name),
            "due": now + debounce,
            "now": now,
            "now_iso": iso(now),
            "max_debounce": max_debounce,
        },
    )
    assert touched is not None
    due: float = touched[0]
    claimed = None
    if claim_for is not None and due <= now:
        claimed = claim(
            connection,
            message.conversation,
            owner=claim_for,
            now=now,
            lease_s=lease_s,
            merge_limit=merge_limit,
            merge_polled=merge_polled,
        )
    return Receipt(row[0], message.conversation, due_at=due, claim=claimed, mode=touched[1])


def _message_values(message: InboundMessage) -> dict[str, Any]:
    attachments = [{"kind": a.kind, "url": a.url} for a in message.attachments]
    return {
        "contact_id": message.contact,
        "content": message.text,
        "received_at": iso(message.received_at),
        "conversation_id": message.conversation,
        "kind": message.kind.value,
        "event": message.event,
        "attachments": json.dumps(attachments) if attachments else None,
        "sent_ts": message.sent_at,
        "received_ts": message.received_at,
        "route": message.route,
    }


def _duplicate(connection: Connection, key: dict[str, str]) -> Receipt:
    row = _FIND_MESSAGE.first(connection, key)
    assert row is not None
    return Receipt(row[0], row[1], True, row[2], row[3], row[4])


def find(
    connection: Connection, channel: str, account: str, channel_message_id: str
) -> Receipt | None:
    """The state of a message that was received before; None if it never was."""
    row = _FIND_MESSAGE.first(
        connection,
        {"channel": channel, "account": account, "channel_message_id": channel_message_id},
    )
    return Receipt(row[0], row[1], True, row[2], row[3], row[4]) if row else None


def claim(
    connection: Connection,
    conversation: str,
    *,
    owner: str,
    now: float,
    lease_s: float,
    merge_limit: int,
    merge_polled: bool = False,
) -> Claim | None:
    """Take the conversation if it is due and free; None otherwise.

    Messages whose callers each wait for their own answer (route ``poll``) make a turn each.
    """
    row = _CLAIM.first(
        connection, {"id": conversation, "owner": owner, "until": now + lease_s, "now": now}
    )
    if row is None:
        return None
    found = _Claimed(*row)
    messages = _unread(connection, conversation, merge_limit + 1)
    if messages and messages[0].route == "poll" and not merge_polled:
        merge_limit = 1
    taken, to_person = _one_turns(messages[:merge_limit])
    if not messages:
        _NOTHING_DUE.run(connection, {"id": conversation, "fence": found.fence})
        return None
    return Claim(
        conversation_id=conversation,
        owner=owner,
        fence=found.fence,
        until=now + lease_s,
        channel=found.channel,
        account=found.account,
        chat_id=found.chat_id,
        sender_id=found.sender_id,
        contact_id=found.contact_id,
        mode=found.mode,
        session_no=found.session_no,
        session_last_ts=found.session_last_ts,
        received=found.received,
        attempts=found.attempts,
        failures=found.failures,
        last_error=found.last_error,
        messages=taken,
        more=len(messages) > len(taken),
        customer=facts(
            connection,
            found.contact_id,
            unseal(connection, found.customer_name),
            conversation_id=conversation,
            now=now,
        ),
        checkpoint=latest_checkpoint(connection, conversation),
        tasks_version=watch_version(connection),
        has_orders=has_open(connection, conversation),
        to_person=to_person,
    )


def _one_turns(messages: tuple[UnreadMessage, ...]) -> tuple[tuple[UnreadMessage, ...], bool]:
    """As many as one turn takes: a person's word goes alone, and ahead of what came after it. True:
    what is taken came before a person gave the conversation back."""
    if not any(message.event for message in messages):
        return messages, False
    if messages[0].event.startswith(WORDS):
        return messages[:1], False
    returned = (at for at, one in enumerate(messages) if one.event.startswith(_RETURNED))
    at = next(returned, None)
    return (messages, False) if at is None else (messages[:at], True)


def _unread(connection: Connection, conversation: str, limit: int) -> tuple[UnreadMessage, ...]:
    rows = _UNREAD.all(connection, {"id": conversation, "limit": limit})
    return tuple(
        UnreadMessage(r[0], r[1], r[2], r[3], r[4], r[5], _attachments(r[6]), r[7]) for r in rows
    )


def _attachments(stored: str | None) -> tuple[Attachment, ...]:
    return tuple(Attachment(**item) for item in json.loads(stored)) if stored else ()


def due_conversations(
    connection: Connection, *, now: float, limit: int = 500
) -> list[tuple[str, float]]:
    """Free conversations with unread messages, and when each is due (soonest first)."""
    rows = connection.execute(
        text(
            "SELECT id, due_at FROM conversations WHERE due_at IS NOT NULL AND lease_until < :now"
            " ORDER BY due_at LIMIT :limit"
        ),
        {"now": now, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


def due_at(connection: Connection, conversation: str) -> float | None:
    """When a free conversation wants its next turn; None if it is taken or nothing is unread."""
    row = connection.execute(
        text("SELECT due_at FROM conversations WHERE id = :id AND lease_owner IS NULL"),
        {"id": conversation},
    ).first()
    return row[0] if row else None


def renew_leases(
    connection: Connection, owner: str, conversations: list[str], *, until: float
) -> None:
    if conversations:
        connection.execute(
            text(
                "UPDATE conversations SET lease_until = :until"
                " WHERE id = :id AND lease_owner = :owner"
            ),
            [{"id": c, "owner": owner, "until": until} for c in sorted(conversations)],
        )


def give_back_leases(connection: Connection, owner: str) -> None:
    """What ``owner``, ending in order, had claimed and not finished: it died of none of that."""
    connection.execute(
        text(
            "UPDATE conversations SET lease_owner = NULL, lease_until = 0,"
            " attempts = attempts - 1 WHERE lease_owner = :owner"
        ),
        {"owner": owner},
    )
    connection.execute(
        text("UPDATE outbox SET lease_owner = NULL, lease_until = 0 WHERE lease_owner = :owner"),
        {"owner": owner},
    )


def release_all_leases(connection: Connection) -> int:
    """After a crash, for the only process of a deployment: nobody holds anything any more."""
    turns = connection.execute(
        text("UPDATE conversations SET lease_owner = NULL, lease_until = 0 WHERE lease_until > 0")
    )
    connection.execute(
        text("UPDATE outbox SET lease_owner = NULL, lease_until = 0 WHERE lease_until > 0")
    )
    return turns.rowcount
