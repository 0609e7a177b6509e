"""Orders for work on pictures: their life, their pictures, their price, and what may be done."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import Reader, TheActor, TheReader
from api.console.rendering import see
from api.console.shell import part_of, shown
from api.dependencies import TheKefu
from api.fields import OptionalText
from api.orders.pictures import SAFE
from domain.errors import InvalidInput, NotFound
from domain.orders import CLOSED, OrderStatus, may_follow
from engine.bootstrap import Kefu
from engine.orders.shown import order_out
from storage import console

ORDERS_PATH = "/desk/orders"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=ORDERS_PATH)
OrderId = Annotated[int, Path(ge=1, le=2**62)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]
Group = Literal["open", "delivered", "closed", "all"]
_GROUPS: dict[str, tuple[OrderStatus, ...]] = {
    "open": tuple(s for s in OrderStatus if s not in CLOSED and s is not OrderStatus.DELIVERED),
    "delivered": (OrderStatus.DELIVERED,),
    "closed": tuple(s for s in OrderStatus if s in CLOSED),
    "all": (),
}
_ACTS = {
    "confirm": OrderStatus.CONFIRMED,
    "accept": OrderStatus.ACCEPTED,
    "rework": OrderStatus.REWORK,
    "cancel": OrderStatus.CANCELLED,
}


@router.get("")
async def orders_page(
    request: Request,
    kefu: TheKefu,
    reader: TheReader,
    group: Group = "open",
    q: Annotated[str, Query(max_length=100)] = "",
    page: PageNumber = 1,
) -> Response:
    part, statuses = part_of(reader, page), [status.value for status in _GROUPS[group]]

    def unit(connection: Connection) -> tuple[list[dict[str, Any]], bool]:
        found = console.orders(connection, part, statuses, q.strip())
        rows = [(one, kefu.orders.book.get(connection, one["id"])) for one in found.items]
        return [{**one, **order_out(row)} for one, row in rows if row is not None], found.more

    items, more = await kefu.engine.database.read(unit)
    return await shown(
        request,
        reader,
        "orders.html",
        orders=items,
        more=more,
        page=page,
        group=group,
        groups=tuple(_GROUPS),
        search=q,
    )


@router.get("/{order_id}")
async def order_page(
    request: Request, kefu: TheKefu, reader: TheReader, order_id: OrderId
) -> Response:
    await _require(kefu, reader, order_id)
    order = await kefu.orders.get(order_id)
    status = OrderStatus(order["status"])
    may = [act for act, after in _ACTS.items() if may_follow(status, after)]
    return await shown(
        request,
        reader,
        "order.html",
        order=order,
        may=may,
        facts={one["sha256"]: one for one in order["facts"]},
    )


@router.get("/{order_id}/pictures/{sha256}")
async def picture(
    kefu: TheKefu,
    reader: TheReader,
    order_id: OrderId,
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    await _require(kefu, reader, order_id)
    order = await kefu.orders.get(order_id)
    if sha256 not in (*order["pictures"], *order["deliverables"]):
        raise NotFound("sha256", sha256[:12])
    stored = await kefu.picture_desk.show(sha256)
    return Response(stored.data, media_type=stored.content_type, headers=SAFE)


@router.post("/{order_id}")
async def change(
    kefu: TheKefu,
    reader: TheActor,
    order_id: OrderId,
    act: Annotated[Literal["confirm", "accept", "rework", "cancel", "assign"], Form()],
    version: Annotated[int, Form(ge=1, le=2**31)],
    note: Annotated[OptionalText, Form()] = "",
    designer: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """``version``: as the page was read; 409 where the order has changed since."""
    await _require(kefu, reader, order_id)
    orders, by = kefu.orders, reader.id
    if act == "confirm":
        await orders.confirm(order_id, actor=by, version=version)
    elif act == "accept":
        await orders.accept(order_id, actor=by, version=version)
    elif act == "rework":
        await orders.rework(order_id, note.strip(), actor=by, version=version)
    elif act == "cancel":
        await orders.cancel(order_id, note.strip(), actor=by, version=version)
    elif designer.strip():
        await orders.assign_designer(order_id, designer.strip(), actor=by, version=version)
    else:
        raise InvalidInput("designer", "不能为空")
    return see(f"{ORDERS_PATH}/{order_id}", f"order_{act}")


async def _require(kefu: Kefu, reader: Reader, order_id: int) -> None:
    """Raises NotFound for an order of customers whom ``reader`` may not see."""
    scopes = reader.agent.scopes
    await kefu.engine.database.read(
        lambda c: console.require(c, "order", order_id, scopes, "order_id")
    )
