"""The desk's clock: who waits gets somebody, and nobody is forgotten."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime

import pytest

from domain.desk import Agent, Presence
from domain.desk_hours import Hours, parse_hours
from storage import desk_talks, kf_sessions
from storage.database import Database
from storage.desk_watch import hold_watch
from tests.engine.desk.bench import NOON, POLICY, ZONE, Bench

OFFICE = replace(POLICY, hours=Hours(parse_hours("1-5 09:00-18:00")))


def at(day: int, hour: int, minute: int = 0) -> float:
    """In November 2026, whose 18th is a Wednesday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE).timestamp()


async def notices(bench: Bench) -> list[dict[str, str]]:
    rows = await bench.rows("SELECT payload FROM outbox WHERE kind = 'notice' ORDER BY id")
    return [json.loads(row["payload"]) for row in rows]


async def alive(bench: Bench, *agents: Agent) -> None:
    for agent in agents:
        await bench.desk.heartbeat(agent)


async def test_who_waits_is_given_to_the_least_loaded_agent_online(bench: Bench) -> None:
    ann, _ = await bench.agent("ann"), await bench.agent("ben")
    await bench.agent("away", status=Presence.AWAY)
    await bench.desk.take(ann, await bench.hears("busy"))
    talks = [await bench.waits(user) for user in "abc"]
    await bench.watch.sweep()
    assert [await bench.stands(talk) for talk in talks] == [
        ("human", "taken", "ben"),
        ("human", "taken", "ann"),
        ("human", "taken", "ben"),
    ]
    assert await bench.kinds(talks[0]) == ["queued", "assigned"]


async def test_nobody_gets_more_than_they_may_have_at_once(bench: Bench) -> None:
    await bench.agent("ann", max_load=2)
    talks = [await bench.waits(user) for user in "abc"]
    await bench.watch.sweep()
    assert [(await bench.stands(talk))[1] for talk in talks] == ["taken", "taken", "open"]


async def test_a_skill_and_a_scope_decide_who_may_get_it(bench: Bench) -> None:
    await bench.agent("ann", skills=("refund",), scopes=("wecom_kf",))
    await bench.agent("ben", skills=("delivery",))
    talk = await bench.waits("a", skill="refund")
    await bench.watch.sweep()
    assert (await bench.stands(talk))[1] == "open"
    await bench.agent("cat", skills=("refund", "x"))
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "cat")


