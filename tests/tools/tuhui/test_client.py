"""Orders handed to Tuhui over a real socket: to answers as scripted, and to the sandbox's Tuhui."""

import json
import logging
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tests.tools.webhook.peer_server import (
    Answer,
    PeerServer,
    drip,
    endless,
    hang_up,
    never,
    running_peer,
    status,
)
from tools.tuhui.client import MemoryJournal, TuhuiClient
from tools.tuhui.protocol import Dispatched, DispatchOrder

KEY = "tuhui-key-for-tests"
ORDER = DispatchOrder("task:TASK_1:1:dispatch", "图片处理-1234", "客户需要做高清修复")


def _says(value: object) -> Answer:
    return status(200, json.dumps(value, ensure_ascii=False))


ONLINE = _says(["橘子", "婷婷"])
QUEUE = _says({"pending_tasks": {"count": 0, "tasks": []}, "suggestion": "橘子"})
CREATED = _says({"task_id": "ea853bd9"})
DONE = _says({"success": True})


@asynccontextmanager
async def _dispatching(
    *answers: Answer, timeout: float = 5
) -> AsyncIterator[tuple[TuhuiClient, PeerServer]]:
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        yield TuhuiClient(peer.url, KEY, http, timeout), peer


def _asked(peer: PeerServer) -> list[str]:
    lines = (headers["request-line"] for headers, _ in peer.requests)
    return [line.removesuffix(" HTTP/1.1").replace(" /hook", " ") for line in lines]


def _told(peer: PeerServer, at: int) -> dict[str, object]:
    told: dict[str, object] = json.loads(peer.requests[at][1])
    return told


async def test_an_order_is_created_and_assigned_as_the_seed_prints_it() -> None:
    async with _dispatching(ONLINE, QUEUE, CREATED, DONE) as (client, peer):
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", "橘子")
    assert _asked(peer) == [
        "GET /online/designers",
        "GET /dispatch/queue",
        "POST /tasks",
        "POST /tasks/ea853bd9/assign",
    ]
    assert {headers["x-api-key"] for headers, _ in peer.requests} == {KEY}
    assert _told(peer, 2)["task_name"] == "图片处理-1234"
    assert _told(peer, 2)["reference"] == ORDER.reference
    assert _told(peer, 3) == {"designer_name": "橘子", "notes": "AI 客服自动派单"}


async def test_the_designer_who_was_chosen_gets_it_where_online() -> None:
    async with _dispatching(ONLINE, QUEUE, CREATED, DONE) as (client, _):
        assert (await client.dispatch(replace(ORDER, designer="婷婷"))).designer == "婷婷"
    async with _dispatching(ONLINE, QUEUE, CREATED, DONE) as (client, _):
        assert (await client.dispatch(replace(ORDER, designer="小王"))).designer == "橘子"


async def test_with_nobody_online_the_task_is_created_and_waits() -> None:
    nobody = _says({"designers": []})
    async with _dispatching(nobody, QUEUE, CREATED) as (client, peer):
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", None)
    assert len(peer.requests) == 3


async def test_whoever_is_refused_is_followed_by_the_next() -> None:
    gone = status(409, '{"detail": "not online"}')
    async with _dispatching(ONLINE, QUEUE, CREATED, gone, DONE) as (client, _):
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", "婷婷")
    unwilling = _says({"success": False})
    async with _dispatching(ONLINE, QUEUE, CREATED, unwilling) as (client, _):
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", None)


async def test_an_api_without_a_queue_still_gets_orders() -> None:
    async with _dispatching(ONLINE, status(404), CREATED, DONE) as (client, _):
        assert (await client.dispatch(ORDER)).designer == "橘子"


async def test_a_queue_that_does_not_answer_stops_an_order_that_might_be_a_second_one() -> None:
    async with _dispatching(ONLINE, status(502), CREATED) as (client, peer):
        with pytest.raises(PeerUnavailable):
            await client.dispatch(ORDER)
    assert "POST /tasks" not in _asked(peer)


@pytest.mark.parametrize("known_by", ["reference", "description"])
async def test_a_task_of_which_we_were_not_told_is_found_in_the_queue(known_by: str) -> None:
    async with _dispatching(ONLINE, QUEUE, hang_up) as (client, peer):
        with pytest.raises(PeerUnavailable):
            await client.dispatch(ORDER)
        sent = _told(peer, 2)
    listed = {"task_id": "ea853bd9", known_by: sent[known_by]}
    waiting = _says({"pending_tasks": {"count": 1, "tasks": [listed]}})
    async with _dispatching(ONLINE, waiting, DONE) as (client, peer):
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", "橘子")
    assert _asked(peer)[2:] == ["POST /tasks/ea853bd9/assign"]


async def test_a_lost_answer_to_the_assignment_is_read_back_from_the_task() -> None:
    assigned = _says({"status": "assigned", "assigned_to": "橘子"})
    script = (ONLINE, QUEUE, CREATED, hang_up, ONLINE, QUEUE, assigned)
    async with _dispatching(*script) as (client, peer):
        with pytest.raises(PeerUnavailable):
            await client.dispatch(ORDER)
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", "橘子")
    assert _asked(peer)[4:] == [
        "GET /online/designers",
        "GET /dispatch/queue",
        "GET /tasks/ea853bd9",
    ]


