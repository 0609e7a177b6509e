"""Delivery of callbacks over a real socket."""

import httpx
import pytest

from domain.errors import PeerUnavailable
from tests.tools.webhook.peer_server import (
    Answer,
    drip,
    endless,
    hang_up,
    never,
    running_peer,
    status,
)
from tools.http_errors import MAX_RETRY_AFTER_S
from tools.tianwang.client import CallbackClient
from tools.tianwang.protocol import verify

SECRET = "callback-secret"
NOW = 1_772_240_400.0
BODY = '{"event_id":"evt_1","created_by":"设计师"}'.encode()


def _client(url: str, http: httpx.AsyncClient, timeout: float = 5) -> CallbackClient:
    return CallbackClient(url, SECRET, http, timeout, clock=lambda: NOW)


async def test_the_receiver_can_verify_what_it_got() -> None:
    async with running_peer(status(200)) as peer, httpx.AsyncClient() as http:
        await _client(peer.url, http).deliver("evt_任务", BODY)
    ((headers, body),) = peer.requests
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-tianwang-event-id"] == "evt_%E4%BB%BB%E5%8A%A1"
    assert body == BODY
    stamp, signature = headers["x-tianwang-timestamp"], headers["x-tianwang-signature"]
    verify(SECRET, stamp, signature, body, now=NOW)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\r\n",
        "ok",
        "OK\n",
        "success",
        '"ok"',
        "{}",
        '{"code": 0}',
        '{"code": 200, "message": "ok", "data": null}',
        '{"code": "200"}',
        '{"message": "收到"}',
        '\ufeff{"code": 0}',
    ],
)
async def test_a_clear_yes_is_a_delivery(answer: str) -> None:
    async with running_peer(status(200, answer)) as peer, httpx.AsyncClient() as http:
        await _client(peer.url, http).deliver("evt_1", BODY)


@pytest.mark.parametrize(
    "answer",
    [
        status(200, "<html>nginx</html>"),
        status(200, '{"code": 500, "message": "bad"}'),
        status(200, '{"code": 1}'),
        status(200, '{"code": null}'),
        status(200, '{"code": true}'),
        status(200, '{"code": [200]}'),
        status(200, '{"code"'),
        status(200, "[" * 60_000),
        status(200, "[]"),
        status(200, "0"),
        status(301, "", Location="http://127.0.0.1:1/"),
        status(400),
        status(401),
        status(404),
        status(410),
        status(500),
        status(503),
        hang_up,
        endless,
    ],
)
async def test_whatever_else_comes_is_tried_again(answer: Answer) -> None:
    async with running_peer(answer) as peer, httpx.AsyncClient(follow_redirects=True) as http:
        with pytest.raises(PeerUnavailable) as caught:
            await _client(peer.url, http).deliver("evt_1", BODY)
    assert "callback-secret" not in str(caught.value)
    assert peer.url not in str(caught.value)


@pytest.mark.parametrize("answer", [never, drip])
async def test_a_slow_receiver_is_given_up_in_time(answer: Answer) -> None:
    async with running_peer(answer) as peer, httpx.AsyncClient() as http:
        with pytest.raises(PeerUnavailable, match="in time"):
            await _client(peer.url, http, timeout=0.2).deliver("evt_1", BODY)


@pytest.mark.parametrize(("said", "waited"), [("7", 7.0), ("999999999", MAX_RETRY_AFTER_S)])
async def test_a_receiver_may_say_when_to_come_back_within_reason(said: str, waited: float) -> None:
    answer = status(503, "", Retry_After=said)
    async with running_peer(answer) as peer, httpx.AsyncClient() as http:
        with pytest.raises(PeerUnavailable) as caught:
            await _client(peer.url, http).deliver("evt_1", BODY)
    assert caught.value.retry_after == waited
