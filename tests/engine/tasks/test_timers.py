"""Timers: on time, over a standstill, by the thousand; and time-outs."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from engine.delivery import Channel
from storage.inbox import receive as store
from tests.engine.processes import Clock, Process, Tasks, a_message, running_process, shown
from tests.engine.tasks.orders import (
    an_order,
    at_time,
    becomes,
    callbacks,
    pass_time,
    receive,
    status,
)
from tests.sandbox_server import SandboxServer

GREETING = {"type": "send_message", "message": "早上好!有什么可以帮您?"}
TAG = {"type": "add_tag", "tags": ["早"]}


async def known(process: Process, *chats: str) -> None:
    """Customers who have written on a channel that pushes."""
    for chat in chats:
        message = replace(a_message("零号", chat=chat, route="push"), received_at=time.time())
        await process.write(lambda c, m=message: store(c, m))  # type: ignore[misc]
    handled = text("UPDATE conversations SET due_at = NULL, first_unread_ts = NULL")
    await process.write(lambda c: c.execute(handled).rowcount)


async def cause_of(process: Process, task_id: str) -> dict[str, Any]:
    (row,) = await process.rows("SELECT cause FROM tasks WHERE task_id = :id", id=task_id)
    return dict(json.loads(row["cause"]))


async def test_a_timer_fires_within_a_second_of_its_time(
    process: Process, clock: Clock, sandbox_server: SandboxServer
) -> None:
    await known(process, "甲")
    task = await receive(process, trigger=at_time(clock() + 60), action=GREETING)
    assert await status(process, task) == "pending"
    clock.ahead += 59.2
    await becomes(process, task, "completed")
    assert await asyncio.to_thread(shown, sandbox_server, at_least=1) == [GREETING["message"]]
    assert 0 <= (await cause_of(process, task))["late_s"] < 1
    (told,) = await callbacks(sandbox_server, task)
    assert told["status"] == "completed"


async def test_a_timer_that_another_process_received_fires_within_a_second_too(
    database_url: str, channels: dict[str, Channel], clock: Clock
) -> None:
    both: dict[str, Any] = {"channels": channels, "clock": clock, "tasks": Tasks()}
    async with (
        running_process(database_url, owner="p1", **both) as one,
        running_process(database_url, owner="p2", **both) as two,
    ):
        assert one.work is not None
        await one.work.runner.stop(grace_s=0.0)
        await known(two, "甲")
        task = await receive(one, trigger=at_time(clock() + 60), action=TAG)
        clock.ahead += 60
        await becomes(two, task, "completed")
        assert (await cause_of(two, task))["late_s"] < 1


async def ordered_before(url: str, **changes: Any) -> str:
    """A task of a process that has gone since."""
    async with running_process(url, tasks=Tasks()) as process:
        await known(process, "甲")
        return await receive(process, **changes)


async def test_what_came_due_while_we_were_down_fires_once_at_the_start(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    later = Clock()
    task = await ordered_before(database_url, trigger=at_time(time.time() + 60), action=GREETING)
    later.ahead = 600
    for owner in ("p1", "p2"):
        async with running_process(
            database_url, channels=channels, clock=later, owner=owner, tasks=Tasks()
        ) as process:
            await becomes(process, task, "completed")
            assert (await cause_of(process, task))["late_s"] == pytest.approx(540, abs=20)
    assert await asyncio.to_thread(shown, sandbox_server) == [GREETING["message"]]


async def test_what_is_later_than_the_setting_allows_expires_and_is_told(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    later = Clock()
    task = await ordered_before(database_url, trigger=at_time(time.time() + 60), action=GREETING)
    later.ahead = 600
    async with running_process(
        database_url, channels=channels, clock=later, tasks=Tasks(late_s=300)
    ) as process:
        expired = await becomes(process, task, "expired")
        assert "超过允许的迟到" in expired["error_message"]
        assert (expired["triggered_at"], expired["completed_at"] is None) == (None, False)
        (told,) = await callbacks(sandbox_server, task)
        assert told["event"] == "task.expired"
    assert await asyncio.to_thread(shown, sandbox_server) == []


async def test_a_task_whose_trigger_never_came_expires_after_its_hours(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await receive(process, timeout_hours=0.2 / 3600)
    expired = await becomes(process, task, "expired")
    assert "小时内没有等到触发条件" in expired["error_message"]
    (told,) = await callbacks(sandbox_server, task)
    assert (told["event"], told["triggered_at"]) == ("task.expired", None)
    answer = await process.engine.ask(a_message("", whole="好的"))
    assert answer["decision"] == "chat"


async def test_timers_of_one_customer_and_one_time_fire_in_the_order_of_their_priority(
    process: Process, clock: Clock, sandbox_server: SandboxServer
) -> None:
    await known(process, "甲")
    due = clock() + 60
    ranks = ["low", "normal", "urgent", "high", "normal"]
    for priority in ranks:
        action = {"type": "send_message", "message": priority}
        await receive(process, trigger=at_time(due), priority=priority, action=action)
    pass_time(clock, 60, process)
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=len(ranks))
    assert texts == ["urgent", "high", "normal", "normal", "low"]


async def test_a_thousand_timers_of_the_same_second_fire_within_five(process: Process) -> None:
    """Seconds of work, of which an idle machine has one each second: others use this one too."""
    chats = [f"客户{n}" for n in range(20)]
    await known(process, *chats)
    later = at_time(time.time() + 3_600)
    orders = [
        an_order(customer={"id": chats[n % 20]}, trigger=later, action=TAG) for n in range(1_000)
    ]
    await asyncio.gather(*(process.tasks.receive(one, actor="tianwang") for one in orders))
    began, due_now = time.process_time(), text("UPDATE tasks SET due_at = :now")
    await process.write(lambda c: c.execute(due_now, {"now": time.time()}).rowcount)

    async def all_fired() -> bool:
        return not await process.rows("SELECT 1 FROM tasks WHERE status = 'pending' LIMIT 1")

    await process.until(all_fired)
    assert time.process_time() - began < 5
    fired = await process.rows("SELECT COUNT(*) AS n FROM audit WHERE action = 'task.fire'")
    assert fired == [{"n": 1_000}]
