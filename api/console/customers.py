"""Customers: who they are, how they stand, and what may be done. For administrators who may see all
accounts, since a person may have contacts in several."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheUnscopedRuler
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.customers.schemas import Address, CustomerChange, Phone, Remark, TagsIn
from api.dependencies import TheKefu
from api.fields import Name
from domain.customers import Level, State
from domain.errors import InvalidInput
from storage.customers import Wanted

CUSTOMERS_PATH = "/desk/customers"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=CUSTOMERS_PATH)
LEVELS, STATES = tuple(map(str, Level)), tuple(map(str, State))
CustomerId = Annotated[int, Path(ge=1, le=2**62)]
Chosen = Literal["white", "gray", "black", ""]
InState = Literal["new", "potential", "deal", "repurchase", "churn", ""]
Line = Annotated[str, Query(max_length=128)]


@router.get("")
async def customers_page(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    level: Chosen = "",
    state: InState = "",
    tag: Annotated[str, Query(max_length=64)] = "",
    q: Line = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    tag, q = tag.replace("\0", "").strip(), q.replace("\0", "").strip()
    wanted = Wanted(level, state, tag, q, limit=PAGE_SIZE)
    page = await kefu.customers.desk.listed(wanted, cursor=cursor)
    return await shown(
        request,
        reader,
        "customers.html",
        customers=page.items,
        next_cursor=page.next_cursor,
        filters={"level": level, "state": state, "tag": tag, "q": q},
        levels=LEVELS,
        states=STATES,
    )


@router.get("/{customer_id}")
async def customer_page(
    request: Request, kefu: TheKefu, reader: TheUnscopedRuler, customer_id: CustomerId
) -> Response:
    found = await kefu.customers.desk.get(customer_id)
    shares = [
        (name, getattr(found.standing, name), weight, name in found.standing.known)
        for name, weight in (("satisfaction", 40), ("activity", 30), ("value", 30))
    ]
    return await shown(
        request, reader, "customer.html", one=found, shares=shares, levels=LEVELS, states=STATES
    )


@router.post("/{customer_id}")
async def change(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    customer_id: CustomerId,
    name: Annotated[Name, Form()],
    state: Annotated[InState, Form()],
    level: Annotated[Literal["white", "gray", "black", "auto"], Form()],
    remark: Annotated[Remark, Form()] = "",
    phone: Annotated[Phone, Form()] = "",
    address: Annotated[Address, Form()] = "",
) -> Response:
    """What differs from what there is; a person's own state or level may have moved meanwhile."""
    desk = kefu.customers.desk
    before = await desk.get(customer_id)
    said = {"name": name, "remark": remark, "phone": phone, "address": address}
    changes = {key: value for key, value in said.items() if getattr(before, key) != value}
    changes |= {"state": state} if state and state != before.state else {}
    if level != (before.fixed or "auto"):
        changes["level"] = level
    if changes:
        wanted = CustomerChange.model_validate(changes).changes()
        await desk.change(customer_id, wanted, actor=reader.id)
    return see(f"{CUSTOMERS_PATH}/{customer_id}", "customer_saved")


@router.post("/{customer_id}/tags")
async def tags(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    customer_id: CustomerId,
    add: Annotated[str, Form(max_length=64)] = "",
    remove: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    try:
        body = TagsIn(add=[add] if add else [], remove=[remove] if remove else [])
    except ValidationError:
        raise InvalidInput("add", "请填写一个标签") from None
    await kefu.customers.desk.tag(customer_id, add=body.add, remove=body.remove, actor=reader.id)
    return see(f"{CUSTOMERS_PATH}/{customer_id}", "customer_saved")


@router.post("/{customer_id}/merge")
async def merge(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    customer_id: CustomerId,
    other: Annotated[int, Form(ge=1, le=2**62)],
) -> Response:
    await kefu.customers.desk.merge(customer_id, other, actor=reader.id)
    return see(f"{CUSTOMERS_PATH}/{customer_id}", "customer_merged")


@router.post("/{customer_id}/unmerge")
async def unmerge(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    customer_id: CustomerId,
    merged: Annotated[int, Form(alias="merge", ge=1, le=2**62)],
) -> Response:
    await kefu.customers.desk.unmerge(customer_id, merged, actor=reader.id)
    return see(f"{CUSTOMERS_PATH}/{customer_id}", "customer_unmerged")


@router.get("/{customer_id}/export")
async def export(kefu: TheKefu, reader: TheUnscopedRuler, customer_id: CustomerId) -> Response:
    pieces = await kefu.customers.desk.export(customer_id, actor=reader.id)
    headers = {
        "Content-Disposition": f'attachment; filename="customer-{customer_id}.json"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.post("/{customer_id}/erase")
async def erase(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    customer_id: CustomerId,
    contact_id: Annotated[str, Form(max_length=600)],
) -> Response:
    """``contact_id``: typed by whoever means it."""
    desk = kefu.customers.desk
    if (await desk.get(customer_id)).contact_id != contact_id.strip():
        raise InvalidInput("contact_id", "与该客户不一致", status=409)
    await desk.erase(customer_id, actor=reader.id)
    return see(CUSTOMERS_PATH, "customer_erased")
