"""/api/v1/customers: who they are, how they stand, and what is kept of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from api.customers.schemas import (
    ERRORS,
    Cursor,
    CustomerChange,
    CustomerId,
    DealIn,
    ErasedOut,
    EraseIn,
    FeedbackIn,
    LevelName,
    Limit,
    MergeIn,
    Search,
    StateName,
    TagQuery,
    TagsIn,
    UnmergeIn,
)
from api.dependencies import TheActor
from api.envelopes import Json
from api.fields import Identifier
from domain.errors import InvalidInput
from engine.customers.desk import CustomerDesk
from engine.customers.views import CustomerPage, CustomerView, MergeView
from storage.customers import Wanted

CUSTOMERS_PATH = "/api/v1/customers"
router = APIRouter(prefix=CUSTOMERS_PATH, tags=["customers"], responses=ERRORS)
_DOCUMENT: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}


async def _the_customers(request: Request) -> CustomerDesk:
    desk: CustomerDesk = request.app.state.kefu.customers.desk
    return desk


TheCustomers = Annotated[CustomerDesk, Depends(_the_customers)]


@router.get("", response_model=CustomerPage)
async def list_customers(
    customers: TheCustomers,
    level: LevelName | None = None,
    state: StateName | None = None,
    tag: TagQuery = "",
    search: Search = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Response:
    """Persons, the last active first. Whoever is known under several contacts is one."""
    wanted = Wanted(level or "", state or "", tag.strip(), search.strip(), limit=limit)
    return Json(await customers.listed(wanted, cursor=cursor))


@router.get("/{customer_id}", response_model=CustomerView)
async def get_customer(customer_id: CustomerId, customers: TheCustomers) -> Response:
    """One person, with the arithmetic of the score. Any of their contacts' numbers will do."""
    return Json(await customers.get(customer_id))


@router.patch("/{customer_id}", response_model=CustomerView)
async def change_customer(
    customer_id: CustomerId, body: CustomerChange, customers: TheCustomers, actor: TheActor
) -> Response:
    return Json(await customers.change(customer_id, body.changes(), actor=actor))


@router.post("/{customer_id}/tags", response_model=CustomerView)
async def tag_customer(
    customer_id: CustomerId, body: TagsIn, customers: TheCustomers, actor: TheActor
) -> Response:
    done = await customers.tag(customer_id, add=body.add, remove=body.remove, actor=actor)
    return Json(done)


@router.post("/{customer_id}/deals", response_model=CustomerView)
async def add_deal(
    customer_id: CustomerId, body: DealIn, customers: TheCustomers, actor: TheActor
) -> Response:
    """Something was bought elsewhere. Orders of ours that are delivered count by themselves."""
    done = await customers.bought(customer_id, body.key, body.fen, note=body.note, actor=actor)
    return Json(done)


@router.delete("/{customer_id}/deals/{key:path}", response_model=CustomerView)
async def call_off_deal(
    customer_id: CustomerId, key: Identifier, customers: TheCustomers, actor: TheActor
) -> Response:
    """It does not count any more. ``key``: as it is listed with the customer."""
    return Json(await customers.call_off(customer_id, key, actor=actor))


@router.post("/{customer_id}/feedback", response_model=CustomerView)
async def add_feedback(
    customer_id: CustomerId, body: FeedbackIn, customers: TheCustomers, actor: TheActor
) -> Response:
    """What the customer says of us, asked elsewhere. Ratings at the desk count by themselves."""
    return Json(await customers.judge(customer_id, body.key, body.rating, actor=actor))


@router.post("/{customer_id}/merge", response_model=MergeView)
async def merge_customers(
    customer_id: CustomerId, body: MergeIn, customers: TheCustomers, actor: TheActor
) -> Response:
    """``other`` is this customer, too, who speaks for both from now on. 409: they are one already,
    or would be too many."""
    return Json(await customers.merge(customer_id, body.other, actor=actor))


@router.post("/{customer_id}/unmerge", response_model=MergeView)
async def unmerge_customers(
    customer_id: CustomerId, body: UnmergeIn, customers: TheCustomers, actor: TheActor
) -> Response:
    """Those who came by a merge are a person of their own again, with all that is theirs."""
    return Json(await customers.unmerge(customer_id, body.merge, actor=actor))


@router.get("/{customer_id}/export", response_class=StreamingResponse, responses=_DOCUMENT)
async def export_customer(
    customer_id: CustomerId, customers: TheCustomers, actor: TheActor
) -> Response:
    """Everything that is kept of a person, as one JSON document that is sent as it is read."""
    pieces = await customers.export(customer_id, actor=actor)
    headers = {
        "Content-Disposition": f'attachment; filename="customer-{customer_id}.json"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.post("/{customer_id}/erase", response_model=ErasedOut)
async def erase_customer(
    customer_id: CustomerId, body: EraseIn, customers: TheCustomers, actor: TheActor
) -> Response:
    """Forget a person in every table, for good. 409 while a message of theirs is worked on."""
    if (await customers.get(customer_id)).contact_id != body.contact_id:
        raise InvalidInput("contact_id", "与该客户不一致", status=409)
    done = await customers.erase(customer_id, actor=actor)
    files = len(done.files.pictures) + len(done.files.regressions)
    return Json({"digest": done.digest, "rows": done.counts, "files": files})
