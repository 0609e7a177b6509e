"""Orders as callers see them: money in yuan, instants in ISO 8601."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.decisions import Quote
from domain.order_words import STATUSES
from storage.clock import iso
from storage.orders import EventRow, OrderRow, sender_of

_AMOUNTS = frozenset({"total", "total_before"})


def order_out(order: OrderRow) -> dict[str, Any]:
    return {
        "id": order.id,
        "title": order.title,
        "status": order.status.value,
        "status_name": STATUSES[order.status],
        "workflow": order.workflow.value,
        "service": order.service,
        "customer_id": sender_of(order.contact_id),
        "contact_id": order.contact_id,
        "conversation_id": order.conversation_id,
        "requirements": order.requirement.splitlines(),
        "images": list(order.images),
        "pictures": list(order.pictures),
        "quote": quote_out(order.quote) if order.quote else None,
        "tried": list(order.tried),
        "deliverables": list(order.deliverables),
        "designer": order.designer,
        "priority": order.priority,
        "deadline": iso(order.deadline_ts) if order.deadline_ts is not None else None,
        "version": order.version,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
    }


def whole(
    order: OrderRow, events: Sequence[EventRow], facts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    shown = [dict(one) for one in facts]
    return order_out(order) | {"events": [event_out(one) for one in events], "facts": shown}


def event_out(event: EventRow) -> dict[str, Any]:
    detail = {
        name: _yuan(value) if name in _AMOUNTS and isinstance(value, int) else value
        for name, value in event.detail.items()
    }
    return {"id": event.id, "at": event.at, "actor": event.actor, "kind": event.kind} | {
        "detail": detail
    }


def quote_out(quote: Quote) -> dict[str, Any]:
    items = [
        {"label": item.label, "amount": _yuan(item.amount), "reason": item.reason}
        for item in quote.items
    ]
    return {
        "service": quote.service,
        "service_name": quote.service_name,
        "items": items,
        "total": _yuan(quote.total),
        "quantity": quote.quantity,
        "valid_hours": quote.valid_hours,
        "estimate": quote.estimate,
        "book_version": quote.book_version,
    }


def _yuan(fen: int) -> float:
    return fen / 100
