"""What tools and turns bring about, written as rows, each once under its key."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from storage import customers, outbox
from storage.audit import record
from storage.clock import iso
from storage.dispatches import NewDispatch, want
from storage.handoffs import HandoffRow, open_handoff
from storage.orders import NewOrder, OrderBook
from storage.statements import Statement
from storage.tasks import TOOL, NewTask, TaskBook

MESSAGE_KINDS = ("text", "image", "file")
_LABELS = {"image": "[图片]", "file": "[文件]"}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why: ``actor`` for the audit log; the firing of a task or the turn that it belongs to.

    ``shown_in``: the conversation whose caller is handed the messages in the response, so that they
    are history only. ``max_attempts``: for deliveries of a task. ``said_by``: role of messages in
    the history; staff is a person.
    """

    actor: str
    turn_id: str = ""
    conversation_id: str = ""
    contact_id: str = ""
    task_id: str | None = None
    task_run: int = 0
    shown_in: str = ""
    max_attempts: int | None = None
    said_by: Literal["assistant", "staff"] = "assistant"


@dataclass(frozen=True, slots=True)
class Applied:
    """``queues`` to wake; ``deliveries`` that are now under way."""

    queues: tuple[str, ...] = ()
    deliveries: int = 0


@dataclass(slots=True)
class _Writing:
    connection: Connection
    cause: Cause
    key: str
    now: float
    channels: frozenset[str]
    book: TaskBook
    queues: list[str] = field(default_factory=list)
    deliveries: int = 0


_ONCE = Statement(
    "INSERT INTO effects (key, turn_id, conversation_id, kind, payload, created_at)"
    " VALUES (:key, :turn_id, :conversation_id, :kind, :payload, :at)"
    " ON CONFLICT (key) DO NOTHING RETURNING key"
)
SAID_BY = "by:"
"""Before the agent's id, in ``event`` of what a person said."""
_SAID = Statement(
    """
    INSERT INTO messages (contact_id, content, role, received_at, channel, account,
        channel_message_id, conversation_id, kind, event, attachments, sent_ts, received_ts, route,
        status, turn_id)
    VALUES (:contact_id, :content, :role, :at, :channel, :account, :key, :conversation_id,
        :kind, :event, :attachments, :now, :now, 'push', 'sent', :turn_id)
    ON CONFLICT (channel, account, channel_message_id) DO NOTHING
    """
)
CUSTOMER_COLUMNS = frozenset({"name", "remark", "state"})


def apply(
    connection: Connection,
    effects: Sequence[Effect],
    *,
    key: str,
    cause: Cause,
    now: float,
    book: TaskBook,
    channels: frozenset[str] = frozenset(),
) -> Applied:
    """Write ``effects``; one that was written under ``key`` before is left alone.

    ``channels``: those that deliver; a notice without a ``staff`` channel stays a row.
    """
    writing = _Writing(connection, cause, key, now, channels, book)
    for effect in effects:
        _apply(writing, effect)
    return Applied(tuple(dict.fromkeys(writing.queues)), writing.deliveries)


def _apply(writing: _Writing, effect: Effect) -> None:
    key = f"{writing.key}:{effect.name}"
    first = _ONCE.first(
        writing.connection,
        {
            "key": key,
            "turn_id": writing.cause.turn_id,
            "conversation_id": writing.cause.conversation_id,
            "kind": effect.kind.value,
            "payload": json.dumps(effect.payload, ensure_ascii=False),
            "at": iso(writing.now),
        },
    )
    if first is not None:
        _WRITERS[effect.kind](writing, key, effect.payload)


