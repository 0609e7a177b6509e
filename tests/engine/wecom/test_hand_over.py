"""A customer who is handed to a person waits where servicers look; there the bot keeps quiet."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import Connection

from domain.desk import Agent, AgentRole
from storage import agents, desk_talks, kf_sessions
from storage.clock import iso
from storage.handoffs import HandoffRow, open_handoff
from tests.engine.wecom.acting import dead, met, notices, put, question
from tests.engine.wecom.desk import Desk, serving
from tests.sandbox.wecom import KF
from tests.sandbox_server import SandboxServer
from tools.wecom.kf import SessionState

ASK = "转人工"
HEARD_BY = "SELECT turn_id FROM messages WHERE content = :said"
STATE, MOVE = "kf/service_state/get", "kf/service_state/trans"


async def asked(desk: Desk) -> None:
    """A customer who was answered once asks for a person, and is told."""
    await met(desk)
    await desk.say("wmOne", ASK)
    await desk.answered("wmOne", 2)


async def handed(desk: Desk) -> None:
    await asked(desk)
    await desk.hand_overs.look()
    await desk.quiet()


async def servicer(desk: Desk, change_type: int) -> None:
    change = {"customer": "wmOne", "change_type": change_type}
    await asyncio.to_thread(desk.wecom.play, "session", change)
    await desk.ring()
    await desk.pulled()


async def state(desk: Desk) -> int:
    return await asyncio.to_thread(desk.wecom.state, "wmOne")


async def where(desk: Desk) -> tuple[Any, ...]:
    """Mode, hand-over, and who has it."""
    (row,) = await desk.process.rows(
        "SELECT mode, status, agent FROM handoffs h JOIN conversations c"
        " ON c.id = h.conversation_id ORDER BY h.id DESC LIMIT 1"
    )
    return tuple(row.values())


async def nobody_serves(desk: Desk) -> None:
    account = {"open_kfid": KF, "name": "客服", "servicers": {}}
    await asyncio.to_thread(desk.wecom.play, "kf/accounts", account)


async def test_once_our_own_desk_has_an_agent_the_session_stays_where_it_is(desk: Desk) -> None:
    agent = Agent("mei", "小梅", AgentRole.AGENT)
    await desk.process.database.write(
        lambda c: agents.add(c, agent, "", by="test", now=time.time())
    )
    await handed(desk)
    assert await state(desk) == SessionState.ASSISTANT
    assert await where(desk) == ("queued", "open", None)


async def test_a_customer_in_the_pool_is_a_person_s_until_the_session_ends(desk: Desk) -> None:
    await handed(desk)
    assert await state(desk) == SessionState.QUEUE
    assert await where(desk) == ("human", "open", None)
    await desk.say("wmOne", question("乙"))
    await desk.quiet()
    await servicer(desk, 1)
    assert await where(desk) == ("human", "taken", "zhangsan")
    await desk.say("wmOne", question("丙"))
    await desk.quiet()
    assert len(await desk.answers("wmOne")) == 2
    await servicer(desk, 3)
    assert await where(desk) == ("bot", "closed", "zhangsan")
    await desk.say("wmOne", question("丁"))
    assert (await desk.answered("wmOne", 3))[2:] == [f"答:{question('丁')}"]
    assert await dead(desk) == []
    assert await desk.refused() == 0


async def test_a_session_that_ends_before_anybody_took_it_closes_the_hand_over(
    desk: Desk,
) -> None:
    await handed(desk)
    await servicer(desk, 3)
    assert (await where(desk))[:2] == ("bot", "closed")


async def test_a_session_that_times_out_in_the_pool_is_ours_again(desk: Desk) -> None:
    await handed(desk)
    await asyncio.to_thread(desk.wecom.pass_time, 48 * 3_600.0)
    await desk.say("wmOne", question("乙"))
    assert (await desk.answered("wmOne", 3))[2:] == [f"答:{question('乙')}"]
    assert (await where(desk))[:2] == ("bot", "closed")


async def test_the_customer_is_told_before_the_session_is_moved(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    sandbox_server.fault("wecom", "status", count=5, request_kind="kf/send_msg", status=503)
    await desk.say("wmOne", ASK)
    await desk.process.until(lambda: desk.process.rows("SELECT 1 FROM handoffs"))
    await desk.hand_overs.look()
    assert len(await desk.answered("wmOne", 2)) == 2
    assert await state(desk) == SessionState.QUEUE
    assert await dead(desk) == []
    assert await desk.refused() == 0


async def test_a_session_is_moved_once_though_many_look_and_the_answer_is_lost(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await asked(desk)
    sandbox_server.fault("wecom", "lost_answer", count=1, request_kind=MOVE)
    await asyncio.gather(*(desk.hand_overs.look() for _ in range(5)))
    await desk.quiet()
    assert await state(desk) == SessionState.QUEUE
    moves = await asyncio.to_thread(lambda: sandbox_server.journal(kind=MOVE))
    asked_for = [one["body"]["service_state"] for one in moves]
    assert asked_for.count(SessionState.QUEUE) == 1
    rows = await desk.process.rows("SELECT status FROM outbox WHERE kind = 'session'")
    assert rows == [{"status": "delivered"}]
    assert await desk.refused() == 0


async def test_a_hand_over_that_is_committed_is_moved_without_a_look_of_ours(
    desk: Desk,
) -> None:
    await asked(desk)
    desk.hand_overs.start()
    try:

        async def moved() -> bool:
            return await state(desk) == SessionState.QUEUE

        await desk.process.until(moved)
    finally:
        await desk.hand_overs.stop()


@pytest.mark.parametrize(
    ("servicers", "expected"),
    [(("lisi", "zhangsan"), SessionState.HUMAN), (("lisi",), SessionState.QUEUE)],
)
async def test_the_first_servicer_who_receives_gets_the_session_else_the_pool(
    database_url: str,
    sandbox_server: SandboxServer,
    servicers: tuple[str, ...],
    expected: SessionState,
) -> None:
    async with serving(database_url, sandbox_server, servicers=servicers) as desk:
        await handed(desk)
        assert await state(desk) == expected
        taken = expected is SessionState.HUMAN
        shown = ("human", "taken", "zhangsan") if taken else ("human", "open", None)
        assert await where(desk) == shown
        await desk.say("wmOne", question("乙"))
        await desk.quiet()
        assert len(await desk.answers("wmOne")) == 2


async def test_what_the_platform_refuses_stays_with_our_own_desk(desk: Desk) -> None:
    await nobody_serves(desk)
    await handed(desk)
    assert await state(desk) == SessionState.ASSISTANT
    assert await where(desk) == ("queued", "open", None)
    await put(desk, "wmOne", ["我是小王"], turn="")
    assert (await desk.answered("wmOne", 3))[2] == "我是小王"
    assert await dead(desk) == []


async def test_a_process_that_comes_late_does_not_silence_what_was_refused(desk: Desk) -> None:
    await asked(desk)
    (found,) = await desk.process.write(lambda c: kf_sessions.due(c, now=time.time()))
    await nobody_serves(desk)
    await desk.hand_overs.look()
    await desk.quiet()
    begun = await desk.process.write(lambda c: kf_sessions.begin(c, found, now=time.time()))
    assert not begun
    assert await where(desk) == ("queued", "open", None)


async def test_who_asks_again_after_a_refusal_is_tried_to_be_moved_again(desk: Desk) -> None:
    await nobody_serves(desk)
    await handed(desk)
    account = {"open_kfid": KF, "name": "客服", "servicers": {"zhangsan": 0}}
    await asyncio.to_thread(desk.wecom.play, "kf/accounts", account)
    await desk.hand_overs.look()
    await desk.quiet()
    assert await state(desk) == SessionState.ASSISTANT
    (row,) = await desk.process.rows("SELECT conversation_id, contact_id FROM handoffs")
    again = HandoffRow("human_request", "high", "desk", "")
    at = iso(time.time() + 1.0)
    await desk.process.write(lambda c: open_handoff(c, again, turn_id="t2", at=at, **row))
    await desk.hand_overs.look()
    await desk.quiet()
    assert await state(desk) == SessionState.QUEUE


async def test_what_a_customer_wrote_while_the_platform_was_asked_in_vain_is_heard_again(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await asked(desk)
    await nobody_serves(desk)
    sandbox_server.fault("wecom", "status", request_kind=STATE, status=503)
    await desk.hand_overs.look()
    await desk.say("wmOne", question("乙"))
    await desk.pulled()
    await desk.process.quiet()
    unheard = await desk.process.rows(HEARD_BY, said=question("乙"))
    await asyncio.to_thread(sandbox_server.clear_faults)

    async def heard() -> bool:
        found = await desk.process.rows(HEARD_BY, said=question("乙"))
        return found[0]["turn_id"] not in (None, unheard[0]["turn_id"])

    await desk.process.until(heard)
    assert (await where(desk))[:2] == ("queued", "open")


async def test_nothing_is_composed_that_would_come_too_late_for_the_move(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await asked(desk)
    sandbox_server.fault("wecom", "status", request_kind=STATE, status=503)
    await desk.hand_overs.look()
    await desk.say("wmOne", question("乙"))
    await desk.pulled()
    await desk.process.quiet()
    await asyncio.to_thread(sandbox_server.clear_faults)
    await desk.quiet()
    assert await state(desk) == SessionState.QUEUE
    assert len(await desk.answers("wmOne")) == 2
    assert await dead(desk) == []


async def test_a_hand_over_that_our_desk_has_closed_meanwhile_moves_nothing(desk: Desk) -> None:
    await asked(desk)

    def unit(connection: Connection) -> str:
        (found,) = kf_sessions.due(connection, now=time.time())
        assert kf_sessions.begin(connection, found, now=time.time())
        desk_talks.set_handoff(connection, found.handoff, status="closed", agent="小王", now=1.0)
        return found.conversation

    desk.process.deliverer.wake(await desk.process.write(unit))
    await desk.quiet()
    assert await state(desk) == SessionState.ASSISTANT
    assert (await where(desk))[:2] == ("bot", "closed")


@pytest.mark.parametrize("lost", [False, True])
async def test_the_word_for_which_the_quota_was_spent_goes_with_the_session(
    desk: Desk, sandbox_server: SandboxServer, lost: bool
) -> None:
    await met(desk)
    refusal = {"errcode": 95001, "request_kind": "kf/send_msg", "count": 1}
    await asyncio.to_thread(desk.wecom.play, "errcode", refusal)
    await desk.say("wmOne", ASK)
    await desk.quiet()
    assert len(await dead(desk)) == 1
    if lost:
        kind = "kf/send_msg_on_event"
        sandbox_server.fault("wecom", "lost_answer", count=1, request_kind=kind)
    await desk.hand_overs.look()
    await desk.quiet()
    (reply,) = await desk.process.rows(
        "SELECT content FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1"
    )
    assert (await desk.answers("wmOne"))[1:] == [reply["content"]]
    assert await dead(desk) == []


async def test_our_own_desk_is_told_that_a_session_in_the_pool_takes_no_words_of_its(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await handed(desk)
    before = len(await notices(sandbox_server, 1))
    await put(desk, "wmOne", ["我是小王"], turn="")
    await desk.quiet()
    (error,) = await dead(desk)
    assert "待接入池" in error
    assert len(await notices(sandbox_server, before + 1)) == before + 1
    assert (await where(desk))[:2] == ("human", "open")
    assert await desk.refused() == 0
