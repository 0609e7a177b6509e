"""The catalogue's tools as actions of tasks: what each brings about, once, and where it ends."""

import asyncio
import json
from typing import Any

from sqlalchemy import text

from tests.engine.processes import Process, a_message, shown
from tests.engine.tasks.orders import audit, becomes, callbacks, receive, said_in, status
from tests.sandbox_server import SandboxServer

CONTACT = "webhook:shop:甲"


async def fire(process: Process) -> dict[str, Any]:
    message = a_message("", whole="好的", route="push")
    await process.engine.receive(message)
    await process.quiet()
    found = await process.engine.answer_of("webhook", "shop", message.channel_message_id)
    assert found is not None
    assert found[1] is not None
    return found[1]


async def act(process: Process, tool: str, **arguments: Any) -> str:
    """The task whose action has been done."""
    task = await receive(process, action={"type": tool, **arguments})
    await fire(process)
    await becomes(process, task, "completed")
    return task


async def test_tags_and_customer_facts_are_kept(process: Process) -> None:
    await act(process, "add_tag", tags=["老客", "急"])
    await act(process, "update_customer", state="deal", remark="说了{{trigger.keyword}}")
    tags = await process.rows("SELECT contact_id, tag, added_by FROM customer_tags ORDER BY tag")
    assert {(row["contact_id"], row["tag"]) for row in tags} == {
        (CONTACT, "老客"),
        (CONTACT, "急"),
    }
    assert {row["added_by"] for row in tags} == {"tianwang"}
    (customer,) = await process.rows("SELECT state, remark, total_messages FROM customers")
    assert customer == {"state": "deal", "remark": "说了好的", "total_messages": 2}


async def test_handing_over_opens_a_handoff_tells_staff_and_the_customer(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await act(
        process, "transfer_to_human", reason="要改稿", priority="high", message="马上有人来"
    )
    (row,) = await process.rows("SELECT contact_id, reason, priority, question FROM handoffs")
    assert row == {
        "contact_id": CONTACT,
        "reason": "要改稿",
        "priority": "high",
        "question": "好的",
    }
    (notice,) = await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)
    assert "要改稿" in notice["text"]
    assert await asyncio.to_thread(shown, sandbox_server, at_least=1) == ["马上有人来"]
    # Notice and message are both delivered before Tianwang is told that it is done.
    assert (await callbacks(sandbox_server, task))[0]["status"] == "completed"


async def test_a_task_is_not_done_before_staff_has_its_notice(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("staff", "status", status=403)
    action = {"type": "transfer_to_human", "message": "马上有人来"}
    task = await receive(process, action=action)
    await fire(process)
    failed = await becomes(process, task, "failed")
    assert "403" in failed["error_message"]


async def test_picture_work_is_noted(process: Process) -> None:
    url = "https://files.example/a.png"
    await act(process, "create_image_task", requirement="去水印", image_urls=[url])
    (row,) = await process.rows("SELECT contact_id, requirement, images FROM image_tasks")
    assert (row["contact_id"], row["requirement"]) == (CONTACT, "去水印")
    assert json.loads(row["images"]) == [url]


async def test_a_scheduled_message_is_listed_as_a_task_and_sent_at_its_time(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await act(process, "schedule_message", message="早上好", delay_minutes=1)
    listed = await process.tasks.list(customer_id="甲", status="pending")
    (scheduled,) = listed["tasks"]
    assert (scheduled["trigger_type"], scheduled["action_type"]) == ("time_reach", "send_message")
    (row,) = await process.rows("SELECT created_ts, due_at FROM tasks WHERE status = 'pending'")
    assert 58 < row["due_at"] - row["created_ts"] < 62
    sooner = text("UPDATE tasks SET due_at = due_at - 60 WHERE status = 'pending'")
    await process.write(lambda c: c.execute(sooner).rowcount)
    await becomes(process, scheduled["task_id"], "completed")
    assert await asyncio.to_thread(shown, sandbox_server, at_least=1) == ["早上好"]
    assert await callbacks(sandbox_server, scheduled["task_id"], at_least=0) == []


async def test_a_scheduled_message_can_be_cancelled(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await act(process, "schedule_message", message="早上好", delay_minutes=1)
    (scheduled,) = (await process.tasks.list(status="pending"))["tasks"]
    await process.tasks.cancel(scheduled["task_id"], "客户来过了", actor="小王")
    assert await status(process, scheduled["task_id"]) == "cancelled"
    last, _ = (await audit(process, scheduled["task_id"]))[-1]
    assert last == "task.cancelled"


async def tuhui_tasks(sandbox: SandboxServer) -> list[dict[str, Any]]:
    state = await asyncio.to_thread(sandbox.get, "/_sandbox/tuhui/state", at_least=1, wait=10)
    return list(state["tasks"])


async def test_a_dispatch_reaches_a_designer_and_staff_is_told_who_has_it(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await act(process, "dispatch_designer", description="换背景", title="海报")
    (order,) = await tuhui_tasks(sandbox_server)
    assert (order["task_name"], order["status"]) == ("海报", "assigned")
    (notice,) = await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)
    assert order["assigned_to"] in notice["text"] + notice["title"]
    assert (await callbacks(sandbox_server, task))[0]["status"] == "completed"


async def test_a_dispatch_whose_answer_was_lost_is_made_once(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("tuhui", "lost_answer", request_kind="tasks", count=2)
    await act(process, "dispatch_designer", description="换背景", title="海报")
    await asyncio.to_thread(sandbox_server.clear_faults, "tuhui")
    assert len(await tuhui_tasks(sandbox_server)) == 1
    assert len(await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)) == 1


async def test_a_dispatch_that_tuhui_refuses_fails_with_its_reason(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("tuhui", "status", status=401)
    task = await receive(process, action={"type": "dispatch_designer", "description": "换背景"})
    await fire(process)
    failed = await becomes(process, task, "failed")
    assert "401" in failed["error_message"]
    (told,) = await callbacks(sandbox_server, task)
    assert told["status"] == "failed"


async def test_an_action_for_another_customer_reaches_that_one_and_not_the_speaker(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await process.engine.ask(a_message("零号", chat="乙", route="push"))
    action = {"type": "send_message", "message": "甲说好", "customer_id": "乙"}
    task = await receive(process, action=action)
    answer = await fire(process)
    await becomes(process, task, "completed")
    assert await asyncio.to_thread(shown, sandbox_server, "乙", at_least=1) == ["甲说好"]
    assert (await asyncio.to_thread(shown, sandbox_server), answer["content"]) == ([], "")
    other = a_message("", chat="乙", route="push").conversation
    assert (await said_in(process, other))[-1] == ("assistant", "甲说好")


async def test_an_action_that_cannot_be_carried_out_fails_and_the_rest_is_answered(
    process: Process,
) -> None:
    action = {"type": "send_message", "message": "x", "customer_id": "nobody"}
    task = await receive(process, action=action)
    answer = await process.engine.ask(a_message("", whole="好的,充电桩一号怎么安装"))
    assert answer["content"] == "答:充电桩一号怎么安装"
    (acted,) = answer["tasks"]
    failed = await becomes(process, task, "failed")
    assert "nobody" in failed["error_message"] == acted["error"]
