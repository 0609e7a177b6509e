"""Calls to Tuhui over a real socket, to answers as scripted."""

import json
import logging
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from domain.errors import PeerError, PeerRejected, PeerUnavailable
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
from tools.tuhui.client import TuhuiClient
from tools.tuhui.protocol import DispatchOrder, Queue

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


async def test_the_calls_are_made_as_the_seed_prints_them() -> None:
    async with _dispatching(ONLINE, QUEUE, CREATED, DONE) as (client, peer):
        assert await client.online_designers() == ("橘子", "婷婷")
        assert await client.pending() == Queue((), "橘子")
        assert await client.create(ORDER) == "ea853bd9"
        await client.assign("ea853bd9", "橘子", "AI 客服自动派单")
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


async def test_an_assignment_that_did_not_succeed_is_refused() -> None:
    for answer in (status(409, '{"detail": "not online"}'), _says({"success": False})):
        async with _dispatching(answer) as (client, _):
            with pytest.raises(PeerRejected):
                await client.assign("ea853bd9", "橘子", "")


async def test_an_api_without_a_queue_has_nothing_pending() -> None:
    async with _dispatching(status(404)) as (client, _):
        assert await client.pending() == Queue()


async def test_a_queue_that_does_not_answer_is_not_taken_for_an_empty_one() -> None:
    for answer in (status(502), status(403)):
        async with _dispatching(answer) as (client, _):
            with pytest.raises(PeerError):
                await client.pending()


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
            await client.create(ORDER)
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
            await client.create(ORDER)
        assert KEY not in repr(client)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caplog.text


async def test_a_task_can_be_asked_for_and_completed() -> None:
    answer = {"status": "assigned", "assigned_to": "橘子", "extra": [1]}
    async with _dispatching(_says(answer), DONE) as (client, peer):
        found = await client.task("ea853bd9")
        assert (found.task_id, found.status, found.assigned_to) == ("ea853bd9", "assigned", "橘子")
        await client.complete("ea853bd9", "客户已确认,效果满意")
    assert _asked(peer) == ["GET /tasks/ea853bd9", "POST /tasks/ea853bd9/complete"]
    assert _told(peer, 1) == {"notes": "客户已确认,效果满意"}
