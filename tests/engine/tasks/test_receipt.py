"""What is taken and what is refused at receipt; a repeated order; a task set back by hand."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from domain.errors import InvalidInput, NotFound
from engine.delivery import Channel
from engine.tasks import runner
from engine.tasks.desk import TaskConflict
from tests.engine.processes import Clock, Process, Tasks, a_message, running_process
from tests.engine.tasks.orders import (
    PATIENT,
    an_order,
    at_time,
    audit,
    becomes,
    callbacks,
    on_keyword,
    pass_time,
    receive,
    status,
)
from tests.sandbox_server import SandboxServer

FILE = "文件在这里"


def says(message: str) -> dict[str, str]:
    return {"type": "send_message", "message": message}


async def test_the_same_order_again_is_the_same_success_and_writes_nothing(
    process: Process,
) -> None:
    order = an_order()
    first = await process.tasks.receive(order, actor="tianwang")
    again = await process.tasks.receive(order, actor="tianwang")
    assert first == again
    assert (first["status"], first["retry_count"]) == ("pending", 0)
    assert [action for action, _ in await audit(process, order.task_id)] == ["task.receive"]


async def test_the_same_order_after_its_end_is_the_same_success_with_its_end(
    process: Process,
) -> None:
    order = an_order()
    await process.tasks.receive(order, actor="tianwang")
    await process.engine.ask(a_message("", whole="好的"))
    again = await process.tasks.receive(order, actor="tianwang")
    assert again["status"] == "completed"
    answer = await process.engine.ask(a_message("", whole="好的"))
    assert FILE not in answer["content"]


async def test_a_timer_s_order_may_come_again_after_its_time(
    process: Process, clock: Clock
) -> None:
    action = {"type": "notify_staff", "message": "到点了"}
    order = an_order(trigger=at_time(clock() + 60), action=action)
    await process.tasks.receive(order, actor="tianwang")
    pass_time(clock, 60, process)
    await becomes(process, order.task_id, "completed")
    assert (await process.tasks.receive(order, actor="tianwang"))["status"] == "completed"


async def test_another_order_of_the_same_id_is_a_conflict_that_names_what_differs(
    process: Process,
) -> None:
    order = an_order()
    await process.tasks.receive(order, actor="tianwang")
    other = an_order(
        task_id=order.task_id, action=says("另一句"), trigger=on_keyword("可以"), priority="high"
    )
    with pytest.raises(TaskConflict) as conflict:
        await process.tasks.receive(other, actor="tianwang")
    assert conflict.value.status == 409
    assert {"action.message", "trigger.keyword", "priority"} <= set(conflict.value.differences)
    assert "action.message" in conflict.value.reason
    assert await process.count("tasks") == 1


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"action": {"type": "send_fax", "message": "x"}}, "action.type", "send_message"),
    ({"action": {"type": "send_message"}}, "action.message", "缺少"),
    ({"action": {**says("x"), "colour": "red"}}, "action.colour", "不支持"),
    (
        {"action": {"type": "send_file", "file_url": "file:///etc/passwd"}},
        "action.file_url",
        "http",
    ),
    ({"action": {"type": "add_tag", "tags": []}}, "action.arguments", "至少"),
    ({"action": {"type": "add_tag", "tags": "三"}}, "action.tags", "数组"),
    ({"action": {"type": "update_customer", "state": "rich"}}, "action.state", "deal"),
    ({"action": says("您好 {{customer.birthday}}")}, "action.message", "customer.birthday"),
    ({"action": says("您好 {{customer.name}}")}, "action.message", "customer.name"),
    ({"action": says("您好 {{customer.id")}, "action.message", "未闭合"),
    (
        {"action": says("{{trigger.text}}"), "trigger": at_time(time.time() + 36_000)},
        "action.message",
        "trigger.text",
    ),
    (
        {"action": {"type": "add_tag", "tags": ["{{trigger.nothing}}"]}},
        "action.tags.0",
        "trigger.nothing",
    ),
    ({"action": {**says("x"), "customer_id": "{{trigger.text}}"}}, "action.customer_id", "{{"),
    ({"action": {"type": "add_tag", "tags": ["{{trigger.keyword}}"]}}, "action.tags.0", "填入字段"),
    ({"trigger": at_time(time.time() - 3_600)}, "trigger.time", "已过去"),
]


@pytest.mark.parametrize(("changes", "place", "reason"), REFUSED)
async def test_what_could_not_be_carried_out_is_refused_at_receipt_at_its_place(
    sqlite_process: Process, changes: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await receive(sqlite_process, **changes)
    assert (refusal.value.field, refusal.value.status) == (place, 422)
    assert reason in refusal.value.reason
    assert await sqlite_process.count("tasks") == 0


@pytest.fixture(scope="module")
def refusing_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('refused') / 'kefu.db'}"


@pytest.fixture
async def sqlite_process(refusing_url: str) -> AsyncIterator[Process]:
    """What is refused touches no database: one kind will do."""
    async with running_process(refusing_url, tasks=Tasks()) as process:
        yield process


async def test_fields_in_texts_are_filled_when_the_task_fires(process: Process) -> None:
    text = (
        "{{customer.name}}({{ customer.id }})说「{{trigger.text}}」,{{trigger.keyword}},{{task.id}}"
    )
    customer = {"id": "甲", "name": "小明"}
    task = await receive(process, action=says(text), customer=customer)
    answer = await process.engine.ask(a_message("", whole="好的呀!"))
    assert answer["content"] == f"小明(甲)说「好的呀!」,好的,{task}"


@pytest.mark.parametrize("words", ["{{task.id}}", "{{nothing}}", "{{", "}} {{customer.id}}"])
async def test_what_a_customer_writes_is_never_read_for_fields(
    process: Process, sandbox_server: SandboxServer, words: str
) -> None:
    await receive(process, action=says("您说:{{trigger.text}}"))
    later = {"type": "schedule_message", "message": "{{trigger.text}}", "delay_minutes": 1}
    await receive(process, action=later)
    whole = f"好的 {words}"
    await process.engine.ask(a_message("", whole=whole, route="push"))
    said = await process.rows(
        "SELECT content FROM messages WHERE role = 'assistant' ORDER BY id LIMIT 1"
    )
    assert said == [{"content": f"您说:{whole}"}]
    (task,) = await process.rows("SELECT task_id FROM tasks WHERE source = 'tool'")
    now = text("UPDATE tasks SET due_at = :now WHERE source = 'tool'")
    await process.write(lambda c: c.execute(now, {"now": time.time()}).rowcount)
    await becomes(process, task["task_id"], "completed")
    assert [message["text"] for message in sandbox_server.chat("甲")] == [whole]


async def test_cancelling_is_told_and_the_trigger_is_answered_as_any_message(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await receive(process)
    cancelled = await process.tasks.cancel(task, "客户取消订单", actor="tianwang")
    assert (cancelled["status"], cancelled["error_message"]) == ("cancelled", "客户取消订单")
    assert await process.tasks.cancel(task, "再来一次", actor="tianwang") == cancelled
    assert (await process.engine.ask(a_message("", whole="好的")))["decision"] == "chat"
    (told,) = await callbacks(sandbox_server, task)
    assert (told["event"], told["error_message"]) == ("task.cancelled", "客户取消订单")
    last, detail = (await audit(process, task))[-1]
    assert (last, detail["error"]) == ("task.cancelled", "客户取消订单")


async def test_what_has_fired_cannot_be_cancelled_and_what_is_unknown_is_not_found(
    process: Process,
) -> None:
    task = await receive(process)
    await process.engine.ask(a_message("", whole="好的"))
    with pytest.raises(TaskConflict, match="不能取消") as conflict:
        await process.tasks.cancel(task, "", actor="tianwang")
    assert conflict.value.status == 409
    with pytest.raises(NotFound):
        await process.tasks.cancel("T404", "", actor="tianwang")
    with pytest.raises(TaskConflict, match="只有 failed 可以重试"):
        await process.tasks.retry(task, actor="tianwang")


BY_HAND = text("UPDATE tasks SET status='pending' WHERE task_id=:task")


@pytest.fixture
async def attentive(
    database_url: str,
    channels: dict[str, Channel],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Process]:
    """Looks every second, not every ten, for tasks that were set to pending by hand."""
    monkeypatch.setattr(runner, "MOOR_EVERY_S", 0.2)
    async with running_process(
        database_url, channels=channels, policy=PATIENT, clock=clock, tasks=Tasks()
    ) as process:
        yield process


async def test_a_task_that_is_set_to_pending_by_hand_waits_and_fires_again(
    attentive: Process, sandbox_server: SandboxServer
) -> None:
    process = attentive
    task = await receive(process)
    assert (await process.engine.ask(a_message("", whole="好的")))["content"] == FILE
    await process.write(lambda c: c.execute(BY_HAND, {"task": task}).rowcount)

    async def moored() -> bool:
        return ("task.reset", {"status": "pending"}) in await audit(process, task)

    await process.until(moored)
    found = await process.tasks.status(task)
    assert (found["status"], found["triggered_at"]) == ("pending", None)
    assert (await process.engine.ask(a_message("", whole="好的")))["content"] == FILE
    told = await callbacks(sandbox_server, task, at_least=2)
    assert [one["sequence"] for one in told] == [1, 2]


async def test_a_failed_task_that_is_set_to_pending_by_hand_has_all_its_retries_again(
    attentive: Process, sandbox_server: SandboxServer
) -> None:
    process = attentive
    sandbox_server.fault("webhook", "status", status=503)
    task = await receive(process, max_retry=1)
    await process.engine.receive(a_message("", whole="好的", route="push"))
    await becomes(process, task, "failed")
    await process.write(lambda c: c.execute(BY_HAND, {"task": task}).rowcount)

    async def moored() -> bool:
        found = await process.tasks.status(task)
        return (found["retry_count"], found["result"], found["error_message"]) == (0, None, None)

    await process.until(moored)
    assert await status(process, task) == "pending"


async def test_a_task_that_is_set_to_pending_between_two_attempts_waits_for_its_trigger(
    attentive: Process, sandbox_server: SandboxServer
) -> None:
    process = attentive
    task = await receive(process)
    waiting = text(
        "UPDATE tasks SET triggered_at='2026-02-27T18:00:00', due_at=:now WHERE task_id=:task"
    )
    await process.write(lambda c: c.execute(waiting, {"task": task, "now": time.time()}).rowcount)

    async def moored() -> bool:
        return (await process.tasks.status(task))["triggered_at"] is None

    await process.until(moored)
    assert await status(process, task) == "pending"
    assert (await process.engine.ask(a_message("", whole="好的")))["content"] == FILE


async def test_a_timer_that_is_set_to_pending_by_hand_fires_at_once(
    attentive: Process, clock: Clock, sandbox_server: SandboxServer
) -> None:
    process = attentive
    action = {"type": "notify_staff", "message": "到点了"}
    task = await receive(process, trigger=at_time(clock() + 60), action=action)
    pass_time(clock, 60, process)
    await becomes(process, task, "completed")
    await process.write(lambda c: c.execute(BY_HAND, {"task": task}).rowcount)
    told = await callbacks(sandbox_server, task, at_least=2)
    assert [one["status"] for one in told] == ["completed", "completed"]
    assert json.loads((await becomes(process, task, "completed"))["result"])
    assert len(sandbox_server.notices(at_least=2, wait=5)) == 2
