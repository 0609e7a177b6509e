"""A task is completed when its action has been delivered, and not before."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engine.delivery import QUICK_ATTEMPTS, Channel
from engine.tasks.desk import TaskConflict
from tests.engine.processes import Clock, Process, Tasks, a_message, running_process, shown
from tests.engine.tasks.orders import (
    PATIENT,
    at_time,
    audit,
    becomes,
    callbacks,
    pass_time,
    receive,
    status,
)
from tests.sandbox_server import SandboxServer

FILE = "文件在这里"
URL = "https://files.example/稿件.pdf"


async def fire(process: Process) -> None:
    await process.engine.receive(a_message("", whole="好的", route="push"))
    await process.quiet()


def delivered_ids(sandbox: SandboxServer) -> list[str]:
    return [entry["body"]["message_id"] for entry in sandbox.journal("webhook", kind="deliver")]


async def test_a_task_is_completed_only_when_its_message_has_arrived(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "latency", seconds=0.4, count=1)
    task = await receive(process)
    await fire(process)
    waiting = await process.tasks.status(task)
    assert (waiting["status"], waiting["completed_at"]) == ("triggered", None)
    assert waiting["triggered_at"] is not None
    assert await callbacks(sandbox_server, task, at_least=0) == []
    done = await becomes(process, task, "completed")
    assert await asyncio.to_thread(shown, sandbox_server) == [FILE]
    assert done["error_message"] is None


async def test_while_the_peer_is_down_the_attempts_and_their_reason_are_visible(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=503)
    policy = replace(PATIENT, outbox_backoff_base_s=60.0, outbox_backoff_max_s=60.0)
    async with running_process(
        database_url, channels=channels, policy=policy, tasks=Tasks()
    ) as process:
        task = await receive(process)
        await fire(process)

        async def noted() -> bool:
            return bool((await process.tasks.status(task))["retry_count"])

        await process.until(noted)
        found = await process.tasks.status(task)
    assert (found["status"], found["retry_count"]) == ("triggered", 1)
    assert "503" in found["error_message"]


async def test_when_max_retry_is_used_up_the_task_has_failed_and_tianwang_is_told(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=503)
    task = await receive(process, max_retry=2)
    await fire(process)
    failed = await becomes(process, task, "failed")
    assert failed["retry_count"] == 2
    (told,) = await callbacks(sandbox_server, task)
    assert (told["event"], told["retry_count"]) == ("task.failed", 2)
    assert told["error_message"] == failed["error_message"]
    assert "503" in told["error_message"]
    posts = await asyncio.to_thread(sandbox_server.journal, "webhook", kind="deliver")
    assert len(posts) == 3 * QUICK_ATTEMPTS


async def test_a_peer_that_comes_back_in_time_completes_the_task(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=503, count=QUICK_ATTEMPTS)
    task = await receive(process)
    await fire(process)
    done = await becomes(process, task, "completed")
    assert (done["retry_count"], done["error_message"]) == (1, None)
    assert await asyncio.to_thread(shown, sandbox_server) == [FILE]


async def test_a_failed_task_that_is_tried_again_sends_under_a_new_id(
    process: Process, sandbox_server: SandboxServer
) -> None:
    fault = sandbox_server.fault("webhook", "status", status=503)
    task = await receive(process, max_retry=0)
    await fire(process)
    await becomes(process, task, "failed")
    await asyncio.to_thread(sandbox_server.delete, f"/_sandbox/faults/{fault}")
    before = set(await asyncio.to_thread(delivered_ids, sandbox_server))
    await process.tasks.retry(task, actor="设计师 lz")
    done = await becomes(process, task, "completed")
    assert (done["retry_count"], done["error_message"]) == (0, None)
    assert await asyncio.to_thread(shown, sandbox_server) == [FILE]
    after = set(await asyncio.to_thread(delivered_ids, sandbox_server))
    assert len(after - before) == len(before) == 1
    told = await callbacks(sandbox_server, task, at_least=2)
    assert [(one["sequence"], one["status"]) for one in told] == [(1, "failed"), (2, "completed")]
    with pytest.raises(TaskConflict, match="只有 failed 可以重试"):
        await process.tasks.retry(task, actor="设计师 lz")


async def test_what_the_peer_refuses_fails_at_once(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=403)
    task = await receive(process)
    await fire(process)
    failed = await becomes(process, task, "failed")
    assert (failed["retry_count"], "403" in failed["error_message"]) == (0, True)
    posts = await asyncio.to_thread(sandbox_server.journal, "webhook", kind="deliver")
    assert len(posts) == 1


async def test_text_and_file_of_one_action_complete_it_together(
    process: Process, sandbox_server: SandboxServer
) -> None:
    action = {"type": "send_file", "message": "您的稿件", "file_url": URL}
    task = await receive(process, action=action)
    await fire(process)
    await becomes(process, task, "completed")
    first, second = await asyncio.to_thread(sandbox_server.chat, "甲", at_least=2)
    assert first["text"] == "您的稿件"
    assert second["attachments"] == [{"kind": "file", "url": URL, "name": "稿件.pdf"}]


async def test_after_one_part_of_an_action_was_refused_the_parts_behind_it_are_not_sent(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=403, count=1)
    task = await receive(
        process, action={"type": "send_file", "message": "您的稿件", "file_url": URL}
    )
    await fire(process)
    await becomes(process, task, "failed")
    await process.engine.ask(a_message("一号", route="push"))
    await process.engine.receive(a_message("二号", route="push"))
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == ["答:充电桩二号怎么安装"]
    await process.tasks.retry(task, actor="设计师 lz")
    await becomes(process, task, "completed")
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=3)
    assert texts[1:] == ["您的稿件", ""]
    actions = [action for action, _ in await audit(process, task)]
    assert actions.count("task.failed") == 1


@pytest.mark.parametrize("who", ["甲", "nobody"])
async def test_a_timer_for_somebody_whom_no_channel_can_reach_fails_and_says_why(
    process: Process, clock: Clock, sandbox_server: SandboxServer, who: str
) -> None:
    await process.engine.ask(a_message("零号", chat="甲"))
    task = await receive(process, customer={"id": who}, trigger=at_time(clock() + 60))
    pass_time(clock, 60, process)
    failed = await becomes(process, task, "failed")
    reasons: dict[str, Any] = {"甲": "不能主动发消息", "nobody": "没有对应的客户"}
    assert reasons[who] in failed["error_message"]
    (told,) = await callbacks(sandbox_server, task)
    assert told["status"] == "failed"


async def test_an_action_that_the_caller_was_handed_in_the_response_is_completed_with_it(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", status=503)
    task = await receive(process)
    await process.engine.ask(a_message("", whole="好的"))
    assert await status(process, task) == "completed"
