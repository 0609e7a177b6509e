"""Tianwang's orders, and what becomes of them."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.engine.processes import QUICK, ZONE, Clock, Process
from tests.sandbox_server import SandboxServer
from tools.tianwang.protocol import TaskOrder

SECRET = "a secret that two parties share"
PATIENT = replace(
    QUICK,
    outbox_backoff_base_s=0.01,
    outbox_backoff_max_s=0.05,
    patience_s={"tianwang": 3_600.0},
)
"""Failed deliveries come back soon; callbacks are tried for an hour."""
_numbers = itertools.count(1)


def an_order(**changes: Any) -> TaskOrder:
    """«When customer 甲 says 好的, send 文件在这里», with ``changes``."""
    order: dict[str, Any] = {
        "task_id": f"T{next(_numbers)}",
        "type": "send_file_after_reply",
        "customer": {"id": "甲"},
        "trigger": {"type": "specified_customer_reply", "keyword": "好的"},
        "action": {"type": "send_message", "message": "文件在这里"},
    }
    return TaskOrder.model_validate(order | changes)


def on_keyword(word: str, **trigger: Any) -> dict[str, Any]:
    """Whoever says ``word``."""
    return {"type": "customer_reply", "keyword": word, **trigger}


def at_time(seconds: float) -> dict[str, Any]:
    """time_reach, with fractions of a second and without an offset."""
    return {"type": "time_reach", "time": f"{datetime.fromtimestamp(seconds, ZONE):%F %T.%f}"}


async def receive(process: Process, **changes: Any) -> str:
    """Hand over `an_order`; its id."""
    order = an_order(**changes)
    await process.tasks.receive(order, actor="tianwang")
    return order.task_id


def pass_time(clock: Clock, seconds: float, *processes: Process) -> None:
    """``seconds`` of their ``clock`` pass at once, and they look at what is due."""
    clock.ahead += seconds
    for process in processes:
        assert process.work is not None
        process.work.runner.wake()


async def status(process: Process, task_id: str) -> str:
    return str((await process.tasks.status(task_id))["status"])


async def becomes(
    process: Process, task_id: str, wanted: str, *, seconds: float = 60.0
) -> dict[str, Any]:
    """The task, once its status is ``wanted``."""

    async def is_so() -> bool:
        return await status(process, task_id) == wanted

    await process.until(is_so, seconds=seconds)
    return await process.tasks.status(task_id)


async def callbacks(
    sandbox: SandboxServer, task_id: str, *, at_least: int = 1, wait: float = 10.0
) -> list[dict[str, Any]]:
    """What Tianwang was told of the task, in order."""
    page = await asyncio.to_thread(
        sandbox.get,
        "/_sandbox/tianwang/callbacks",
        task_id=task_id,
        at_least=at_least,
        wait=wait if at_least else 0.0,
    )
    return list(page["callbacks"])


async def said_in(process: Process, conversation: str) -> list[tuple[str, str]]:
    """The history of a conversation as (role, content)."""
    rows = await process.rows(
        "SELECT role, content FROM messages WHERE conversation_id = :id ORDER BY id",
        id=conversation,
    )
    return [(row["role"], row["content"]) for row in rows]


async def audit(process: Process, task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """What the audit log tells of the task: (action, detail) in order."""
    rows = await process.rows(
        "SELECT action, detail FROM audit WHERE subject = :id ORDER BY id", id=task_id
    )
    return [(row["action"], json.loads(row["detail"])) for row in rows]