def _message(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    to, cause = payload["to"], writing.cause
    kind = payload.get("type", "text")
    url, name = payload.get("url", ""), payload.get("name", "")
    attachments = [{"kind": kind, "url": url}] if url else []
    _SAID.run(
        writing.connection,
        {
            "contact_id": to["contact_id"],
            "content": said(payload),
            "role": cause.said_by,
            "at": iso(writing.now),
            "channel": to["channel"],
            "account": to["account"],
            "key": key,
            "conversation_id": to["conversation_id"],
            "kind": kind,
            "event": f"{SAID_BY}{cause.actor}" if cause.said_by == "staff" else "",
            "attachments": json.dumps(attachments) if attachments else None,
            "now": writing.now,
            "turn_id": cause.turn_id or None,
        },
    )
    if to["conversation_id"] == cause.shown_in:
        return
    body = {"chat_id": to["chat_id"], "to": to["sender_id"], "text": payload.get("text", "")}
    body["created_at"] = writing.now
    if url:
        body |= {"type": kind, "url": url, "name": name}
    place = (to["channel"], to["account"], to["conversation_id"])
    _deliver(writing, key, "message", *place, body, conversation=to["conversation_id"])


def said(payload: dict[str, Any]) -> str:
    """A message effect as one line of the history, and for a caller that gets text only."""
    if not payload.get("url"):
        return str(payload.get("text", ""))
    label = _LABELS[payload["type"]]
    parts = (payload.get("text", ""), label, payload.get("name", ""), payload["url"])
    return " ".join(part for part in parts if part)


def _deliver(
    writing: _Writing,
    key: str,
    kind: str,
    channel: str,
    account: str,
    queue: str,
    payload: dict[str, Any],
    *,
    conversation: str = "",
) -> None:
    cause = writing.cause
    delivery = outbox.NewDelivery(
        message_id=key,
        queue=queue,
        kind=kind,
        channel=channel,
        account=account,
        conversation_id=conversation or cause.conversation_id,
        turn_id=cause.turn_id,
        payload=payload,
        task_id=cause.task_id,
        task_run=cause.task_run,
        max_attempts=cause.max_attempts,
    )
    if outbox.add(writing.connection, [delivery], iso(writing.now)):
        writing.queues.append(queue)
        writing.deliveries += 1


def notice_channel(kind: str) -> str:
    """The outbox's channel for notices to places of one kind."""
    return f"notice_{kind}"


def _notice(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    """``place`` in the payload: the notice is for that one alone, behind what waits for it."""
    about, place = payload.get("conversation_id", ""), payload.get("place")
    if place:
        to = (notice_channel(place["kind"]), place["name"], f"notices:{place['name']}")
        _deliver(writing, key, "notice", *to, payload, conversation=about)
    elif "staff" in writing.channels:
        _deliver(writing, key, "notice", "staff", "", f"notice:{key}", payload, conversation=about)


def _dispatch(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    cause = writing.cause
    wanted = NewDispatch(
        key=key,
        title=payload["title"],
        description=payload["description"],
        task_type=payload["task_type"],
        priority=payload["priority"],
        designer=payload["designer"],
        order_id=payload.get("order_id"),
        conversation_id=payload.get("conversation_id") or cause.conversation_id,
        contact_id=payload.get("contact_id") or cause.contact_id,
        task_id=cause.task_id,
        task_run=cause.task_run,
    )
    if want(writing.connection, wanted, actor=cause.actor, now=writing.now):
        writing.deliveries += 1


def _handoff(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    cause, at = writing.cause, iso(writing.now)
    asked = {name: payload[name] for name in ("reason", "priority", "target")}
    conversation_id = payload.get("conversation_id") or cause.conversation_id
    open_handoff(
        writing.connection,
        HandoffRow(**asked, question=payload["question"]),
        conversation_id=conversation_id,
        contact_id=payload.get("contact_id") or cause.contact_id,
        turn_id=cause.turn_id,
        at=at,
    )
    record(
        writing.connection,
        at=at,
        actor=cause.actor,
        action="handoff.open",
        subject=str(conversation_id),
        detail=asked,
    )


def _tag(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    customers.tag(
        writing.connection,
        payload["contact_id"],
        add=payload.get("add", ()),
        remove=payload.get("remove", ()),
        actor=writing.cause.actor,
        now=writing.now,
    )


def _customer(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    changes = payload["changes"]
    unknown = changes.keys() - CUSTOMER_COLUMNS
    if unknown:
        raise ValueError(f"a customer has no {', '.join(sorted(unknown))} that a tool may change")
    customers.edit(writing.connection, payload["contact_id"], changes, now=writing.now)


def _schedule(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    """A task of our own: it waits, survives restarts and is listed like Tianwang's."""
    to = payload["to"]
    digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    arguments = payload["arguments"]
    task = NewTask(
        task_id=f"scheduled_{digest}",
        type="scheduled_message",
        trigger_type="time_reach",
        action_type=payload["action"],
        body={"action": {"tool": payload["action"], "arguments": arguments}, "to": to},
        customer_id=to["sender_id"],
        customer_name=to.get("name", ""),
        file_url=arguments.get("file_url", ""),
        message=arguments.get("message", ""),
        created_by=writing.cause.actor,
        fires_at=payload["due_at"],
        source=TOOL,
    )
    writing.book.add(writing.connection, task, actor=writing.cause.actor, now=writing.now)


def _image_task(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    order = NewOrder(
        key=key,
        contact_id=payload["contact_id"],
        conversation_id=payload["conversation_id"],
        title=payload["title"],
        requirement=payload["requirement"],
        images=tuple(payload["images"]),
    )
    OrderBook().create(writing.connection, order, actor=writing.cause.actor, now=writing.now)


def _of_turns(writing: _Writing, key: str, payload: dict[str, Any]) -> None:
    raise ValueError("only a turn can bring that about")


_WRITERS: dict[EffectKind, Callable[[_Writing, str, dict[str, Any]], None]] = {
    EffectKind.MESSAGE: _message,
    EffectKind.NOTICE: _notice,
    EffectKind.DISPATCH: _dispatch,
    EffectKind.HANDOFF: _handoff,
    EffectKind.TAG: _tag,
    EffectKind.CUSTOMER: _customer,
    EffectKind.SCHEDULE: _schedule,
    EffectKind.IMAGE_TASK: _image_task,
    EffectKind.UNKNOWN_QUESTION: _of_turns,
    EffectKind.ORDER: _of_turns,
}
