"""While a person has the conversation, the engine keeps quiet in it."""

import asyncio
import time

from sqlalchemy import Connection

from storage import desk_talks, history
from tests.engine.processes import Process, a_message, answer_to, shown
from tests.sandbox_server import SandboxServer

LOOKUP = "帮我查一下订单 2024010112345678"
"""Handed to a person; the bot still says what it knows meanwhile."""


async def set_handoff(process: Process, status: str) -> None:
    """What the operator's endpoint does with the only hand-over."""

    def change(connection: Connection) -> None:
        open_one = history.handoffs(connection, status=None, limit=1, offset=0)[0]
        desk_talks.set_handoff(
            connection, open_one["id"], status=status, agent="小王", now=time.time()
        )

    await process.write(change)


async def test_a_taken_conversation_gets_no_answers_until_it_is_given_back(
    process: Process, sandbox_server: SandboxServer
) -> None:
    handed = a_message("", route="push", whole="转人工")
    assert (await process.engine.ask(handed))["action"] == "escalate"
    await set_handoff(process, "taken")
    quiet = await process.engine.ask(a_message("一号", route="push"))
    assert (quiet["action"], quiet["content"]) == ("none", "")
    await process.engine.receive(a_message("二号", route="push"))
    await process.quiet()
    assert process.knowledge.searched == []
    stored = await process.rows("SELECT status FROM messages WHERE role = 'user'")
    assert [row["status"] for row in stored] == ["handled"] * 3
    await set_handoff(process, "closed")
    after = a_message("三号", route="push")
    await process.engine.receive(after)
    texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [answer_to(after)]


async def test_a_person_who_takes_over_during_a_turn_keeps_the_conversation(
    process: Process, sandbox_server: SandboxServer
) -> None:
    await process.engine.ask(a_message("", route="push", whole=LOOKUP))
    hold = process.knowledge.hold("慢")
    await process.engine.receive(a_message("慢", route="push"))
    await hold.reached.wait()
    await set_handoff(process, "taken")
    hold.let_go.set()
    await process.quiet()
    assert await process.rows("SELECT mode FROM conversations") == [{"mode": "human"}]
    assert await asyncio.to_thread(shown, sandbox_server) == []


async def test_a_caller_whose_turn_a_person_overtook_is_told_so_at_once(
    process: Process,
) -> None:
    await process.engine.ask(a_message("", whole=LOOKUP))
    hold = process.knowledge.hold("慢")
    asking = asyncio.create_task(process.engine.ask(a_message("慢"), deadline_s=5))
    await hold.reached.wait()
    await set_handoff(process, "taken")
    hold.let_go.set()
    answer = await asking
    assert (answer["action"], answer["content"]) == ("none", "")
