"""Tianwang's tasks: what waits for what, what fired, what failed."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheUnscoped, TheUnscopedActor
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.dependencies import TheKefu
from api.fields import Identifier, OptionalText
from domain.tasks import TaskStatus

TASKS_PATH = "/desk/tasks"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=TASKS_PATH)
_LIFE = ("pending", "running", "completed")


@router.get("")
async def tasks_page(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscoped,
    status: Annotated[str, Query(max_length=20)] = "",
    customer: Annotated[str, Query(max_length=128)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    found = await kefu.tasks.list(
        status=status or None,
        customer_id=customer.strip() or None,
        page=page,
        page_size=PAGE_SIZE,
    )
    return await shown(
        request,
        reader,
        "tasks.html",
        tasks=found["tasks"],
        total=found["total"],
        more=found["total"] > page * PAGE_SIZE,
        page=page,
        state=status,
        states=[one.value for one in TaskStatus],
        customer=customer,
    )


@router.get("/one")
async def task_page(
    request: Request, kefu: TheKefu, reader: TheUnscoped, id: Annotated[Identifier, Query()]
) -> Response:
    """An id may hold a slash, so that it is a parameter and no part of the address."""
    return await shown(request, reader, "task.html", task=await kefu.tasks.status(id), life=_LIFE)


@router.post("/cancel")
async def cancel(
    kefu: TheKefu,
    reader: TheUnscopedActor,
    id: Annotated[Identifier, Form()],
    reason: Annotated[OptionalText, Form()] = "",
) -> Response:
    await kefu.tasks.cancel(id, reason.strip(), actor=reader.id)
    return see(TASKS_PATH, "task_cancelled")


@router.post("/retry")
async def retry(
    kefu: TheKefu, reader: TheUnscopedActor, id: Annotated[Identifier, Form()]
) -> Response:
    await kefu.tasks.retry(id, actor=reader.id)
    return see(TASKS_PATH, "task_retried")
