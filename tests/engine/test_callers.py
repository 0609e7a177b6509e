"""Callers that wait for their answer: in time, too late, more than once."""

import asyncio
import random

from domain.messages import InboundMessage
from tests.engine.processes import Process, a_message, answer_to, shown
from tests.sandbox_server import SandboxServer


async def test_a_caller_gets_the_answer_to_its_own_message(process: Process) -> None:
    message = a_message("1号")
    answer = await process.engine.ask(message)
    assert (answer["action"], answer["content"]) == ("reply", answer_to(message))
    assert (answer["message_id"], answer["duplicate"]) == (message.channel_message_id, False)


async def test_past_the_deadline_a_caller_is_told_to_wait_and_the_turn_goes_on(
    process: Process,
) -> None:
    hold, message = process.knowledge.hold("慢"), a_message("慢")
    answer = await process.engine.ask(message, deadline_s=0.05)
    assert (answer["action"], answer["message_id"]) == ("wait", message.channel_message_id)
    assert answer["content"]
    hold.let_go.set()
    late = await process.engine.ask(message)
    assert (late["action"], late["content"]) == ("reply", answer_to(message))
    assert late["duplicate"]
    assert await process.count("turns") == 1


async def test_a_late_answer_can_be_fetched_without_repeating_the_message(
    process: Process,
) -> None:
    hold, message = process.knowledge.hold("慢"), a_message("慢")
    key = (message.channel, message.account, message.channel_message_id)
    await process.engine.ask(message, deadline_s=0.05)
    found = await process.engine.answer_of(*key)
    assert found is not None
    assert (found[0].status, found[1]) == ("unread", None)
    hold.let_go.set()
    await process.quiet()
    found = await process.engine.answer_of(*key)
    assert found is not None
    assert found[1] is not None
    assert found[1]["content"] == answer_to(message)


async def test_a_message_that_nobody_sent_has_no_answer(process: Process) -> None:
    assert await process.engine.answer_of("api", "shop", "never") is None


async def test_a_late_answer_of_a_push_channel_is_pushed_once(
    process: Process, sandbox_server: SandboxServer
) -> None:
    hold, message = process.knowledge.hold("慢"), a_message("慢", route="push")
    assert (await process.engine.ask(message, deadline_s=0.05))["action"] == "wait"
    hold.let_go.set()
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [answer_to(message)]
    repeated = await process.engine.ask(message)
    assert repeated["content"] == answer_to(message)
    await process.quiet()
    assert await process.count("outbox") == 1
    assert len(await asyncio.to_thread(sandbox_server.journal, "webhook")) == 1


async def test_an_answer_in_time_is_not_pushed_as_well(process: Process) -> None:
    message = a_message("1号", route="push")
    assert (await process.engine.ask(message))["content"] == answer_to(message)
    await process.quiet()
    assert await process.count("outbox") == 0


async def test_callers_of_the_same_message_at_once_share_one_turn(process: Process) -> None:
    message = a_message("1号")
    answers = await asyncio.gather(*(process.engine.ask(message) for _ in range(20)))
    assert {(a["turn_id"], a["content"]) for a in answers} == {
        (answers[0]["turn_id"], answer_to(message))
    }
    assert sorted(a["duplicate"] for a in answers) == [False] + [True] * 19
    assert await process.count("turns") == 1
    assert len(process.knowledge.searched) == 1


async def test_callers_of_one_conversation_at_once_each_get_their_own_answer(
    process: Process,
) -> None:
    messages = [a_message(f"{n}号") for n in range(20)]
    answers = await asyncio.gather(*(process.engine.ask(m) for m in messages))
    assert [a["content"] for a in answers] == [answer_to(m) for m in messages]


async def test_a_message_that_arrives_while_a_turn_ends_is_answered_without_the_sweep(
    process: Process,
) -> None:
    """Intake may claim the conversation between a turn's commit and that task's next claim."""
    chance = random.Random(1)
    messages = [a_message(f"{n}号", chat=f"c{n % 10}") for n in range(200)]

    async def ask_some_time(message: InboundMessage) -> str:
        await asyncio.sleep(chance.random() * 0.6)
        return str((await process.engine.ask(message, deadline_s=5))["content"])

    contents = await asyncio.gather(*map(ask_some_time, messages))
    assert contents == [answer_to(message) for message in messages]


async def test_a_caller_that_goes_away_does_not_stop_its_turn(process: Process) -> None:
    hold, message = process.knowledge.hold("慢"), a_message("慢")
    asking = asyncio.create_task(process.engine.ask(message))
    await hold.reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    hold.let_go.set()
    await process.quiet()
    assert (await process.engine.ask(message))["content"] == answer_to(message)
