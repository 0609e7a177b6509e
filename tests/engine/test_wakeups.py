"""Hints between processes on one PostgreSQL wake whom they mean, and nothing depends on them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from engine.wakeups import Wakeups
from storage.database import normalise_url
from storage.line import MAX_BYTES, Line
from tests.databases import fresh_postgres_database
from tests.engine.processes import QUICK, Process, a_message, answer_to, running_process

SWEEPING = replace(QUICK, sweep_s=0.2)
"""Where hints are lost, what they would have said is found so."""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with fresh_postgres_database(postgres_url) as url:
        yield normalise_url(url)


class Heard:
    """What a process was told, in order."""

    def __init__(self) -> None:
        self.words: list[tuple[object, ...]] = []
        self.connected = 0
        self._more = asyncio.Event()

    def listen(self, hints: Wakeups) -> None:
        hints.on_turn = lambda conversation, due_at: self._add("turn", conversation, due_at)
        hints.on_queue = lambda queue: self._add("queue", queue)
        hints.on_due = lambda what: self._add("due", what)
        hints.on_answered = lambda key: self._add("answered", *key)
        hints.on_connected = self._connect

    async def await_words(self, count: int) -> list[tuple[object, ...]]:
        async with asyncio.timeout(60):
            while len(self.words) < count:
                self._more.clear()
                await self._more.wait()
        return self.words

    async def await_connected(self, times: int = 1) -> None:
        async with asyncio.timeout(60):
            while self.connected < times:
                self._more.clear()
                await self._more.wait()

    def _add(self, *words: object) -> None:
        self.words.append(words)
        self._more.set()

    def _connect(self) -> None:
        self.connected += 1
        self._more.set()


@contextlib.asynccontextmanager
async def listening(url: str, owner: str, *, works: bool) -> AsyncIterator[tuple[Wakeups, Heard]]:
    hints, heard = Wakeups(Line(url), owner=owner, works=works), Heard()
    heard.listen(hints)
    hints.start()
    try:
        await heard.await_connected()
        yield hints, heard
    finally:
        await hints.stop()


async def until(done: Callable[[], object]) -> None:
    """For states that no event tells of."""
    async with asyncio.timeout(60):
        while not done():  # noqa: ASYNC110 - what is looked at is a list
            await asyncio.sleep(0.002)


async def await_workers(hints: Wakeups, expected: list[str]) -> None:
    await until(lambda: hints.workers() == expected)


async def test_one_of_those_that_work_is_named_and_the_same_one_again(url: str) -> None:
    async with (
        listening(url, "one", works=True) as (_, one),
        listening(url, "two", works=True) as (_, two),
        listening(url, "door", works=False) as (door, its_own),
    ):
        await await_workers(door, ["one", "two"])
        for _ in range(2):
            for number in range(40):
                door.turn(f"c{number}", 1.5)
        door.due("order")  # everybody's, and the last word: then all has been heard
        await until(lambda: len(one.words) + len(two.words) >= 82)
    assert its_own.words == []
    assert one.words[-1] == two.words[-1] == ("due", "order")
    first, second = ({word[1] for word in heard.words[:-1]} for heard in (one, two))
    assert first | second == {f"c{number}" for number in range(40)}
    assert not first & second
    assert min(len(first), len(second)) > 5


async def test_a_door_is_told_of_answers_and_does_no_work(url: str) -> None:
    async with (
        listening(url, "worker", works=True) as (worker, _),
        listening(url, "door", works=False) as (_, door),
    ):
        worker.turn("c1", 0.0)
        worker.queue("q1")
        worker.answered(("api", "shop", "m1"))
        assert await door.await_words(1) == [("answered", "api", "shop", "m1")]


async def test_who_leaves_is_given_nothing_more_and_still_tells(url: str) -> None:
    async with (
        listening(url, "stays", works=True) as (_, stays),
        listening(url, "leaves", works=True) as (leaves, left),
        listening(url, "door", works=False) as (door, heard),
    ):
        await await_workers(door, ["leaves", "stays"])
        leaves.leave()
        await await_workers(door, ["stays"])
        for number in range(20):
            door.queue(f"q{number}")
        await stays.await_words(20)
        leaves.answered(("api", "shop", "last"))
        await heard.await_words(1)
        assert not [word for word in left.words if word[0] == "queue"]


async def test_before_anybody_is_known_all_are_woken(url: str) -> None:
    async with (
        listening(url, "one", works=True) as (hints, one),
        listening(url, "two", works=True) as (_, two),
    ):
        hints._seen.clear()
        hints.turn("c1", 2.0)
        assert await one.await_words(1) == await two.await_words(1) == [("turn", "c1", 2.0)]


async def test_a_line_that_is_cut_is_opened_again_and_says_so(url: str) -> None:
    async with listening(url, "worker", works=True) as (hints, heard):
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'kefu wake-ups'"
            )
        await heard.await_connected(2)
        hints.due("task")
        assert await heard.await_words(1) == [("due", "task")]


async def test_without_a_server_nothing_is_kept_and_nothing_fails() -> None:
    hints = Wakeups(Line("postgresql+psycopg://127.0.0.1:1/nobody"), owner="alone", works=False)
    hints.start()
    await asyncio.sleep(0)
    hints.turn("c1", 0.0)
    assert not hints.connected
    assert not hints._waiting
    await hints.stop()


async def test_much_to_say_is_said_in_pieces_that_postgresql_takes(url: str) -> None:
    async with (
        listening(url, "worker", works=True) as (_, heard),
        listening(url, "door", works=False) as (door, _),
    ):
        long = "长" * (MAX_BYTES // 3)  # for itself too much: the sweep finds it
        door.queue(long)
        for number in range(500):
            door.queue(f"{'队列' * 40}{number}")
        words = await heard.await_words(500)
    assert [word[1] for word in words] == [f"{'队列' * 40}{number}" for number in range(500)]


# Two engines: a door and a worker -------------------------------------------------------------


@contextlib.asynccontextmanager
async def pair(url: str, *, line: bool = True) -> AsyncIterator[tuple[Process, Process]]:
    """The door's sweep and the worker's are far off, but for a line that is missing."""
    policy = QUICK if line else SWEEPING
    at = Line(url) if line else None
    async with (
        running_process(
            url, policy=policy, owner="worker", wakeups=Wakeups(at, owner="worker", works=True)
        ) as worker,
        running_process(
            url, policy=policy, owner="door", wakeups=Wakeups(at, owner="door", works=False)
        ) as door,
    ):
        if line:
            await _connected(worker, door)
        yield door, worker


async def _connected(*processes: Process) -> None:
    await until(lambda: all(one.wakeups.connected for one in processes))


async def test_a_door_waits_for_the_answer_of_a_worker(url: str) -> None:
    async with pair(url) as (door, worker):
        message = a_message("一号")
        answer = await asyncio.wait_for(door.engine.ask(message), 5)
        assert answer["content"] == answer_to(message)
        assert (door.knowledge.searched, worker.knowledge.searched) == ([], [message.text])


async def test_a_door_that_hears_nothing_finds_the_answer_in_the_rows(url: str) -> None:
    async with pair(url, line=False) as (door, worker):
        message = a_message("一号")
        answer = await asyncio.wait_for(door.engine.ask(message), 10)
        assert answer["content"] == answer_to(message)
        assert worker.knowledge.searched == [message.text]


async def test_a_turn_that_is_watched_runs_where_its_caller_is(url: str) -> None:
    events: list[str] = []
    async with pair(url) as (door, worker):
        message = a_message("一号")
        answer = await door.engine.ask(message, watcher=lambda event, _data: events.append(event))
        assert answer["content"] == answer_to(message)
        assert (door.knowledge.searched, worker.knowledge.searched) == ([message.text], [])
    assert "node" in events


async def test_what_a_door_puts_into_the_outbox_a_worker_delivers(url: str) -> None:
    """A dead letter that an operator sends again: the door has no deliverer at work."""
    async with pair(url) as (door, worker):
        woken: list[str] = []
        worker.wakeups.on_queue = woken.append
        door.engine.wake_queues(["some queue"])
        await until(lambda: woken)
        assert woken == ["some queue"]
