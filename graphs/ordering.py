"""Orders that come of a quote, of a yes to it, and of a picture that only a designer can judge."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from domain.approvals import quote_of
from domain.deadlines import hours_left
from domain.decisions import Effect, Quote, as_dict
from domain.orders import OrderStatus, Workflow
from domain.requirements import requirement_lines
from graphs.approved import quote_in
from graphs.context import TurnContext
from graphs.orders import OrdersInTalk, order_effect
from graphs.state import ConversationState
from storage.orders import OrderRow

FIRST = 100
"""Number of the first of these effects; those of node `order` come before."""
_WITH_DESIGNERS = frozenset(OrderStatus) - {OrderStatus.QUOTED, OrderStatus.DELIVERED}
"""Of open orders: those that a designer has, or is to get."""


def quoted_order(state: ConversationState, context: TurnContext) -> list[Effect]:
    """What was quoted of pictures stands as an order that waits for a yes; one about the same
    pictures is quoted anew."""
    orders, offered = context.orders, quote_in(state)
    if orders is None or offered is None:
        return []
    known = _of_this_talk(state, orders, offered)
    if known is not None:
        return [_quote_anew(state, context, known, offered)]
    if not state.get("pictures"):
        return []
    return [_create(state, context, OrderStatus.QUOTED, offered, _workflow(context, offered))]


def confirmed_order(
    state: ConversationState, context: TurnContext, *, handed: bool = False
) -> list[Effect]:
    """The customer said yes to the open quote. ``handed``: the turn itself tells staff."""
    orders, quote = context.orders, state.get("open_quote")
    if orders is None or not quote:
        return []
    row = waiting_for_yes(state, orders)
    if row is not None:
        known = {"order_id": row.id, "version": row.version, "handed": handed}
        return [order_effect(FIRST, "confirm", **known)]
    offered, said = quote_of(quote), state.get("wanted", "")
    made = _create(state, context, OrderStatus.CONFIRMED, offered, Workflow.DESIGN, said=said)
    made.payload["handed"] = handed
    return [made]


def designers_order(state: ConversationState, context: TurnContext) -> list[Effect]:
    """A designer has to look at the pictures before there is a price; no second order for them."""
    orders = context.orders
    if orders is None or _about(orders, _pictures(state), *_WITH_DESIGNERS) is not None:
        return []
    made = _create(state, context, OrderStatus.DRAFT, None, Workflow.DESIGN)
    evidence = "；".join(state["risk"].get("evidence", ()))
    tried = {"by": "图片检查", "result": "given_up", "reason": evidence}
    made.payload.update(tried=tried, handed=not orders.dispatching)
    return [made]


def waiting_for_yes(state: ConversationState, orders: OrdersInTalk) -> OrderRow | None:
    """The order that the open quote is for."""
    quote, row = state.get("open_quote"), orders.latest(OrderStatus.QUOTED)
    if not quote or row is None or row.quote is None:
        return None
    return row if row.quote.service == quote["service"] else None


def is_for_a_person(state: ConversationState, context: TurnContext) -> bool:
    """Whether a confirmed order goes to the desk: designers' work, and no Tuhui to give it to."""
    orders = context.orders
    if orders is None:
        return True
    row = waiting_for_yes(state, orders)
    workflow = row.workflow if row is not None else Workflow.DESIGN
    return workflow is Workflow.DESIGN and not orders.dispatching


def _of_this_talk(
    state: ConversationState, orders: OrdersInTalk, offered: Quote
) -> OrderRow | None:
    pictures = _pictures(state)
    if pictures:
        return _about(orders, pictures, OrderStatus.QUOTED)
    row = orders.latest(OrderStatus.QUOTED)
    same = row is not None and row.quote is not None and row.quote.service == offered.service
    return row if same else None


def _about(
    orders: OrdersInTalk, pictures: Sequence[str], *statuses: OrderStatus
) -> OrderRow | None:
    fitting = (
        row
        for row in reversed(orders.rows)
        if row.status in statuses and pictures and set(row.pictures) == set(pictures)
    )
    return next(fitting, None)


def _quote_anew(
    state: ConversationState, context: TurnContext, row: OrderRow, offered: Quote
) -> Effect:
    found = state["classification"]
    another = row.quote is None or row.quote.service != offered.service
    more = "quantity" in found["entities"] and not found.get("bargains")
    requirement = row.requirement
    if another:
        requirement = _requirement(found["text"], offered)
    elif more:
        lines = [*requirement_lines(row.requirement), *requirement_lines(found["text"])]
        requirement = "\n".join(dict.fromkeys(lines))
    workflow = _workflow(context, offered)
    return order_effect(
        FIRST,
        "quote",
        order_id=row.id,
        version=row.version,
        quote=as_dict(offered),
        requirement=requirement,
        workflow=workflow.value,
    )


def _create(
    state: ConversationState,
    context: TurnContext,
    status: OrderStatus,
    offered: Quote | None,
    workflow: Workflow,
    *,
    said: str = "",
) -> Effect:
    """``said``: what is wanted, where that is not this message."""
    found = state["classification"]
    said = said or found["text"]
    hours = hours_left(said, datetime.fromtimestamp(context.now, context.services.zone))
    payload: dict[str, Any] = {
        "status": status.value,
        "service": offered.service if offered is not None else "",
        "workflow": workflow.value,
        "requirement": _requirement(said, offered),
        "images": list(found["images"]),
        "pictures": _pictures(state),
        "quote": as_dict(offered) if offered is not None else None,
        "priority": state["risk"]["priority"],
        "deadline_ts": context.now + hours * 3_600 if hours and hours > 0 else None,
    }
    return order_effect(FIRST, "create", **payload)


def _requirement(said: str, offered: Quote | None) -> str:
    lines = requirement_lines(said)
    return "\n".join(lines) or (offered.service_name if offered else "请看图片")


def _workflow(context: TurnContext, offered: Quote) -> Workflow:
    service = context.services.price_book.service(offered.service)
    return service.workflow if service is not None else Workflow.DESIGN


def _pictures(state: ConversationState) -> list[str]:
    return [str(one["sha256"]) for one in state.get("pictures") or []]
