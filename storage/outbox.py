"""The outbox: what is to be delivered, in order per queue, under a lease of its head."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import InvalidInput, NotFound
from storage.audit import record
from storage.clock import iso
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """``queue`` orders: a delivery waits for every earlier pending one of its queue. ``task_id``,
    ``task_run``: the firing of a task that waits for it. ``max_attempts``: instead of the policy's.
    ``not_before``: until then it may leave in a response, which `storage.passive` decides.
    """

    message_id: str
    queue: str
    kind: str
    channel: str
    account: str
    conversation_id: str
    turn_id: str
    payload: dict[str, Any]
    task_id: str | None = None
    task_run: int = 0
    max_attempts: int | None = None
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    id: int
    message_id: str
    queue: str
    kind: str
    channel: str
    account: str
    conversation_id: str
    turn_id: str
    payload: dict[str, Any]
    attempts: int
    created_at: str = ""
    task_id: str | None = None
    task_run: int = 0
    max_attempts: int | None = None


_ADD = Statement(
    """
    INSERT INTO outbox (message_id, queue, kind, channel, account, conversation_id, turn_id,
        payload, status, attempts, next_attempt_at, lease_until, created_at, task_id, task_run,
        max_attempts)
    VALUES (:message_id, :queue, :kind, :channel, :account, :conversation_id, :turn_id, :payload,
        'pending', 0, :not_before, 0, :at, :task_id, :task_run, :max_attempts)
    ON CONFLICT (message_id) DO NOTHING RETURNING id
    """
)
_CLAIM_HEAD = Statement(
    """
    UPDATE outbox SET lease_owner = :owner, lease_until = :until, attempts = attempts + 1
    WHERE id = (SELECT id FROM outbox WHERE queue = :queue AND status = 'pending'
                ORDER BY id LIMIT 1)
      AND status = 'pending' AND next_attempt_at <= :now AND lease_until < :now
    RETURNING id, message_id, queue, kind, channel, account, conversation_id, turn_id, payload,
        attempts, created_at, task_id, task_run, max_attempts
    """
)


def add(connection: Connection, deliveries: Sequence[NewDelivery], at: str) -> tuple[int, ...]:
    ids = []
    for item in deliveries:
        row = _ADD.first(
            connection,
            {
                "message_id": item.message_id,
                "queue": item.queue,
                "kind": item.kind,
                "channel": item.channel,
                "account": item.account,
                "conversation_id": item.conversation_id,
                "turn_id": item.turn_id,
                "payload": json.dumps(item.payload, ensure_ascii=False),
                "at": at,
                "task_id": item.task_id,
                "task_run": item.task_run,
                "max_attempts": item.max_attempts,
                "not_before": item.not_before,
            },
        )
        if row is not None:
            ids.append(int(row[0]))
    return tuple(ids)


def claim_head(
    connection: Connection, queue: str, *, owner: str, now: float, lease_s: float
) -> Delivery | None:
    """The oldest pending delivery of ``queue``, if it is due and nobody is sending it."""
    row = _CLAIM_HEAD.first(
        connection, {"queue": queue, "owner": owner, "now": now, "until": now + lease_s}
    )
    if row is None:
        return None
    values = dict(zip(_CLAIMED, row, strict=True))
    return Delivery(**values | {"payload": json.loads(values["payload"])})


_CLAIMED = (
    "id",
    "message_id",
    "queue",
    "kind",
    "channel",
    "account",
    "conversation_id",
    "turn_id",
    "payload",
    "attempts",
    "created_at",
    "task_id",
    "task_run",
    "max_attempts",
)


def next_attempt(connection: Connection, queue: str) -> float | None:
    """When the head of ``queue`` may be tried; None when the queue is empty."""
    row = connection.execute(
        text(
            "SELECT next_attempt_at, lease_until FROM outbox WHERE queue = :queue"
            " AND status = 'pending' ORDER BY id LIMIT 1"
        ),
        {"queue": queue},
    ).first()
    return max(row[0], row[1]) if row else None


def due_queues(connection: Connection, *, now: float, limit: int = 500) -> list[str]:
    """Queues whose head may be sent now. What waits behind a postponed head is not due."""
    rows = connection.execute(
        text(
            "SELECT queue FROM outbox o WHERE status = 'pending'"
            " AND next_attempt_at <= :now AND lease_until < :now"
            " AND NOT EXISTS (SELECT 1 FROM outbox earlier WHERE earlier.status = 'pending'"
            " AND earlier.queue = o.queue AND earlier.id < o.id) ORDER BY id LIMIT :limit"
        ),
        {"now": now, "limit": limit},
    )
    return [row[0] for row in rows]


def renew_leases(
    connection: Connection, owner: str, deliveries: list[int], *, until: float
) -> None:
    if deliveries:
        connection.execute(
            text(
                "UPDATE outbox SET lease_until = :until"
                " WHERE id = :id AND lease_owner = :owner AND status = 'pending'"
            ),
            [{"id": at, "owner": owner, "until": until} for at in sorted(deliveries)],
        )


def hasten(connection: Connection, channel: str) -> None:
    """The channel is back: what was postponed while it was away may be tried now."""
    connection.execute(
        text(
            "UPDATE outbox SET next_attempt_at = 0"
            " WHERE channel = :channel AND status = 'pending' AND next_attempt_at > 0"
        ),
        {"channel": channel},
    )


def delivered(connection: Connection, delivery: int, *, owner: str, now: float) -> bool:
    return _settle(connection, delivery, owner, "delivered", None, iso(now))


def dead(connection: Connection, delivery: int, *, owner: str, error: str, now: float) -> bool:
    settled = _settle(connection, delivery, owner, "dead", error, None)
    if settled:
        record(
            connection,
            at=iso(now),
            actor="outbox",
            action="delivery.dead",
            subject=str(delivery),
            detail={"error": error},
        )
    return settled


def drop_rest(connection: Connection, delivery: Delivery, *, error: str) -> None:
    """``delivery`` is dead: nor is sent what stands behind it for the same firing of a task."""
    connection.execute(
        text(
            "UPDATE outbox SET status = 'dead', last_error = :error WHERE queue = :queue"
            " AND status = 'pending' AND task_id = :task_id AND task_run = :task_run"
        ),
        {
            "error": error,
            "queue": delivery.queue,
            "task_id": delivery.task_id,
            "task_run": delivery.task_run,
        },
    )


def _settle(
    connection: Connection,
    delivery: int,
    owner: str,
    status: str,
    error: str | None,
    delivered_at: str | None,
) -> bool:
    result = connection.execute(
        text(
            "UPDATE outbox SET status = :status, last_error = :error, delivered_at = :at,"
            " lease_owner = NULL, lease_until = 0"
            " WHERE id = :id AND lease_owner = :owner AND status = 'pending'"
        ),
        {"status": status, "error": error, "at": delivered_at, "id": delivery, "owner": owner},
    )
    return result.rowcount == 1


def postpone(
    connection: Connection, delivery: int, *, owner: str, error: str, retry_at: float
) -> bool:
    result = connection.execute(
        text(
            "UPDATE outbox SET next_attempt_at = :retry_at, last_error = :error,"
            " lease_owner = NULL, lease_until = 0 WHERE id = :id AND lease_owner = :owner"
        ),
        {"retry_at": retry_at, "error": error, "id": delivery, "owner": owner},
    )
    return result.rowcount == 1


def resend(connection: Connection, delivery: int, *, now: float, actor: str) -> str:
    """Make a dead delivery pending again; returns its queue. Raises NotFound, and
    InvalidInput for a task's: a task that has failed is tried again as a whole."""
    row = connection.execute(
        text(
            "UPDATE outbox SET status = 'pending', attempts = 0, next_attempt_at = 0,"
            " created_at = :at WHERE id = :id AND status = 'dead' RETURNING queue, task_id"
        ),
        {"id": delivery, "at": iso(now)},
    ).first()
    if row is None:
        raise NotFound("delivery_id", str(delivery))
    if row[1] is not None:
        raise InvalidInput(
            "delivery_id", f"属于任务 {row[1]!r},该任务已失败;请重试任务", status=409
        )
    record(
        connection,
        at=iso(now),
        actor=actor,
        action="delivery.resend",
        subject=str(delivery),
        detail={},
    )
    return str(row[0])
