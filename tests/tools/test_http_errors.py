"""What a peer's failure means: try again, or not."""

import time
from email.utils import formatdate

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.tools.webhook.peer_server import (
    Answer,
    drip,
    endless,
    hang_up,
    never,
    running_peer,
    status,
)
from tools.http_errors import MAX_ANSWER_BYTES, error_of_status, post, retry_after_seconds

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e9", 3600.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_bounded(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_success_is_no_error(code: int) -> None:
    assert error_of_status("webhook", code) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *[(code, PeerUnavailable) for code in (408, 429, 500, 502, 503, 504, 599)],
        *[(code, PeerRejected) for code in (301, 302, 400, 401, 403, 404, 409, 410, 422)],
    ],
)
async def test_each_status_is_either_worth_another_try_or_not(code: int, kind: type) -> None:
    async with running_peer(status(code, "no \n thanks")) as peer, httpx.AsyncClient() as http:
        with pytest.raises((PeerUnavailable, PeerRejected)) as caught:
            await post(http, peer.url, b"{}", peer="webhook", timeout=5)
    assert type(caught.value) is kind
    assert caught.value.status == code
    assert "no thanks" in str(caught.value)


@pytest.mark.parametrize("answer", [hang_up, never, drip])
async def test_a_lost_connection_and_an_endless_wait_may_succeed_later(answer: Answer) -> None:
    started = time.monotonic()
    async with running_peer(answer) as peer, httpx.AsyncClient() as http:
        with pytest.raises(PeerUnavailable) as caught:
            await post(http, peer.url + "?key=hidden", b"{}", peer="staff", timeout=0.3)
    assert caught.value.status is None
    assert "hidden" not in str(caught.value)
    assert time.monotonic() - started < 3


async def test_a_refused_connection_may_succeed_later() -> None:
    async with running_peer(status(200)) as peer:
        url = peer.url
    async with httpx.AsyncClient() as http:
        with pytest.raises(PeerUnavailable, match="connection failed"):
            await post(http, url, b"{}", peer="staff", timeout=2)


async def test_an_answer_without_end_is_cut_off() -> None:
    async with running_peer(endless) as peer, httpx.AsyncClient() as http:
        answer = await post(http, peer.url, b"{}", peer="staff", timeout=5)
    assert len(answer) == MAX_ANSWER_BYTES


async def test_an_address_that_is_no_web_address_is_not_tried_again() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(PeerRejected):
            await post(http, "gopher://127.0.0.1/x", b"{}", peer="staff", timeout=2)
