"""A turn that fails is tried again, then parked; nobody else notices, and it can be replayed."""

import asyncio
from dataclasses import replace

import pytest

from domain.errors import NotFound
from engine.delivery import Channel
from tests.engine.processes import (
    QUICK,
    Clock,
    Process,
    a_message,
    answer_to,
    running_process,
    shown,
)
from tests.sandbox_server import SandboxServer

FAILURE_LIMIT = QUICK.failure_limit


async def test_a_turn_that_fails_once_or_twice_is_tried_again(process: Process) -> None:
    process.knowledge.fail("坏", times=2)
    message = a_message("坏")
    answer = await process.engine.ask(message)
    assert answer["content"] == answer_to(message)
    assert len(process.knowledge.searched) == 3
    assert await process.count("turns") == 1
    assert await process.count("dead_letters") == 0


async def test_a_turn_that_keeps_failing_is_parked_with_the_default_sentence(
    process: Process, sandbox_server: SandboxServer
) -> None:
    process.knowledge.fail("坏")
    answer = await process.engine.ask(a_message("坏"))
    assert answer["decision"] == "default"
    assert answer["content"] in process.templates.wordings["default_sentence"]
    assert len(process.knowledge.searched) == FAILURE_LIMIT
    parked = await process.rows("SELECT status, error, attempts FROM dead_letters")
    assert parked == [
        {
            "status": "parked",
            "error": "RuntimeError: the knowledge base broke",
            "attempts": FAILURE_LIMIT + 1,
        }
    ]
    notices = await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)
    assert [notice["reason"] for notice in notices] == ["turn_failed"]


async def test_the_default_sentence_is_pushed_once_where_answers_are_pushed(
    process: Process, sandbox_server: SandboxServer
) -> None:
    process.knowledge.fail("坏")
    await process.engine.receive(a_message("坏", route="push"))
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    await process.quiet()
    assert texts[0] in process.templates.wordings["default_sentence"]
    assert await process.rows("SELECT kind FROM outbox ORDER BY kind") == [
        {"kind": "message"},
        {"kind": "notice"},
    ]


async def test_other_conversations_do_not_notice_a_failing_one(process: Process) -> None:
    process.knowledge.fail("坏")
    bad = asyncio.create_task(process.engine.ask(a_message("坏", chat="坏客户")))
    others = [a_message(f"{n}号", chat=f"客户{n}") for n in range(10)]
    answers = await asyncio.gather(*map(process.engine.ask, others))
    assert [a["content"] for a in answers] == [answer_to(m) for m in others]
    assert (await bad)["decision"] == "default"


async def test_the_next_message_of_a_parked_conversation_is_answered(process: Process) -> None:
    process.knowledge.fail("坏")
    after = a_message("好")
    parked, answered = await asyncio.gather(
        process.engine.ask(a_message("坏")), process.engine.ask(after)
    )
    assert parked["decision"] == "default"
    assert answered["content"] == answer_to(after)


async def test_a_failed_run_leaves_no_trace_in_what_the_next_turn_knows(
    process: Process,
) -> None:
    process.knowledge.fail("坏", times=2)
    first = a_message("坏")
    await process.engine.ask(first)
    await process.engine.ask(a_message("好"))
    assert process.knowledge.contexts == [[], [], [], [first.text]]


async def test_parked_messages_are_answered_by_a_replay_once_the_fault_is_gone(
    process: Process,
) -> None:
    process.knowledge.fail("坏")
    message = a_message("坏")
    await process.engine.ask(message)
    process.knowledge.fail("坏", times=0)
    parked = await process.rows("SELECT id FROM dead_letters")
    await process.engine.replay_dead_letter(parked[0]["id"], actor="operator")
    answer = await process.engine.ask(message)
    assert (answer["content"], answer["duplicate"]) == (answer_to(message), True)
    with pytest.raises(NotFound):
        await process.engine.replay_dead_letter(parked[0]["id"], actor="operator")
    assert await process.rows("SELECT status FROM messages WHERE role = 'user'") == [
        {"status": "handled"}
    ]


async def test_a_replayed_answer_is_pushed_after_the_default_sentence(
    process: Process, sandbox_server: SandboxServer
) -> None:
    process.knowledge.fail("坏")
    message = a_message("坏", route="push")
    await process.engine.receive(message)
    await process.quiet()
    process.knowledge.fail("坏", times=0)
    parked = await process.rows("SELECT id FROM dead_letters")
    await process.engine.replay_dead_letter(parked[0]["id"], actor="operator")
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=2)
    assert texts[1:] == [answer_to(message)]


async def test_a_turn_that_takes_too_long_counts_as_failed_and_is_tried_again(
    database_url: str, channels: dict[str, Channel]
) -> None:
    policy = replace(QUICK, turn_timeout_s=0.2)
    async with running_process(database_url, channels=channels, policy=policy) as process:
        process.knowledge.hold("慢")
        message = a_message("慢")
        assert (await process.engine.ask(message))["content"] == answer_to(message)
        assert len(process.knowledge.searched) == 2


class Leaping(Clock):
    """Leaps ahead at its ``nth`` reading."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self._left = nth

    def __call__(self) -> float:
        self._left -= 1
        if self._left == 0:
            self.ahead += 1.0
        return super().__call__()


@pytest.mark.parametrize("nth", range(12, 17))
async def test_a_retry_that_comes_due_at_any_moment_is_not_left_to_the_sweep(
    database_url: str, nth: int
) -> None:
    policy = replace(QUICK, retry_base_s=0.2)
    async with running_process(database_url, clock=Leaping(nth), policy=policy) as process:
        process.knowledge.fail("坏", times=1)
        bad, good = a_message("坏"), a_message("好")
        answers = await asyncio.gather(
            *(process.engine.ask(one, deadline_s=4) for one in (bad, good))
        )
    assert [answer["content"] for answer in answers] == [answer_to(bad), answer_to(good)]
