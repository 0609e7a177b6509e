"""Orders for work on pictures: how they live, and what a change of one is.

draft ─> quoted ─> confirmed ─> working ─> delivered ─> accepted; delivered ─> rework ─> working.
working goes to a designer (dispatched, or waiting while nobody is there) and comes back delivered;
a draft or a quote does too, where a designer has to look before there is a price.
Every state before accepted can be cancelled; declined and failed are ends that a person may reopen.
"""

from dataclasses import dataclass
from enum import StrEnum


class OrderStatus(StrEnum):
    DRAFT = "draft"
    QUOTED = "quoted"
    CONFIRMED = "confirmed"
    WORKING = "working"
    WAITING = "waiting"
    """No designer is online: it goes to one as soon as one is."""
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    REWORK = "rework"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    FAILED = "failed"


CLOSED = frozenset({OrderStatus.ACCEPTED, OrderStatus.CANCELLED, OrderStatus.DECLINED})
OPEN = frozenset(OrderStatus) - CLOSED

S = OrderStatus
_TO_A_DESIGNER = frozenset({S.WAITING, S.DISPATCHED, S.CANCELLED, S.FAILED})
NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.DRAFT: frozenset({S.QUOTED, S.CONFIRMED, S.DECLINED, *_TO_A_DESIGNER}),
    S.QUOTED: frozenset({S.QUOTED, S.CONFIRMED, S.DECLINED, *_TO_A_DESIGNER}),
    S.CONFIRMED: frozenset({S.WORKING, S.WAITING, S.DISPATCHED, S.CANCELLED, S.FAILED}),
    S.WORKING: frozenset({S.DELIVERED, S.WAITING, S.DISPATCHED, S.CANCELLED, S.FAILED}),
    S.WAITING: frozenset({S.DISPATCHED, S.DELIVERED, S.CANCELLED, S.FAILED}),
    S.DISPATCHED: frozenset({S.DELIVERED, S.WAITING, S.CANCELLED, S.FAILED}),
    S.DELIVERED: frozenset({S.ACCEPTED, S.REWORK}),
    S.REWORK: frozenset({S.WORKING, S.WAITING, S.DISPATCHED, S.DELIVERED, S.CANCELLED, S.FAILED}),
    S.FAILED: frozenset({S.CONFIRMED, S.WAITING, S.DISPATCHED, S.CANCELLED}),
    S.ACCEPTED: frozenset({S.REWORK}),
    S.CANCELLED: frozenset(),
    S.DECLINED: frozenset(),
}


def may_follow(before: OrderStatus, after: OrderStatus) -> bool:
    return after in NEXT[before]


class Workflow(StrEnum):
    FIND = "find"
    PROCESS = "process"
    DESIGN = "design"
    """A designer does it."""


class ChangeKind(StrEnum):
    ADD = "add"
    CHANGE = "change"
    WITHDRAW = "withdraw"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a later message changes: ``requirement`` in the customer's words. ``order_no``: the one
    that the customer named (1 is the first of the open ones as we listed them), None if none."""

    kind: ChangeKind
    requirement: str
    order_no: int | None = None
