"""The desk's events: in order, none left out, none that is out of scope."""

import asyncio

import pytest

from domain.desk import Agent, EventKind
from engine.desk.desk import Desk
from engine.desk.feed import GAP_S, KEPT
from storage import desk_events
from storage.database import Database
from tests.engine.desk.bench import Bench


async def settle(desk: Desk, newest: int) -> None:
    """Until the feed has read event ``newest``."""
    while await desk.news(newest - 1, 10) < newest:
        pass


async def test_a_listener_hears_what_another_process_has_written(
    bench: Bench, second: Database
) -> None:
    other, _ = bench.process(name="p2", database=second)
    ann = await bench.agent("ann")
    await bench.desk.start()
    try:
        last = await bench.desk.newest_event()
        talk = await bench.waits("a")
        await other.take(ann, talk)
        heard: list[str] = []
        while "taken" not in heard:
            await bench.desk.news(last, 10)
            events = await bench.desk.events(ann, last)
            heard += [event.kind for event in events]
            last = events[-1].id
        assert [kind for kind in heard if kind != "mode"] == ["queued", "taken"]
    finally:
        await bench.desk.stop()


async def test_events_out_of_scope_are_not_told_and_presence_is_everybodys(bench: Bench) -> None:
    kf = await bench.agent("kf", scopes=("wecom_kf",))
    await bench.waits("a")
    await bench.waits("b", channel="wecom_kf")
    for running in (False, True):
        if running:
            await bench.desk.start()
        found = await bench.desk.events(kf, 0)
        assert {event.channel for event in found} == {"", "wecom_kf"}
        assert {event.kind for event in found if not event.channel} == {"presence"}
    await bench.desk.stop()


async def test_pages_continue_where_the_last_one_ended_in_memory_and_in_rows(bench: Bench) -> None:
    ann = await bench.agent("ann")
    for _ in range(5):
        await bench.waits(f"user{_}")
    whole = [event.id for event in await bench.desk.events(ann, 0)]
    await bench.desk.start()
    await bench.waits("later")
    newest = (await bench.rows("SELECT MAX(id) AS n FROM desk_events"))[0]["n"]
    await settle(bench.desk, newest)
    paged: list[int] = []
    while page := await bench.desk.events(ann, paged[-1] if paged else 0, limit=2):
        paged += [event.id for event in page]
    await bench.desk.stop()
    assert paged[: len(whole)] == whole
    assert paged == sorted(set(paged))
    assert paged[-1] == newest


async def test_who_was_away_for_longer_than_memory_reaches_still_gets_everything(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.start()
    start = await bench.desk.newest_event()

    def many(connection: object) -> None:
        for _ in range(KEPT + 10):
            desk_events.tell(connection, EventKind.NOTE, talk, now=bench.now)  # type: ignore[arg-type]

    await bench.database.write(many)
    newest = (await bench.rows("SELECT MAX(id) AS n FROM desk_events"))[0]["n"]
    await settle(bench.desk, newest)
    found, last = 0, start
    while page := await bench.desk.events(ann, last, limit=500):
        found, last = found + len(page), page[-1].id
    await bench.desk.stop()
    assert (found, last) == (KEPT + 10, newest)


async def test_news_wait_no_longer_than_asked(bench: Bench) -> None:
    await bench.desk.start()
    now = await bench.desk.newest_event()
    assert await bench.desk.news(now, 0.01) == now
    await bench.desk.stop()


async def test_old_events_go_and_numbers_are_given_once(bench: Bench) -> None:
    talk = await bench.waits("a")
    for _ in range(3):
        await bench.database.write(
            lambda c: desk_events.tell(c, EventKind.NOTE, talk, now=bench.now)
        )
    (before,) = await bench.rows("SELECT MAX(id) AS n FROM desk_events")
    await bench.database.write(lambda c: desk_events.prune(c, before=bench.now + 1))
    assert len(await bench.rows("SELECT id FROM desk_events")) == 1
    await bench.database.write(lambda c: desk_events.tell(c, EventKind.NOTE, talk, now=bench.now))
    (after,) = await bench.rows("SELECT MAX(id) AS n FROM desk_events")
    assert after["n"] > before["n"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_event_that_is_committed_late_is_neither_missed_nor_overtaken(
    bench: Bench, ann: Agent, database: Database
) -> None:
    talk = await bench.waits("a")
    await bench.desk.start()
    last = await bench.desk.newest_event()
    slow = database.engine.connect()
    try:
        late = slow.begin()
        desk_events.tell(slow, EventKind.NOTE, talk, now=1.0)
        await bench.database.write(lambda c: desk_events.tell(c, EventKind.OVERDUE, talk, now=2.0))
        assert await bench.desk.news(last, 0.2) == last
        late.commit()
        await settle(bench.desk, last + 2)
    finally:
        slow.close()
    kinds = [event.kind for event in await bench.desk.events(ann, last)]
    await bench.desk.stop()
    assert kinds == ["note", "overdue"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_number_that_was_rolled_back_holds_nothing_up(
    bench: Bench, ann: Agent, database: Database
) -> None:
    talk = await bench.waits("a")
    await bench.desk.start()
    last = await bench.desk.newest_event()
    with database.engine.connect() as connection:
        undone = connection.begin()
        desk_events.tell(connection, EventKind.NOTE, talk, now=1.0)
        undone.rollback()
    await bench.database.write(lambda c: desk_events.tell(c, EventKind.OVERDUE, talk, now=2.0))
    async with asyncio.timeout(GAP_S / 2):
        await settle(bench.desk, last + 2)
    kinds = [event.kind for event in await bench.desk.events(ann, last)]
    await bench.desk.stop()
    assert kinds == ["overdue"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_transaction_that_stands_still_holds_others_up_for_seconds_only(
    bench: Bench, ann: Agent, database: Database
) -> None:
    talk = await bench.waits("a")
    await bench.desk.start()
    last = await bench.desk.newest_event()
    with database.engine.connect() as connection:
        late = connection.begin()
        desk_events.tell(connection, EventKind.NOTE, talk, now=1.0)
        await bench.database.write(lambda c: desk_events.tell(c, EventKind.OVERDUE, talk, now=2.0))
        assert await bench.desk.news(last, 0.2) == last
        bench.now += GAP_S + 1
        await settle(bench.desk, last + 2)
        late.rollback()
    await bench.desk.stop()


@pytest.fixture
async def ann(bench: Bench) -> Agent:
    return await bench.agent("ann")
