"""Delivery to the shop's webhook over a real socket."""

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.tools.webhook.peer_server import hang_up, running_peer, status
from tools.webhook.client import WebhookClient
from tools.webhook.protocol import OutboundText, outbound_body, verify

SECRET = "shop-secret"
MESSAGE = OutboundText(
    message_id="t_1:reply",
    conversation_id="c_1",
    account="shop",
    chat_id="chat-1",
    to="customer-1",
    text="您好,充电桩安装需要预约。",
    turn_id="t_1",
    created_at=1_700_000_000.5,
)
NOW = 1_700_000_001.0


def _client(url: str, http: httpx.AsyncClient) -> WebhookClient:
    return WebhookClient(url, SECRET, http, timeout=5, clock=lambda: NOW)


async def test_the_receiver_can_verify_what_it_got() -> None:
    async with running_peer(status(200)) as peer, httpx.AsyncClient() as http:
        await _client(peer.url, http).deliver(MESSAGE)
    ((headers, body),) = peer.requests
    assert headers["request-line"] == "POST /hook HTTP/1.1"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert body == outbound_body(MESSAGE)
    verify(SECRET, headers["x-kefu-timestamp"], headers["x-kefu-signature"], body, now=NOW)


async def test_a_second_attempt_carries_the_same_message_id_and_body() -> None:
    async with running_peer(hang_up, status(200)) as peer, httpx.AsyncClient() as http:
        client = _client(peer.url, http)
        with pytest.raises(PeerUnavailable):
            await client.deliver(MESSAGE)
        await client.deliver(MESSAGE)
    assert peer.requests[0][1] == peer.requests[1][1]


async def test_deliveries_share_a_connection() -> None:
    async with running_peer(status(200)) as peer, httpx.AsyncClient() as http:
        for _ in range(3):
            await _client(peer.url, http).deliver(MESSAGE)
    assert (len(peer.requests), peer.connections) == (3, 1)


async def test_a_limited_peer_says_when_to_come_back() -> None:
    answer = status(429, "slow down", Retry_After="7")
    async with running_peer(answer) as peer, httpx.AsyncClient() as http:
        with pytest.raises(PeerUnavailable) as caught:
            await _client(peer.url, http).deliver(MESSAGE)
    assert (caught.value.retry_after, caught.value.status) == (7.0, 429)


async def test_a_redirect_does_not_carry_the_customers_words_elsewhere() -> None:
    async with running_peer(status(200)) as other:
        answer = status(307, "", Location=other.url)
        async with running_peer(answer) as peer, httpx.AsyncClient(follow_redirects=True) as http:
            with pytest.raises(PeerRejected):
                await _client(peer.url, http).deliver(MESSAGE)
    assert other.requests == []
