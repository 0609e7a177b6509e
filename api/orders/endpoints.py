"""GET /api/orders, POST /api/orders/{id}/confirm, and so on. For staff: no customer's token."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.dependencies import TheActor
from api.envelopes import Json
from api.fields import Identifier
from api.orders.schemas import (
    ERRORS,
    AmendIn,
    CancelIn,
    ChangeIn,
    DeliverIn,
    DesignerIn,
    OrderId,
    OrderOut,
    OrdersOut,
    PageNumber,
    PageSize,
    ReworkIn,
    Statuses,
    WholeOrderOut,
)
from domain.orders import Amendment, Workflow
from engine.orders.desk import OrderDesk

ORDERS_PATH = "/api/orders"
router = APIRouter(prefix=ORDERS_PATH, tags=["orders"], responses=ERRORS)


async def _the_orders(request: Request) -> OrderDesk:
    desk: OrderDesk = request.app.state.kefu.orders
    return desk


TheOrders = Annotated[OrderDesk, Depends(_the_orders)]
NOTHING_MORE = ChangeIn()


@router.get("", response_model=OrdersOut)
async def list_orders(
    orders: TheOrders,
    status: Statuses = [],  # noqa: B006 - FastAPI copies it
    customer_id: Annotated[
        Identifier | None, Query(description="As the channel names them, or a contact id.")
    ] = None,
    workflow: Workflow | None = None,
    conversation_id: Identifier | None = None,
    page: PageNumber = 1,
    page_size: PageSize = 20,
) -> Response:
    """Orders for work on pictures, the newest first."""
    return Json(
        await orders.listed(
            statuses=status,
            customer=customer_id,
            workflow=workflow,
            conversation_id=conversation_id,
            page=page,
            page_size=page_size,
        )
    )


@router.get("/{order_id}", response_model=WholeOrderOut)
async def get_order(order_id: OrderId, orders: TheOrders) -> Response:
    """One order with its events, and what is known of its pictures."""
    return Json(await orders.get(order_id))


@router.post("/{order_id}/amend", response_model=OrderOut)
async def amend(order_id: OrderId, body: AmendIn, orders: TheOrders, actor: TheActor) -> Response:
    """Change what is wanted; the price is made anew, and everyone concerned is told. What was
    delivered goes back to work."""
    changes = [Amendment(one.kind, one.requirement) for one in body.changes]
    return Json(
        await orders.amend(
            order_id,
            changes,
            actor=actor,
            pictures=body.pictures,
            images=body.images,
            **_as_read(body),
        )
    )


@router.post("/{order_id}/confirm", response_model=OrderOut)
async def confirm(
    order_id: OrderId, orders: TheOrders, actor: TheActor, body: ChangeIn = NOTHING_MORE
) -> Response:
    """The customer takes the price: work begins."""
    return Json(await orders.confirm(order_id, actor=actor, **_as_read(body)))


@router.post("/{order_id}/deliver", response_model=OrderOut)
async def deliver(
    order_id: OrderId, body: DeliverIn, orders: TheOrders, actor: TheActor
) -> Response:
    """Hand over what was made: it goes to the customer at once."""
    return Json(
        await orders.deliver(
            order_id, body.deliverables, actor=actor, note=body.note, **_as_read(body)
        )
    )


@router.post("/{order_id}/accept", response_model=OrderOut)
async def accept(
    order_id: OrderId, orders: TheOrders, actor: TheActor, body: ChangeIn = NOTHING_MORE
) -> Response:
    """The customer is content."""
    return Json(await orders.accept(order_id, actor=actor, **_as_read(body)))


@router.post("/{order_id}/rework", response_model=OrderOut)
async def rework(
    order_id: OrderId, orders: TheOrders, actor: TheActor, body: ReworkIn | None = None
) -> Response:
    """What was delivered goes back to whoever made it."""
    told = body or ReworkIn()
    return Json(await orders.rework(order_id, told.note, actor=actor, **_as_read(told)))


@router.post("/{order_id}/cancel", response_model=OrderOut)
async def cancel(
    order_id: OrderId, orders: TheOrders, actor: TheActor, body: CancelIn | None = None
) -> Response:
    """Call it off, and its dispatch with it."""
    told = body or CancelIn()
    return Json(await orders.cancel(order_id, told.reason, actor=actor, **_as_read(told)))


@router.post("/{order_id}/assign-designer", response_model=OrderOut)
async def assign_designer(
    order_id: OrderId, body: DesignerIn, orders: TheOrders, actor: TheActor
) -> Response:
    """To this designer, instead of whoever has it."""
    return Json(
        await orders.assign_designer(order_id, body.designer, actor=actor, version=body.version)
    )


def _as_read(body: ChangeIn) -> dict[str, Any]:
    return {"version": body.version, "tell": body.tell_customer}
