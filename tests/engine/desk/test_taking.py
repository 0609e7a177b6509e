"""Who has a conversation: exactly one agent, and the others are told who."""

import asyncio
from functools import partial

import pytest

from domain.desk import AgentRole, Mode, Presence
from domain.errors import InvalidInput, NotFound
from engine.desk.desk import Conflict, Forbidden
from storage import desk_talks, kf_sessions
from storage.database import Database
from tests.engine.desk.bench import Bench


async def test_who_is_handed_over_is_queued_and_the_agent_who_takes_them_has_them(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    assert await bench.stands(talk) == ("queued", "open", "")
    await bench.desk.take(ann, talk)
    assert await bench.stands(talk) == ("human", "taken", "ann")
    assert await bench.kinds(talk) == ["queued", "taken"]
    audit = await bench.rows("SELECT actor, action FROM audit WHERE subject = :id", id=talk)
    assert {"actor": "ann", "action": "handoff.taken"} in audit


async def test_of_two_agents_of_two_processes_who_take_at_once_one_wins_and_the_other_is_told_who(
    bench: Bench, second: Database
) -> None:
    other, _ = bench.process(name="p2", database=second)
    for round_ in range(5):
        ann, ben = await bench.agent(f"ann{round_}"), await bench.agent(f"ben{round_}")
        talk = await bench.waits(f"user{round_}")
        outcomes = await asyncio.gather(
            bench.desk.take(ann, talk), other.take(ben, talk), return_exceptions=True
        )
        (lost,) = [one for one in outcomes if one is not None]
        assert isinstance(lost, Conflict)
        assert lost.status == 409
        _, _, winner = await bench.stands(talk)
        assert lost.holder == winner
        assert f"{winner}的名字" in lost.reason
        assert (await bench.kinds(talk)).count("taken") == 1


async def test_taking_what_one_has_already_changes_nothing(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.take(ann, talk)
    assert (await bench.kinds(talk)).count("taken") == 1


async def test_a_conversation_of_the_bots_can_be_taken_unasked(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.hears("a")
    await bench.desk.take(ann, talk)
    assert await bench.stands(talk) == ("human", "taken", "ann")
    rows = await bench.rows("SELECT reason FROM handoffs")
    assert rows == [{"reason": desk_talks.TAKEN_UNASKED}]


async def test_out_of_scope_is_not_told_from_what_does_not_exist(bench: Bench) -> None:
    kf = await bench.agent("kf", scopes=("wecom_kf", "webhook:other"))
    talk = await bench.waits("a")
    for conversation in (talk, "c_none"):
        with pytest.raises(NotFound) as refused:
            await bench.desk.take(kf, conversation)
        assert refused.value.reason == f"找不到 {conversation!r}"
    shop = await bench.agent("shop", scopes=("webhook:shop",))
    await bench.desk.take(shop, talk)


async def test_a_viewer_acts_nowhere(bench: Bench) -> None:
    viewer = await bench.agent("eye", role=AgentRole.VIEWER)
    talk = await bench.waits("a")
    acts = (
        bench.desk.take(viewer, talk),
        bench.desk.say(viewer, talk, "您好", message_id="1"),
        bench.desk.note(viewer, talk, "备注"),
        bench.desk.transfer(viewer, talk, skill="x"),
        bench.desk.resolve(viewer, talk),
        bench.desk.reopen(viewer, talk),
        bench.desk.set_mode(viewer, talk, Mode.COPILOT),
    )
    for act in acts:
        with pytest.raises(Forbidden) as refused:
            await act
        assert refused.value.status == 403
    assert (await bench.desk.conversation(viewer, talk)).may == ()
    assert await bench.stands(talk) == ("queued", "open", "")


async def test_an_admin_takes_from_an_agent_and_it_is_told_as_a_transfer(bench: Bench) -> None:
    ann, boss = await bench.agent("ann"), await bench.admin()
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.take(boss, talk)
    assert await bench.stands(talk) == ("human", "taken", "boss")
    assert await bench.kinds(talk) == ["queued", "taken", "transferred"]


async def test_a_transfer_gives_it_to_the_other_agent_with_a_note(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.transfer(ann, talk, to="ben", note="客户急用")
    assert await bench.stands(talk) == ("human", "taken", "ben")
    seen = await bench.desk.conversation(ben, talk)
    assert [(note.agent, note.text) for note in seen.notes] == [("ann", "客户急用")]
    assert seen.mine
    with pytest.raises(Conflict, match="ben的名字"):
        await bench.desk.transfer(ann, talk, skill="x")


async def test_a_transfer_to_who_is_not_there_or_may_not_see_it_is_refused(bench: Bench) -> None:
    ann = await bench.agent("ann")
    await bench.agent("gone", status=Presence.OFFLINE)
    await bench.agent("kf", scopes=("wecom_kf",))
    await bench.agent("eye", role=AgentRole.VIEWER)
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    for to, status in (("gone", 409), ("kf", 422), ("eye", 404), ("nobody", 404)):
        with pytest.raises(InvalidInput) as refused:
            await bench.desk.transfer(ann, talk, to=to)
        assert refused.value.status == status
    assert await bench.stands(talk) == ("human", "taken", "ann")


async def test_a_transfer_to_a_skill_waits_at_the_front_for_an_agent_who_has_it(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann", skills=("presale",))
    talk = await bench.waits("a")
    bench.now += 10
    other = await bench.waits("b")
    await bench.desk.take(ann, other)
    await bench.desk.transfer(ann, other, skill="refund")
    assert await bench.stands(other) == ("queued", "open", "")
    page = await bench.desk.queue(ann)
    assert [item.conversation_id for item in page.items] == [other, talk]
    assert page.items[0].skill == "refund"


async def test_resolving_gives_it_to_the_bot_whose_next_turn_asks_for_a_mark(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk, outcome="solved")
    assert await bench.stands(talk) == ("bot", "closed", "ann")
    (event,) = await bench.rows("SELECT event FROM messages WHERE kind = 'event'")
    (handoff,) = await bench.rows("SELECT id, outcome, resolved_ts FROM handoffs")
    assert desk_talks.returned_by(event["event"]) == desk_talks.Returned(handoff["id"], True)
    assert (handoff["outcome"], handoff["resolved_ts"]) == ("solved", bench.now)
    assert bench.told.conversations == [talk]


async def test_what_nobody_or_another_has_cannot_be_resolved(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    with pytest.raises(Conflict):
        await bench.desk.resolve(ben, talk)
    await bench.desk.take(ann, talk)
    with pytest.raises(Conflict, match="ann的名字"):
        await bench.desk.resolve(ben, talk)
    assert await bench.stands(talk) == ("human", "taken", "ann")


async def test_a_resolved_talk_is_opened_again_and_resolved_a_second_time(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    with pytest.raises(Conflict):
        await bench.desk.reopen(ben, talk)
    await bench.desk.resolve(ann, talk)
    await bench.desk.reopen(ben, talk)
    assert await bench.stands(talk) == ("human", "taken", "ben")
    bench.now += 1
    await bench.desk.resolve(ben, talk, ask_rating=False)
    assert await bench.stands(talk) == ("bot", "closed", "ben")
    assert len(await bench.rows("SELECT id FROM handoffs")) == 1
    events = await bench.rows("SELECT event FROM messages WHERE kind = 'event' ORDER BY id")
    asks = [desk_talks.returned_by(row["event"]) for row in events]
    assert [back is not None and back.asks for back in asks] == [True, False]


async def test_copilot_is_how_the_agent_works_who_has_it(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    await bench.desk.set_mode(ann, talk, Mode.COPILOT)
    assert await bench.stands(talk) == ("copilot", "taken", "ann")
    with pytest.raises(Conflict):
        await bench.desk.set_mode(ben, talk, Mode.HUMAN)
    await bench.desk.set_mode(ann, talk, Mode.HUMAN)
    assert await bench.stands(talk) == ("human", "taken", "ann")
    await bench.desk.set_mode(ann, talk, Mode.QUEUED)
    assert await bench.stands(talk) == ("queued", "open", "")
    await bench.desk.set_mode(ann, talk, Mode.BOT)
    assert await bench.stands(talk) == ("bot", "closed", "")


async def test_the_platforms_own_pool_is_not_taken_from(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", channel="wecom_kf")
    await bench.database.write(lambda c: kf_sessions.queued(c, talk, now=bench.now))
    with pytest.raises(Conflict, match="接待池"):
        await bench.desk.take(ann, talk)
    await bench.database.write(lambda c: kf_sessions.keep(c, talk, since=0, now=bench.now))
    await bench.desk.take(ann, talk)


async def test_the_customer_may_leave_the_queue_but_not_the_agent(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk, other = await bench.waits("a"), await bench.waits("b")
    left = await bench.database.write(lambda c: desk_talks.leave(c, talk, now=bench.now))
    assert left
    assert await bench.stands(talk) == ("bot", "closed", "")
    await bench.desk.take(ann, other)
    left = await bench.database.write(lambda c: desk_talks.leave(c, other, now=bench.now))
    assert not left
    assert await bench.stands(other) == ("human", "taken", "ann")


async def test_a_mark_counts_once(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk)
    (row,) = await bench.rows("SELECT id FROM handoffs")
    given = [
        await bench.database.write(partial(desk_talks.rate, handoff=row["id"], rating=mark, now=0))
        for mark in (5, 1)
    ]
    assert given == [True, False]
    assert await bench.rows("SELECT rating FROM handoffs") == [{"rating": 5}]
    assert (await bench.kinds(talk))[-1] == "rating"
