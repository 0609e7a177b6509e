"""What a message fires, and what it is answered: the task's action first, then the rest."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from domain.messages import InboundMessage, MessageKind
from engine.delivery import Channel
from tests.engine.processes import (
    Process,
    Tasks,
    a_message,
    running_process,
    shown,
)
from tests.engine.tasks.orders import (
    PATIENT,
    an_order,
    audit,
    becomes,
    on_keyword,
    receive,
    said_in,
    status,
)
from tests.sandbox_server import SandboxServer

QUESTION = "充电桩一号怎么安装"
BOTH = f"好的,{QUESTION}"
ANSWER = f"答:{QUESTION}"
FILE = "文件在这里"


def pushed(whole: str, **changes: Any) -> InboundMessage:
    return replace(a_message("", whole=whole, route="push"), **changes)


async def seen(sandbox: SandboxServer, process: Process, chat: str = "甲") -> list[str]:
    """All that the customer is shown once everything is answered and delivered."""
    await process.quiet()

    async def delivered() -> bool:
        return not await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

    await process.until(delivered)
    return await asyncio.to_thread(shown, sandbox, chat)


async def test_a_message_that_is_no_more_than_the_trigger_is_answered_by_the_task_alone(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await receive(process)
    message = pushed("好的!")
    await process.engine.receive(message)
    assert await seen(sandbox_server, process) == [FILE]
    assert await status(process, task) == "completed"
    assert process.knowledge.searched == []
    history = await said_in(process, message.conversation)
    assert history == [("user", "好的!"), ("assistant", FILE)]


async def test_a_message_that_also_asks_gets_the_action_first_then_its_answer_in_one_turn(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await receive(process)
    message = pushed(BOTH)
    await process.engine.receive(message)
    assert await seen(sandbox_server, process) == [FILE, ANSWER]
    assert await process.count("turns") == 1
    history = await said_in(process, message.conversation)
    assert history == [("user", BOTH), ("assistant", FILE), ("assistant", ANSWER)]


async def test_a_caller_that_waits_gets_action_and_answer_in_one_response_and_nothing_pushed(
    process: Process,
) -> None:
    task = await receive(process)
    message = a_message("", whole=BOTH)
    answer = await process.engine.ask(message)
    assert (answer["action"], answer["content"]) == ("reply", f"{FILE}\n{ANSWER}")
    assert await status(process, task) == "completed"
    history = await said_in(process, message.conversation)
    assert history == [("user", BOTH), ("assistant", FILE), ("assistant", ANSWER)]
    assert await process.rows("SELECT 1 FROM outbox WHERE kind = 'message'") == []


async def test_a_caller_on_a_channel_that_pushes_gets_it_in_the_response_and_not_again(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await receive(process)
    answer = await process.engine.ask(pushed(BOTH))
    assert answer["content"] == f"{FILE}\n{ANSWER}"
    assert await seen(sandbox_server, process) == []


@pytest.mark.parametrize("whole", ["好的", BOTH])
async def test_a_message_that_comes_again_gets_the_same_answer_and_fires_nothing(
    process: Process, whole: str
) -> None:
    await receive(process)
    message = a_message("", whole=whole)
    first = await process.engine.ask(message)
    other = await receive(process)
    again = await process.engine.ask(message)
    assert again == first | {"duplicate": True}
    assert FILE in again["content"]
    assert await status(process, other) == "pending"


async def test_the_next_message_finds_nothing_left_to_fire(process: Process) -> None:
    await receive(process)
    assert (await process.engine.ask(a_message("", whole="好的")))["content"] == FILE
    second = await process.engine.ask(a_message("", whole="好的"))
    assert (second["decision"], FILE in second["content"]) == ("chat", False)


async def test_of_two_merged_messages_one_fires_and_the_other_is_answered(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    policy = replace(PATIENT, debounce_async_s=0.2)
    async with running_process(
        database_url, channels=channels, policy=policy, tasks=Tasks()
    ) as process:
        task = await receive(process)
        fires = pushed("好的")
        for message in (fires, pushed(QUESTION)):
            await process.engine.receive(message)
        assert await seen(sandbox_server, process) == [FILE, ANSWER]
        assert await process.count("turns") == 1
        fired = next(detail for action, detail in await audit(process, task) if "fire" in action)
    assert (fired["message_id"], fired["text"]) == (fires.channel_message_id, "好的")


async def test_several_tasks_that_one_message_fires_act_in_the_order_of_their_priority(
    process: Process, sandbox_server: SandboxServer
) -> None:
    for priority in ("low", "normal", "urgent", "high", "normal"):
        action = {"type": "send_message", "message": f"{priority} {{{{task.id}}}}"}
        await receive(process, priority=priority, action=action)
    await process.engine.receive(pushed("好的"))
    lines = await seen(sandbox_server, process)
    assert [line.split()[0] for line in lines] == ["urgent", "high", "normal", "normal", "low"]
    normal = [line for line in lines if line.startswith("normal")]
    assert normal == sorted(normal, key=lambda line: int(line.split(" T")[1]))


async def test_a_task_for_another_customer_does_not_fire(process: Process) -> None:
    task = await receive(process, customer={"id": "乙"})
    answer = await process.engine.ask(a_message("", whole="好的", chat="甲"))
    assert FILE not in answer["content"]
    assert await status(process, task) == "pending"
    assert (await process.engine.ask(a_message("", whole="好的", chat="乙")))["content"] == FILE


async def test_a_message_that_was_there_before_the_task_does_not_fire_it(
    process: Process, sandbox_server: SandboxServer
) -> None:
    hold = process.knowledge.hold("开头")
    await process.engine.receive(a_message("开头", route="push"))
    await hold.reached.wait()
    await process.engine.receive(pushed("好的"))
    task = await receive(process)
    hold.let_go.set()
    assert FILE not in await seen(sandbox_server, process)
    assert await status(process, task) == "pending"


async def test_while_a_person_has_the_conversation_the_task_acts_and_the_bot_is_silent(
    process: Process, sandbox_server: SandboxServer
) -> None:
    first = a_message("零号", route="push")
    await process.engine.ask(first)
    taken = text("UPDATE conversations SET mode = 'human'")
    await process.write(lambda c: c.execute(taken).rowcount)
    process.knowledge.searched.clear()
    task = await receive(process)
    await process.engine.receive(pushed(BOTH))
    assert await seen(sandbox_server, process) == [FILE]
    assert (await status(process, task), process.knowledge.searched) == ("completed", [])


def a_payment(**changes: Any) -> InboundMessage:
    return pushed("", kind=MessageKind.EVENT, event="payment", **changes)


async def test_a_payment_event_fires_customer_payment_and_is_otherwise_silent(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await process.engine.receive(a_payment())
    assert await seen(sandbox_server, process) == []
    task = await receive(process, trigger={"type": "customer_payment"})
    words = await receive(process, trigger=on_keyword("已付款"))
    await process.engine.receive(a_payment())
    assert await seen(sandbox_server, process) == [FILE]
    assert [await status(process, one) for one in (task, words)] == ["completed", "pending"]


async def test_a_payment_event_that_is_merged_with_a_question_leaves_only_that_to_answer(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    policy = replace(PATIENT, debounce_async_s=0.2)
    async with running_process(
        database_url, channels=channels, policy=policy, tasks=Tasks()
    ) as process:
        await receive(process, trigger={"type": "customer_payment"})
        event = replace(a_payment(), text="[订单已付款]")
        for message in (event, pushed(QUESTION)):
            await process.engine.receive(message)
        assert await seen(sandbox_server, process) == [FILE, ANSWER]
        assert process.knowledge.searched == [QUESTION]


async def test_a_task_whose_action_says_nothing_leaves_its_trigger_without_an_answer(
    process: Process,
) -> None:
    task = await receive(process, action={"type": "add_tag", "tags": ["已确认"]})
    answer = await process.engine.ask(a_message("", whole="好的"))
    assert (answer["action"], answer["content"]) == ("none", "")
    assert answer["tasks"] == [{"task_id": task, "tool": "add_tag", "error": ""}]
    tags = await process.rows("SELECT contact_id, tag FROM customer_tags")
    assert tags == [{"contact_id": "api:shop:甲", "tag": "已确认"}]


async def test_a_turn_that_a_new_message_made_stale_acts_once(
    process: Process, sandbox_server: SandboxServer
) -> None:
    task = await receive(process)
    hold = process.knowledge.hold("慢")
    await process.engine.receive(pushed("好的,充电桩慢怎么安装"))
    await hold.reached.wait()
    await process.engine.receive(pushed(QUESTION))
    hold.let_go.set()
    answer = f"答:充电桩慢怎么安装\n{QUESTION}"
    assert await seen(sandbox_server, process) == [FILE, answer]
    assert await status(process, task) == "completed"
    assert await process.count("turns") == 1


@pytest.mark.parametrize("route", ["push", "poll"])
async def test_a_question_that_cannot_be_answered_does_not_keep_the_task_from_acting(
    process: Process, sandbox_server: SandboxServer, route: str
) -> None:
    process.knowledge.fail("一号")
    task = await receive(process)
    if route == "push":
        await process.engine.receive(pushed(BOTH))
        lines = await seen(sandbox_server, process)
    else:
        lines = (await process.engine.ask(a_message("", whole=BOTH)))["content"].split("\n")
    assert (lines[0], len(lines)) == (FILE, 2)
    assert (await becomes(process, task, "completed"))["error_message"] is None
    assert len(await process.rows("SELECT 1 FROM dead_letters")) == 1
    said = await process.rows("SELECT content FROM messages WHERE role = 'assistant' ORDER BY id")
    assert [row["content"] for row in said] == lines


async def test_every_change_is_audited_with_the_message_that_caused_it(process: Process) -> None:
    order = an_order()
    await process.tasks.receive(order, actor="tianwang")
    message = a_message("", whole="好的")
    await process.engine.ask(message)
    found = await audit(process, order.task_id)
    assert [action for action, _ in found] == ["task.receive", "task.fire", "task.completed"]
    cause = found[1][1]
    assert (cause["message_id"], cause["keyword"]) == (message.channel_message_id, "好的")
