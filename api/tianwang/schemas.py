"""Requests and answers of seed 000. Times are local, in the service's zone, without an offset."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.fields import Identifier
from domain.tasks import TaskPriority, TaskStatus
from domain.text import one_line

MAX_REASON_CHARS = 500
MAX_PAGE = 1_000_000
MAX_PAGE_SIZE = 200


def _told(value: object) -> object:
    """`?status=&page=1` asks for all, as a form with an empty field does."""
    return None if isinstance(value, str) and not value.strip() else value


def _written(value: object) -> object:
    return "" if value is None else value


Status = Annotated[TaskStatus | None, BeforeValidator(_told)]
Customer = Annotated[Identifier | None, BeforeValidator(_told)]
Reason = Annotated[
    str, Field(max_length=MAX_REASON_CHARS), AfterValidator(one_line), BeforeValidator(_written)
]


def _example(**body: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class _Request(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)


class CancelRequest(_Request):
    """``reason`` is kept as the task's error_message."""

    task_id: Identifier
    reason: Reason = ""

    model_config = _example(task_id="TASK_20260227_001", reason="客户取消订单")


class RetryRequest(_Request):
    task_id: Identifier

    model_config = _example(task_id="TASK_20260227_001")


class TaskState(BaseModel):
    task_id: str
    status: TaskStatus


class _StateOut(BaseModel):
    code: int = 200
    message: str
    data: TaskState


class ReceivedOut(_StateOut):
    model_config = _example(
        code=200,
        message="任务接收成功",
        data={"task_id": "TASK_20260227_001", "status": "pending"},
    )


class CancelledOut(_StateOut):
    model_config = _example(
        code=200,
        message="任务已取消",
        data={"task_id": "TASK_20260227_001", "status": "cancelled"},
    )


class RetriedOut(_StateOut):
    model_config = _example(
        code=200,
        message="任务已重新执行",
        data={"task_id": "TASK_20260227_001", "status": "triggered"},
    )


class TaskOut(BaseModel):
    """The seed's ten fields in the seed's order."""

    task_id: str
    type: str
    status: TaskStatus
    priority: TaskPriority
    retry_count: int
    created_at: str
    created_by: str | None
    triggered_at: str | None
    completed_at: str | None
    error_message: str | None


STATUS_FIELDS = tuple(TaskOut.model_fields)
SEED_TASK = {
    "task_id": "TASK_20260227_001",
    "type": "send_file_after_reply",
    "status": "pending",
    "priority": "normal",
    "retry_count": 0,
    "created_at": "2026-02-27T18:00:00",
    "created_by": "设计师 lz",
    "triggered_at": None,
    "completed_at": None,
    "error_message": None,
}


class StatusOut(BaseModel):
    code: int = 200
    data: TaskOut

    model_config = _example(code=200, data=SEED_TASK)


class ListedTask(TaskOut):
    """``result``: what the action's tool answered, JSON as text."""

    customer_id: str | None
    customer_name: str | None
    trigger_type: str | None
    action_type: str | None
    max_retry: int
    timeout_hours: float
    result: str | None


class TaskPage(BaseModel):
    """``total``: of all pages; a page past the end is empty."""

    tasks: list[ListedTask]
    total: int
    page: int
    page_size: int


class ListOut(BaseModel):
    code: int = 200
    data: TaskPage

    model_config = _example(
        code=200,
        data={
            "tasks": [
                {
                    **SEED_TASK,
                    "customer_id": "customer_123",
                    "customer_name": "小明",
                    "trigger_type": "specified_customer_reply",
                    "action_type": "send_message",
                    "max_retry": 3,
                    "timeout_hours": 24,
                    "result": None,
                }
            ],
            "total": 1,
            "page": 1,
            "page_size": 10,
        },
    )


class Conflict(BaseModel):
    differences: list[str]


class TianwangError(BaseModel):
    """``message``: one line, the field first. ``data``: for a task id that is taken, the fields
    that differ from the task that has it; else null."""

    code: int
    message: str
    data: Conflict | None = None
