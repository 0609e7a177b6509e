"""All pages under /desk."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from api.console import (
    agents,
    approvals,
    assets,
    campaigns,
    clients,
    conversation,
    customers,
    entry,
    knowledge,
    letters,
    orders,
    overview,
    queue,
    rules,
    search,
    tasks,
    turns,
)
from api.console.failures import PageRoute
from api.console.reader import TheReader

router = APIRouter()
for _part in (
    assets,
    entry,
    queue,
    conversation,
    orders,
    approvals,
    letters,
    tasks,
    knowledge,
    search,
    turns,
    campaigns,
    customers,
    clients,
    agents,
    overview,
    rules,
):
    router.include_router(_part.router)

router.include_router(conversation.sending)
_rest = APIRouter(route_class=PageRoute, include_in_schema=False)


@_rest.get("/desk/{rest:path}")
async def nothing(reader: TheReader, rest: str) -> None:
    raise HTTPException(404)


router.include_router(_rest)
