"""What of a conversation's orders a run needs to know, and what its nodes do to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.amendments import OpenOrder
from domain.decisions import Effect, EffectKind, Quote
from domain.order_words import order_line
from domain.orders import OrderStatus
from domain.picture_risk import CustomerRecord
from storage.orders import OrderRow

MAX_REQUIREMENT_CHARS = 4_000
Requote = Callable[[OrderRow, str], Quote | None]
"""The price of an order with another requirement; None: no price is known."""


@dataclass(frozen=True, slots=True)
class OrdersInTalk:
    """``rows``: the conversation's open orders, the oldest first; ``open``: the same as
    `domain.amendments` reads them. ``dispatching``: Tuhui is there to give work to designers.
    ``record``: of the customer, where a picture came."""

    requote: Requote
    rows: tuple[OrderRow, ...] = ()
    open: tuple[OpenOrder, ...] = ()
    dispatching: bool = False
    record: CustomerRecord | None = None

    def row(self, order_id: int) -> OrderRow:
        return next(row for row in self.rows if row.id == order_id)

    def latest(self, *statuses: OrderStatus) -> OrderRow | None:
        """The one that was touched last."""
        fitting = [row for row in self.rows if row.status in statuses]
        return max(fitting, key=lambda row: (row.updated_at, row.id), default=None)


def service_of(order: OrderRow) -> str:
    return order.quote.service_name if order.quote else "图片处理"


def line_of(order: OrderRow) -> str:
    return order_line(
        order.quote.service_name if order.quote else "",
        order.workflow,
        order.requirement,
        order.status,
    )


def order_effect(number: int, do: str, **payload: Any) -> Effect:
    """``do``: create, quote, confirm, amend, cancel, accept, rework."""
    return Effect(EffectKind.ORDER, f"order:{number}", {"do": do, **payload})


def numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
