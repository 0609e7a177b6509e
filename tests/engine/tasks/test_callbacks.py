"""Tianwang is told how each task ended: signed, in order per task, until it says yes."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from domain.errors import PeerUnavailable
from engine.delivery import QUICK_ATTEMPTS, Channel
from engine.policy import EnginePolicy
from storage.outbox import Delivery
from tests.engine.processes import Process, Tasks, a_message, answer_to, running_process
from tests.engine.tasks.orders import (
    PATIENT,
    SECRET,
    audit,
    becomes,
    callbacks,
    on_keyword,
    receive,
)
from tests.sandbox_server import SandboxServer

FILE = "文件在这里"
TINY = replace(PATIENT, outbox_backoff_base_s=0.001, outbox_backoff_max_s=0.005)


async def end_twice(process: Process, task: str) -> None:
    """Failed, then completed: two ends of one task."""
    await process.tasks.retry(task, actor="设计师 lz")
    await becomes(process, task, "completed")


async def failing_task(process: Process, sandbox: SandboxServer, **changes: Any) -> str:
    sandbox.fault("webhook", "status", status=403, count=1)
    task = await receive(process, **changes)
    await process.engine.receive(a_message("", whole="好的", route="push"))
    await becomes(process, task, "failed")
    return task


async def test_a_callback_is_signed_over_its_time_and_body(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await receive(process)
    await process.engine.ask(a_message("", whole="好的"))
    (told,) = await callbacks(sandbox_server, task)
    assert told["verified"] is True
    (entry,) = sandbox_server.journal("tianwang", kind="callback")
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    assert headers["x-tianwang-event-id"] == told["event_id"] == f"evt_{task}_1"
    assert abs(int(headers["x-tianwang-timestamp"]) - time.time()) < 10
    wrong = hmac.new(b"another", b"", hashlib.sha256).hexdigest()
    assert wrong not in headers["x-tianwang-signature"]
    sandbox_server.put("/_sandbox/tianwang/secret", {"secret": "another secret"})
    other = await receive(process)
    await process.engine.ask(a_message("", whole="好的"))
    assert await callbacks(sandbox_server, other, at_least=1, wait=0.5) == []


async def test_the_ends_of_one_task_are_told_in_order_while_the_receiver_fails_at_random(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    async with running_process(
        database_url, channels=channels, policy=TINY, tasks=Tasks()
    ) as process:
        tasks = [await failing_task(process, sandbox_server) for _ in range(4)]
        sandbox_server.fault("tianwang", "status", rate=0.4, status=500)
        sandbox_server.fault("tianwang", "lost_answer", rate=0.2)
        sandbox_server.fault("tianwang", "garbage", rate=0.2, body="<html>OK</html>")
        await asyncio.gather(*(end_twice(process, task) for task in tasks))
        for task in tasks:
            told = await callbacks(sandbox_server, task, at_least=2)
            assert [(one["sequence"], one["status"]) for one in told] == [
                (1, "failed"),
                (2, "completed"),
            ]
            assert all(one["conflicts"] == 0 for one in told)


async def test_callbacks_survive_a_restart(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    fault = sandbox_server.fault("tianwang", "status", status=500)
    policy = replace(PATIENT, outbox_backoff_base_s=3_600.0, outbox_backoff_max_s=3_600.0)
    async with running_process(
        database_url, channels=channels, policy=policy, tasks=Tasks()
    ) as process:
        task = await receive(process)
        await process.engine.ask(a_message("", whole="好的"))
        await process.until(lambda: _attempted(process))
    sandbox_server.delete(f"/_sandbox/faults/{fault}")
    sweeping = replace(PATIENT, sweep_s=0.05)
    async with running_process(
        database_url,
        channels=channels,
        policy=sweeping,
        tasks=Tasks(),
        clock=lambda: time.time() + 3_601,
        owner="p2",
    ):
        (told,) = await callbacks(sandbox_server, task)
    assert (told["event_id"], told["status"]) == (f"evt_{task}_1", "completed")


async def _attempted(process: Process) -> bool:
    tried = "SELECT 1 FROM outbox WHERE kind = 'callback' AND attempts > 0 AND lease_until = 0"
    return bool(await process.rows(tried))


async def test_a_callback_is_a_dead_letter_after_its_patience_and_can_be_sent_again(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    fault = sandbox_server.fault("tianwang", "status", status=404)
    policy = replace(TINY, patience_s={"tianwang": 0.5})
    async with running_process(
        database_url, channels=channels, policy=policy, tasks=Tasks()
    ) as process:
        task = await receive(process)
        await process.engine.ask(a_message("", whole="好的"))

        async def dead() -> bool:
            return bool(await process.rows("SELECT 1 FROM outbox WHERE status = 'dead'"))

        await process.until(dead)
        (letter,) = await process.rows("SELECT id, last_error, attempts FROM outbox")
        assert "404" in letter["last_error"]
        assert letter["attempts"] > 3
        sandbox_server.delete(f"/_sandbox/faults/{fault}")
        await process.engine.resend(letter["id"], actor="operator")
        (told,) = await callbacks(sandbox_server, task)
        assert told["event_id"] == f"evt_{task}_1"
        assert (await audit(process, str(letter["id"])))[-1][0] == "delivery.resend"
        assert (await process.tasks.status(task))["status"] == "completed"


ILLS: dict[str, tuple[int, dict[str, Any]]] = {
    "down": (200, {"kind": "refuse"}),
    "answering 500": (40, {"kind": "status", "status": 500}),
    "refusing": (40, {"kind": "status", "status": 401}),
    "answering garbage": (40, {"kind": "garbage", "body": "<html>It works!</html>"}),
    "losing answers": (40, {"kind": "lost_answer"}),
}
"""For how many attempts, and in which way."""


@pytest.mark.parametrize("ill", ILLS)
async def test_a_receiver_that_is_ill_for_many_attempts_loses_nothing(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer, ill: str
) -> None:
    attempts, fault = ILLS[ill]
    async with running_process(
        database_url, channels=channels, policy=TINY, tasks=Tasks()
    ) as process:
        task = await failing_task(process, sandbox_server)
        await callbacks(sandbox_server, task)
        sandbox_server.fault("tianwang", count=attempts, **fault)
        await end_twice(process, task)
        others = [await receive(process, trigger=on_keyword(f"暗号{n}")) for n in range(3)]
        for n in range(3):
            await process.engine.ask(a_message("", whole=f"暗号{n}"))
        message = a_message("一号")
        assert (await process.engine.ask(message))["content"] == answer_to(message)
        for one in others:
            (told,) = await callbacks(sandbox_server, one, wait=30)
            assert told["status"] == "completed"
        told_of = await callbacks(sandbox_server, task, at_least=2, wait=30)
        assert [one["status"] for one in told_of] == ["failed", "completed"]
        await process.until(lambda: _all_told(process))
        (tries,) = await process.rows("SELECT SUM(attempts) AS n FROM outbox WHERE kind='callback'")
        assert tries["n"] >= attempts / QUICK_ATTEMPTS


async def _all_told(process: Process) -> bool:
    return not await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")


class Slow:
    """A receiver that takes its time for its no: until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = asyncio.Event()

    async def deliver(self, delivery: Delivery) -> None:
        self.asked += 1
        await self.let_go.wait()
        raise PeerUnavailable("tianwang", "away")


async def are_answered(process: Process, messages: Iterable[int]) -> None:
    for number in messages:
        message = a_message(f"{number}号", chat=f"客户{number}")
        assert (await process.engine.ask(message))["content"] == answer_to(message)


async def test_a_receiver_that_is_slow_and_away_slows_no_customers_message(
    database_url: str, channels: dict[str, Channel]
) -> None:
    slow = Slow()
    policy: EnginePolicy = replace(TINY, deliveries_per_channel=8)
    async with running_process(
        database_url, channels=channels | {"tianwang": slow}, policy=policy, tasks=Tasks()
    ) as process:
        for n in range(60):
            await receive(process, trigger=on_keyword(f"暗号{n:02}"))
        for n in range(60):
            await process.engine.ask(a_message("", whole=f"暗号{n:02}", chat=f"另{n}"))

        async def all_busy() -> bool:
            return slow.asked == policy.deliveries_per_channel

        await process.until(all_busy)
        await are_answered(process, range(15))
        assert await all_busy(), "what waits for the receiver has come no further meanwhile"
        slow.let_go.set()
        await are_answered(process, range(15, 30))
        left = await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")
    assert len(left) == 60
    assert SECRET not in str(left)
