"""Live events: they come while they happen, a reader that comes back misses nothing, and no stream
holds anything up."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from api.desk.streams import MAX_STREAMS, EventStream, Streams
from tests.api.desk.seats import KEY, Seat, customer_asks, employ, of_kind, sign_in
from tests.api.service import Service, running_service


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Heartbeats come at a third of the time after which an agent is away."""
    folder = tmp_path_factory.mktemp("events")
    with running_service(folder, api_key=KEY, desk_agent_away_s=5.0) as running:
        running.client.headers["X-API-Key"] = KEY
        yield running


@pytest.fixture(scope="module")
def boss(staffed: Service) -> Iterator[Seat]:
    employ(staffed, "boss", role="admin")
    seat = sign_in(staffed, "boss")
    yield seat
    seat.client.close()


def test_an_agent_hears_of_a_customer_and_of_what_they_write_next(
    staffed: Service, boss: Seat
) -> None:
    with boss.watching() as told:
        conversation = customer_asks(staffed, customer="writer")
        assert of_kind(told, "queued").data["conversation_id"] == conversation
        boss.act(conversation, "take").raise_for_status()
        assert of_kind(told, "taken").data["agent"] == "boss"
        customer_asks(staffed, "还在吗？", customer="writer", deadline_s=0.01)
        message = of_kind(told, "message")
    assert message.data["data"]["role"] == "user"
    assert message.data["data"]["text"] == "还在吗？"


def test_who_comes_back_is_told_exactly_what_was_missed(staffed: Service, boss: Seat) -> None:
    with boss.watching() as told:
        customer_asks(staffed)
        last = of_kind(told, "queued")
    missed = [customer_asks(staffed) for _ in range(3)]
    with boss.watching(after=last.id) as told:
        now = customer_asks(staffed)
        heard = [of_kind(told, "queued") for _ in range(4)]
    assert [event.data["conversation_id"] for event in heard] == [*missed, now]
    ids = [int(event.id) for event in heard]
    assert ids == sorted(set(ids))


def test_who_was_away_too_long_is_told_to_look_anew(staffed: Service, boss: Seat) -> None:
    ahead = str(10**15)
    with boss.client.stream("GET", "/api/desk/events", headers={"Last-Event-ID": ahead}) as answer:
        first = next(line for line in answer.iter_lines() if line.startswith("event: "))
    assert first == "event: reset"


@pytest.mark.parametrize("last", ["x", "-1", "1 OR 1=1", "9" * 40, "١٢"])
def test_an_odd_last_event_begins_now(boss: Seat, last: str) -> None:
    headers = {b"Last-Event-ID": last.encode()}
    with boss.client.stream("GET", "/api/desk/events", headers=headers) as answer:
        assert answer.status_code == 200
        first = next(line for line in answer.iter_lines() if line.startswith("event: "))
    assert first == "event: hello"


def test_a_session_that_ends_ends_its_stream(staffed: Service) -> None:
    employ(staffed, "leaver")
    leaver = sign_in(staffed, "leaver")
    with leaver.watching() as told:
        path = "/api/desk/agents/leaver"
        assert staffed.client.put(path, json={"enabled": False}).is_success
        assert of_kind(told, "goodbye").data == {}
        assert list(told) == [], "nothing is told after it"


def test_of_too_many_streams_of_one_agent_the_oldest_ends(staffed: Service) -> None:
    employ(staffed, "tabs")
    seat = sign_in(staffed, "tabs")
    with seat.watching() as oldest:
        others = [seat.watching() for _ in range(MAX_STREAMS)]
        try:
            for other in others:
                other.__enter__()
            assert all(event.kind != "goodbye" for event in oldest), "it comes back by itself"
        finally:
            for other in others:
                other.__exit__(None, None, None)


def test_nothing_is_left_of_readers_that_went_away(staffed: Service, boss: Seat) -> None:
    streams: Streams = staffed.app.state.streams
    with boss.watching():
        assert len(streams) >= 1
    ends = time.monotonic() + 60
    while len(streams) and time.monotonic() < ends:
        boss.get("/me")
    assert len(streams) == 0


def test_stopping_does_not_wait_for_streams(tmp_path: Path) -> None:
    with running_service(tmp_path, api_key=KEY) as service:
        service.client.headers["X-API-Key"] = KEY
        employ(service, "boss")
        seat = sign_in(service, "boss")
        watching = seat.watching()
        told = watching.__enter__()
        stopping = time.monotonic()
    took = time.monotonic() - stopping
    assert list(told) == [], "the stream ended in order"
    watching.__exit__(None, None, None)
    assert took < 4.0, "less than the time that the server gives to requests under way"


async def test_a_reader_that_takes_nothing_is_cut_off(staffed: Service) -> None:
    streams, stuck = Streams(), asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await stuck.wait()

    async def receive() -> Message:
        await stuck.wait()
        return {"type": "http.disconnect"}

    async def still_may() -> Any:
        raise AssertionError("nobody asks before anything was taken")

    desk: Any = _Silent()
    stream = EventStream(desk, streams, desk.agent, still_may, after=None, send_s=0.05)
    async with asyncio.timeout(60):
        await stream({"type": "http"}, receive, send)
    assert len(streams) == 0


class _Silent:
    """A desk at which nothing happens."""

    def __init__(self) -> None:
        from domain.desk import Agent

        self.agent = Agent("reader", "Reader")

    async def newest_event(self) -> int:
        return 0
