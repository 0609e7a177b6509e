"""Messages that belong together: debounce, merge, and what arrives while a turn runs."""

import asyncio
from dataclasses import replace

from engine.delivery import Channel
from tests.engine.processes import QUICK, Process, a_message, running_process, shown
from tests.sandbox_server import SandboxServer


async def test_messages_in_quick_succession_become_one_turn(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    policy = replace(QUICK, debounce_async_s=0.3)
    messages = [a_message(f"{n}号", route="push") for n in range(3)]
    async with running_process(database_url, channels=channels, policy=policy) as process:
        for message in messages:
            await process.engine.receive(message)
        texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
        assert texts == ["答:" + "\n".join(m.text for m in messages)]
        assert await process.count("turns") == 1
        found = [
            await process.engine.answer_of("webhook", "shop", m.channel_message_id)
            for m in messages
        ]
    answers = [f[1] for f in found if f is not None and f[1] is not None]
    last = messages[-1].channel_message_id
    assert [(a["action"], a.get("merged_into")) for a in answers] == [
        ("none", last),
        ("none", last),
        ("reply", None),
    ]


async def test_a_long_burst_is_answered_in_order_in_turns_of_at_most_the_merge_limit(
    process: Process, sandbox_server: SandboxServer
) -> None:
    hold = process.knowledge.hold("开头")
    await process.engine.receive(a_message("开头", route="push"))
    await hold.reached.wait()
    messages = [a_message(f"{n:02}号", route="push") for n in range(24)]
    for message in messages:
        await process.engine.receive(message)
    hold.let_go.set()
    await process.quiet()
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=3)
    lines = "\n".join(text.removeprefix("答:") for text in texts).splitlines()
    assert lines[1:] == [message.text for message in messages]
    merged = [text.count("\n") + 1 for text in texts]
    assert merged == [10, 10, 5]


async def test_a_pushed_answer_that_a_new_message_made_stale_is_rebuilt(
    process: Process, sandbox_server: SandboxServer
) -> None:
    hold = process.knowledge.hold("一号")
    first, second = a_message("一号", route="push"), a_message("二号", route="push")
    await process.engine.receive(first)
    await hold.reached.wait()
    await process.engine.receive(second)
    hold.let_go.set()
    await process.quiet()
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [f"答:{first.text}\n{second.text}"]
    assert await process.count("turns") == 1
    await process.engine.receive(a_message("三号", route="push"))
    await process.quiet()
    assert process.knowledge.contexts[-1] == [f"{first.text}\n{second.text}"]


async def test_a_customer_who_never_stops_writing_is_answered_after_one_rebuild(
    process: Process, sandbox_server: SandboxServer
) -> None:
    messages = [a_message(f"{n}号", route="push") for n in range(3)]
    holds = [process.knowledge.hold(f"{n}号") for n in range(2)]
    await process.engine.receive(messages[0])
    for hold, message in zip(holds, messages[1:], strict=True):
        await hold.reached.wait()
        await process.engine.receive(message)
        hold.let_go.set()
    await process.quiet()
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=2)
    assert texts == [f"答:{messages[0].text}\n{messages[1].text}", f"答:{messages[2].text}"]


async def test_an_answer_that_a_caller_waits_for_is_not_rebuilt(process: Process) -> None:
    hold = process.knowledge.hold("一号")
    first = asyncio.create_task(process.engine.ask(a_message("一号")))
    await hold.reached.wait()
    second = asyncio.create_task(process.engine.ask(a_message("二号")))
    hold.let_go.set()
    answers = await asyncio.gather(first, second)
    assert [a["content"] for a in answers] == ["答:充电桩一号怎么安装", "答:充电桩二号怎么安装"]
    assert len(process.knowledge.searched) == 2