async def test_a_journal_carries_the_task_over_to_another_process() -> None:
    journal = MemoryJournal()
    await journal.keep(ORDER.reference, "ea853bd9")
    pending = _says({"status": "pending", "assigned_to": None})
    async with (
        running_peer(ONLINE, QUEUE, pending, DONE) as peer,
        httpx.AsyncClient() as http,
    ):
        client = TuhuiClient(peer.url, KEY, http, journal=journal)
        assert await client.dispatch(ORDER) == Dispatched("ea853bd9", "橘子")
    assert "POST /tasks" not in _asked(peer)


async def test_the_journal_of_a_process_is_bounded() -> None:
    journal = MemoryJournal(size=2)
    for number in range(5):
        await journal.keep(f"r{number}", f"t{number}")
    assert [await journal.find(f"r{number}") for number in range(5)] == [
        None,
        None,
        None,
        "t3",
        "t4",
    ]


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (status(401, "who are you"), PeerRejected, 401),
        (status(422, "no"), PeerRejected, 422),
        (status(307, "", Location="http://127.0.0.1:9/"), PeerRejected, 307),
        (status(429, "slow down", Retry_After="7"), PeerUnavailable, 429),
        (status(500, "oops"), PeerUnavailable, 500),
        (status(200, "<html>"), PeerUnavailable, None),
        (status(200, ""), PeerUnavailable, None),
        (hang_up, PeerUnavailable, None),
    ],
)
async def test_failures_that_may_pass_are_told_from_those_that_do_not(
    answer: Answer, error: type[Exception], code: int | None
) -> None:
    async with _dispatching(answer) as (client, _):
        with pytest.raises(error) as caught:
            await client.dispatch(ORDER)
    assert getattr(caught.value, "status", None) == code


async def test_a_limited_peer_says_when_to_come_back() -> None:
    async with _dispatching(status(429, "slow", Retry_After="7")) as (client, _):
        with pytest.raises(PeerUnavailable) as caught:
            await client.online_designers()
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("answer", [never, drip])
async def test_a_call_ends_at_its_time(answer: Answer) -> None:
    started = time.monotonic()
    async with _dispatching(answer, timeout=0.2) as (client, _):
        with pytest.raises(PeerUnavailable, match="in time"):
            await client.online_designers()
    assert time.monotonic() - started < 3


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async with _dispatching(endless) as (client, _):
        with pytest.raises(PeerUnavailable, match="no usable"):
            await client.online_designers()


async def test_the_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = status(403, json.dumps({"detail": f"key {KEY} is not known"}))
    async with _dispatching(echo) as (client, _):
        with pytest.raises(PeerRejected, match=r"key \*\*\* is not known") as caught:
            await client.dispatch(ORDER)
        assert KEY not in repr(client)
    async with _dispatching(ONLINE, QUEUE, CREATED, echo) as (client, _):
        assert (await client.dispatch(ORDER)).designer is None
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "cannot be assigned" in told
    assert KEY not in told


async def test_a_task_can_be_asked_for_and_completed() -> None:
    answer = {"status": "assigned", "assigned_to": "橘子", "extra": [1]}
    async with _dispatching(_says(answer), DONE) as (client, peer):
        found = await client.task("ea853bd9")
        assert (found.task_id, found.status, found.assigned_to) == ("ea853bd9", "assigned", "橘子")
        await client.complete("ea853bd9", "客户已确认,效果满意")
    assert _asked(peer) == ["GET /tasks/ea853bd9", "POST /tasks/ea853bd9/complete"]
    assert _told(peer, 1) == {"notes": "客户已确认,效果满意"}


@pytest.fixture
async def sandbox_client(sandbox_server: SandboxServer) -> AsyncIterator[TuhuiClient]:
    async with httpx.AsyncClient() as http:
        yield TuhuiClient(f"{sandbox_server.url}/tuhui", KEY, http)


async def test_the_sandbox_takes_an_order_to_its_end(
    sandbox_server: SandboxServer, sandbox_client: TuhuiClient
) -> None:
    sandbox_server.put("/_sandbox/tuhui/designers", {"designers": ["橘子", "婷婷"]})
    dispatched = await sandbox_client.dispatch(replace(ORDER, designer="婷婷"))
    assert dispatched.designer == "婷婷"
    assert (await sandbox_client.task(dispatched.task_id)).assigned_to == "婷婷"
    await sandbox_client.complete(dispatched.task_id, "完成")
    assert (await sandbox_client.task(dispatched.task_id)).status == "completed"


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_whichever_answer_is_lost_the_sandbox_has_one_task(
    sandbox_server: SandboxServer, sandbox_client: TuhuiClient, lost: int
) -> None:
    sandbox_server.put("/_sandbox/tuhui/designers", {"designers": ["橘子"]})
    sandbox_server.fault("tuhui", "lost_answer", count=1, after=lost - 1)
    with pytest.raises(PeerUnavailable):
        await sandbox_client.dispatch(ORDER)
    dispatched = await sandbox_client.dispatch(ORDER)
    (task,) = sandbox_server.get("/_sandbox/tuhui/state")["tasks"]
    assert (task["task_id"], task["assigned_to"]) == (dispatched.task_id, "橘子")
    assert task["received"] == 1
