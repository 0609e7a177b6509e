"""POST /api/task/receive, GET /api/task/status/{task_id}, and so on."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json, error_body
from api.fields import Identifier
from api.tianwang.addresses import CANCEL, LIST, RECEIVE, RETRY, STATUS
from api.tianwang.schemas import (
    MAX_PAGE,
    MAX_PAGE_SIZE,
    STATUS_FIELDS,
    CancelledOut,
    CancelRequest,
    Customer,
    ListOut,
    ReceivedOut,
    RetriedOut,
    RetryRequest,
    Status,
    StatusOut,
    TianwangError,
)
from engine.tasks.desk import TaskConflict
from tools.tianwang.protocol import TaskOrder

router = APIRouter(tags=["tianwang"])


def _errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": TianwangError} for code in (400, 401, 403, 413, 422, 503, *codes)}


@router.post(RECEIVE, response_model=ReceivedOut, responses=_errors(409, 415))
async def receive_task(body: TaskOrder, kefu: TheKefu, actor: TheActor) -> Response:
    """Take a task. The same one again is the same success; another one of its id is a 409."""
    task = await kefu.tasks.receive(body, actor=actor)
    return _state("任务接收成功", task)


@router.get(f"{STATUS}/{{task_id:path}}", response_model=StatusOut, responses=_errors(404))
async def task_status(task_id: Annotated[Identifier, Path()], kefu: TheKefu) -> Response:
    """Where a task stands."""
    task = await kefu.tasks.status(task_id)
    return Json({"code": 200, "data": {name: task[name] for name in STATUS_FIELDS}})


@router.post(CANCEL, response_model=CancelledOut, responses=_errors(404, 409, 415))
async def cancel_task(body: CancelRequest, kefu: TheKefu, actor: TheActor) -> Response:
    """Take back a task that has not fired. Cancelling it again is the same success."""
    task = await kefu.tasks.cancel(body.task_id, body.reason, actor=actor)
    return _state("任务已取消", task)


@router.post(RETRY, response_model=RetriedOut, responses=_errors(404, 409, 415))
async def retry_task(body: RetryRequest, kefu: TheKefu, actor: TheActor) -> Response:
    """Carry out the action of a failed task once more, with all its retries."""
    task = await kefu.tasks.retry(body.task_id, actor=actor)
    return _state("任务已重新执行", task)


@router.get(LIST, response_model=ListOut, responses=_errors())
async def list_tasks(
    kefu: TheKefu,
    customer_id: Annotated[Customer, Query()] = None,
    status: Annotated[Status, Query()] = None,
    page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 20,
) -> Response:
    """Tasks, the newest first, a page at a time."""
    found = await kefu.tasks.list(
        customer_id=customer_id,
        status=status.value if status else None,
        page=page,
        page_size=page_size,
    )
    return Json({"code": 200, "data": found})


async def conflict(request: Request, error: TaskConflict) -> Response:
    """409, with the fields that differ where there are any."""
    body = error_body(request.url.path, error.status, error.reason, error.field)
    if error.differences:
        body["data"] = {"differences": list(error.differences)}
    return Json(body, status_code=error.status)


def _state(message: str, task: dict[str, Any]) -> Response:
    data = {"task_id": task["task_id"], "status": task["status"]}
    return Json({"code": 200, "message": message, "data": data})
