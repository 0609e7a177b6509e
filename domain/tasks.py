"""Tasks of Tianwang (seed 000): what is watched for, what is done then, and how a task lives.

pending ─> triggered ─> completed | failed, pending ─> cancelled | expired, failed ─> pending again
by a call. What a task waits for is a `Trigger`; matching is `domain.triggers`.
"""

from dataclasses import dataclass
from enum import StrEnum


class TaskStatus(StrEnum):
    PENDING = "pending"
    TRIGGERED = "triggered"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED}
)


class TriggerKind(StrEnum):
    SPECIFIED_CUSTOMER_REPLY = "specified_customer_reply"
    CUSTOMER_REPLY = "customer_reply"
    CUSTOMER_KEYWORD = "customer_keyword"
    CUSTOMER_PAYMENT = "customer_payment"
    TIME_REACH = "time_reach"


class Matching(StrEnum):
    """How a keyword is looked for in a message.

    ``agreement``: it is in the message, and the message neither negates nor questions it.
    ``contains``: it is in the message, that is all. ``exact``: the message is the keyword.
    """

    AGREEMENT = "agreement"
    CONTAINS = "contains"
    EXACT = "exact"


class TaskPriority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


PRIORITY_ORDER = {
    TaskPriority.URGENT: 0,
    TaskPriority.HIGH: 1,
    TaskPriority.NORMAL: 2,
    TaskPriority.LOW: 3,
}
"""Several tasks that one message fires act in this order, then in the order of their receipt."""

PAYMENT_WORDS = ("已付款", "拍下了", "已下单")
"""Seed 000: what customer_payment watches for where the task names no words."""
PAYMENT_EVENT = "payment"
"""Event of a channel that knows of payments; it fires customer_payment without a word."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """``customer_id``: whose messages count; empty for anybody's. ``customer_name`` is compared
    only where it is given and the channel told a name. ``at``: time_reach, seconds since the
    epoch."""

    kind: TriggerKind
    keywords: tuple[str, ...] = ()
    customer_id: str = ""
    customer_name: str = ""
    matching: Matching = Matching.AGREEMENT
    at: float | None = None


@dataclass(frozen=True, slots=True)
class WatchedTask:
    """A pending task that a message may fire. ``received_at``: seconds since the epoch; older
    messages do not count. ``order``: sorts tasks that fire together, smaller first."""

    task_id: str
    trigger: Trigger
    received_at: float
    priority: TaskPriority = TaskPriority.NORMAL

    @property
    def order(self) -> tuple[int, float, str]:
        return PRIORITY_ORDER[self.priority], self.received_at, self.task_id


@dataclass(frozen=True, slots=True)
class Said:
    """One message as triggers see it. ``event``: what a message of kind event tells of."""

    sender_id: str
    contact_id: str
    text: str
    received_at: float
    sender_name: str = ""
    event: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """``keyword`` as the task wrote it (empty for an event). ``rest``: what the message says
    besides, politeness left out; empty where it is no more than the trigger."""

    task: WatchedTask
    keyword: str
    rest: str