async def test_a_customer_who_comes_again_gets_the_agent_of_last_time(bench: Bench) -> None:
    ann, _ = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.hears("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk)
    await bench.desk.take(ann, await bench.hears("other"))
    await bench.waits("a")
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")
    (event,) = await bench.rows("SELECT data FROM desk_events WHERE kind = 'assigned'")
    assert json.loads(event["data"]) == {"agent": "ann", "sticky": True}


async def test_nothing_is_assigned_where_agents_take_themselves(bench: Bench) -> None:
    _, watch = bench.process(replace(POLICY, assigns=False))
    await bench.agent("ann")
    talk = await bench.waits("a")
    await watch.sweep()
    assert (await bench.stands(talk))[1] == "open"


async def test_the_work_of_designers_is_not_assigned_to_agents(bench: Bench) -> None:
    await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.database.write(
        lambda c: c.exec_driver_sql("UPDATE handoffs SET target = 'designer'")
    )
    await bench.watch.sweep()
    assert (await bench.stands(talk))[1] == "open"


async def test_two_processes_that_sweep_at_once_assign_each_customer_once(
    bench: Bench, second: Database
) -> None:
    _, other = bench.process(name="p2", database=second)
    for name in ("ann", "ben", "cat"):
        await bench.agent(name, max_load=3)
    talks = [await bench.waits(user) for user in "abcdefghijkl"]
    await asyncio.gather(bench.watch.sweep(), other.sweep())
    taken = [await bench.stands(talk) for talk in talks]
    assert [status for _, status, _ in taken].count("taken") == 9
    loads = [agent.load for agent in await bench.desk.agents(await bench.admin())]
    assert loads == [3, 3, 0, 3]
    for talk in talks:
        assert (await bench.kinds(talk)).count("assigned") <= 1


async def test_one_process_looks_and_another_takes_over_when_its_lease_is_out(
    bench: Bench, second: Database
) -> None:
    _, other = bench.process(name="p2", database=second)
    await bench.watch.sweep()
    await bench.agent("ann")
    talk = await bench.waits("a")
    bench.now += 1
    await other.sweep()
    assert (await bench.stands(talk))[1] == "open"
    bench.now += 30
    await other.sweep()
    assert (await bench.stands(talk))[1] == "taken"


async def test_a_watch_that_stops_leaves_the_lease_to_others(bench: Bench) -> None:
    await bench.watch.start()
    await bench.watch.stop()
    held = await bench.database.write(lambda c: hold_watch(c, "p2", now=bench.now, lease_s=10))
    assert held


async def test_an_agent_without_a_sign_of_life_is_offline_and_their_customers_are_next(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    bench.now += 30
    early = await bench.waits("b")
    bench.now += 61
    await bench.agent("ben", max_load=1)
    await bench.watch.sweep()
    assert (await bench.desk.agent("ann")).status is Presence.OFFLINE  # type: ignore[union-attr]
    assert await bench.stands(talk) == ("human", "taken", "ben")
    assert (await bench.stands(early))[1] == "open"
    assert await bench.kinds(talk) == ["queued", "taken", "message", "transferred", "assigned"]


async def test_an_agent_who_gives_a_sign_in_time_keeps_everything(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    for _ in range(4):
        bench.now += 60
        await bench.desk.heartbeat(ann)
        await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")


async def test_who_does_not_say_the_first_word_in_time_loses_the_customer_to_another(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", "机器坏了")
    await bench.desk.take(ann, talk)
    await bench.agent("ben")
    bench.now += 59
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")
    bench.now += 2
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ben")
    assert await bench.kinds(talk) == ["queued", "taken", "overdue", "transferred"]
    (notice,) = await notices(bench)
    assert notice["title"] == "会话已改派：客户a"
    assert "ann的名字 超过 1 分钟没有回复" in notice["text"]
    assert "ben的名字" in notice["text"]


async def test_a_later_word_has_more_time_which_begins_with_the_customers_first_message(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    ben = await bench.agent("ben")
    for _ in range(4):
        bench.now += 40
        await bench.hears("a", "在吗")
        await alive(bench, ann, ben)
        await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")
    bench.now += 61
    await alive(bench, ann, ben)
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ben")


async def test_an_answer_in_time_ends_the_clock(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    ben = await bench.agent("ben")
    await bench.watch.sweep()
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    for _ in range(5):
        bench.now += 80
        await alive(bench, ann, ben)
        await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")
    assert await notices(bench) == []


async def test_where_nobody_else_can_staff_is_told_less_and_less_often(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", "机器坏了")
    await bench.desk.take(ann, talk)
    told = []
    for second in range(0, 1_000, 10):
        bench.now = NOON + second
        await bench.desk.heartbeat(ann)
        await bench.watch.sweep()
        told.append(len(await notices(bench)))
    assert await bench.stands(talk) == ("human", "taken", "ann")
    first_told = [told.index(count) * 10 for count in range(1, told[-1] + 1)]
    assert first_told == [60, 180, 420, 900]
    assert "目前没有其他坐席" in (await notices(bench))[0]["text"]


async def test_who_waits_too_long_is_told_to_staff_with_the_question(bench: Bench) -> None:
    talk = await bench.waits("a", "机器坏了")
    await bench.watch.sweep()
    bench.now += 61
    await bench.watch.sweep()
    (notice,) = await notices(bench)
    assert notice["title"] == "客户等待超时：客户a"
    assert "机器坏了" in notice["text"]
    assert notice["conversation_id"] == talk
    assert (await bench.kinds(talk))[-1] == "overdue"


async def test_people_who_are_no_agents_of_ours_have_no_clock(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    (row,) = await bench.rows("SELECT id FROM handoffs")
    await bench.database.write(
        lambda c: desk_talks.set_handoff(c, row["id"], status="taken", agent="小王", now=bench.now)
    )
    for _ in range(3):
        bench.now += 2_000
        await bench.hears("a", "在吗")
        await alive(bench, ann)
        await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "小王")
    assert await notices(bench) == []


async def test_a_customer_who_stays_silent_is_the_bots_again(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.say(ann, talk, "还有什么问题吗", message_id="r1")
    bench.now += 1_801
    await bench.desk.presence(ann, Presence.ONLINE)
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("bot", "closed", "ann")
    (event,) = await bench.rows("SELECT data FROM desk_events WHERE kind = 'resolved'")
    assert json.loads(event["data"])["why"] == "idle"
    assert bench.told.conversations == [talk]


async def test_a_customer_who_waits_for_an_answer_is_not_idle(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    await bench.hears("a", "在吗")
    bench.now += 1_801
    await bench.desk.presence(ann, Presence.ONLINE)
    await bench.watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")


async def test_after_hours_nobody_is_assigned_and_who_waits_is_told_once_when_it_opens(
    database_bench: Bench,
) -> None:
    bench = database_bench
    bench.now = at(18, 17, 59)
    talk = await bench.waits("a")
    await bench.watch.sweep()
    bench.now = at(18, 18, 1)
    late = await bench.waits("late")
    await bench.agent("ann")
    for minute in range(1, 6):
        bench.now = at(18, 18, minute)
        await bench.watch.sweep()
    assert [(await bench.stands(one))[1] for one in (talk, late)] == ["open", "open"]
    (sent,) = await bench.sent()
    assert "明天 09:00" in json.loads(sent)["text"]
    assert bench.told.queues == [talk]
    assert await notices(bench) == []


async def test_a_process_that_starts_anew_does_not_tell_it_again(database_bench: Bench) -> None:
    bench = database_bench
    bench.now = at(18, 17, 59)
    await bench.waits("a")
    bench.now = at(18, 18, 1)
    await bench.watch.sweep()
    _, again = bench.process(OFFICE, name="p1")
    await again.sweep()
    assert len(await bench.sent()) == 1


async def test_in_the_morning_the_clock_begins_when_the_desk_opens(database_bench: Bench) -> None:
    bench = database_bench
    bench.now = at(18, 20)
    await bench.waits("a")
    await bench.watch.sweep()
    bench.now = at(19, 9, 0)
    await bench.watch.sweep()
    assert await notices(bench) == []
    bench.now = at(19, 9, 1) + 1
    await bench.watch.sweep()
    assert len(await notices(bench)) == 1


async def test_what_the_platforms_pool_may_still_take_is_not_assigned(bench: Bench) -> None:
    _, watch = bench.process(replace(POLICY, pooled=frozenset({"wecom_kf"})))
    await bench.agent("ann")
    talk = await bench.waits("a", channel="wecom_kf")
    await watch.sweep()
    assert (await bench.stands(talk))[1] == "open"
    (found,) = await bench.database.read(lambda c: kf_sessions.due(c, now=bench.now))
    await bench.database.write(lambda c: kf_sessions.begin(c, found, now=bench.now))
    await watch.sweep()
    assert (await bench.stands(talk))[1] == "open"
    await bench.database.write(lambda c: kf_sessions.keep(c, talk, since=0, now=bench.now))
    await watch.sweep()
    assert await bench.stands(talk) == ("human", "taken", "ann")


async def test_the_watch_runs_by_itself_and_hears_of_who_comes(bench: Bench) -> None:
    await bench.desk.start()
    await bench.watch.start()
    try:
        seen = await bench.desk.newest_event()
        await bench.agent("ann")
        talk = await bench.waits("a")
        while "assigned" not in await bench.kinds(talk):
            seen = await bench.desk.news(seen, 10)
        assert await bench.stands(talk) == ("human", "taken", "ann")
    finally:
        await bench.watch.stop()
        await bench.desk.stop()


@pytest.fixture
def database_bench(bench: Bench) -> Bench:
    """With office hours."""
    bench.desk, bench.watch = bench.process(OFFICE)
    return bench
