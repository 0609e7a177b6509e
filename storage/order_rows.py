"""An order for work on pictures as a row, and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection

from domain.decisions import Quote, QuoteItem, as_dict
from domain.errors import InvalidInput
from domain.order_words import STATUSES
from domain.orders import OrderStatus, Workflow
from storage.statements import Statement

_CUSTOMER_TAIL = 4


@dataclass(frozen=True, slots=True)
class NewOrder:
    """``key`` names the order for good. ``title`` "": 图片处理-, and the customer's last four."""

    key: str
    contact_id: str
    conversation_id: str
    requirement: str
    images: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    service: str = ""
    workflow: Workflow = Workflow.DESIGN
    quote: Quote | None = None
    status: OrderStatus = OrderStatus.DRAFT
    title: str = ""
    priority: str = "normal"
    deadline_ts: float | None = None
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """``images``: addresses, ``pictures``: sha256; ``tried``: what failed before; ``deliverables``:
    sha256 or addresses."""

    id: int
    key: str
    contact_id: str
    conversation_id: str
    title: str
    requirement: str
    images: tuple[str, ...]
    pictures: tuple[str, ...]
    status: OrderStatus
    workflow: Workflow
    service: str
    quote: Quote | None
    tried: tuple[dict[str, Any], ...]
    deliverables: tuple[str, ...]
    designer: str | None
    priority: str
    deadline_ts: float | None
    version: int
    attempts: int
    due_at: float | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    at: str
    actor: str
    kind: str
    detail: dict[str, Any]


_NAMES = tuple(field.name for field in fields(OrderRow))
ORDER_COLUMNS = ", ".join(_NAMES)
_LISTS = frozenset({"images", "pictures", "tried", "deliverables"})
_QUOTE_FIELDS = frozenset(field.name for field in fields(Quote))
_EVENT = Statement(
    "INSERT INTO image_task_events (order_id, at, actor, kind, detail)"
    " VALUES (:order_id, :at, :actor, :kind, :detail)"
)


def json_list(values: Sequence[Any]) -> str:
    return json.dumps(list(values), ensure_ascii=False)


def quote_text(quote: Quote | None) -> str | None:
    return None if quote is None else json.dumps(as_dict(quote), ensure_ascii=False)


def order_of(row: Sequence[Any]) -> OrderRow:
    values = dict(zip(_NAMES, row, strict=True))
    for name in _LISTS:
        values[name] = tuple(json.loads(values[name]))
    quote = values["quote"]
    values["quote"] = quote_from(json.loads(quote)) if quote else None
    values["status"] = OrderStatus(values["status"])
    values["workflow"] = Workflow(values["workflow"])
    return OrderRow(**values)


def title_for(contact_id: str) -> str:
    """As the seed names tasks: 图片处理-{last 4 of the customer's id}."""
    return f"图片处理-{sender_of(contact_id)[-_CUSTOMER_TAIL:]}"


def sender_of(contact_id: str) -> str:
    """The customer as the channel names them; a contact id is channel:account:sender."""
    return contact_id.split(":", 2)[-1]


def refused(order: OrderRow, reason: str) -> InvalidInput:
    return InvalidInput("status", f"订单 {order.id} {STATUSES[order.status]},{reason}", status=409)


def quote_from(values: Mapping[str, Any]) -> Quote:
    """A Quote as `as_dict` made it, also by another version of us."""
    known = {name: value for name, value in values.items() if name in _QUOTE_FIELDS}
    return Quote(**known | {"items": tuple(QuoteItem(**item) for item in values["items"])})


def add_event(
    connection: Connection, order_id: int, kind: str, detail: Mapping[str, Any], actor: str, at: str
) -> None:
    """``at``: ISO 8601."""
    shown = json.dumps(dict(detail), ensure_ascii=False)
    values = {"order_id": order_id, "at": at, "actor": actor, "kind": kind, "detail": shown}
    _EVENT.run(connection, values)
