"""Notices to staff over a real socket."""

import json

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tests.tools.webhook.peer_server import running_peer, status
from tools.notify.client import StaffNotifier
from tools.notify.protocol import StaffNotice, notice_body

NOTICE = StaffNotice(
    notice_id="t_1:notice",
    title="需要人工介入",
    text="用户:小明\n问题:我要投诉!",
    priority="high",
    conversation_id="c_1",
    reason="complaint",
)


async def test_a_notice_arrives_with_all_its_fields() -> None:
    async with running_peer(status(200)) as peer, httpx.AsyncClient() as http:
        await StaffNotifier(peer.url, http).notify(NOTICE)
    ((headers, body),) = peer.requests
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(body) == {
        "notice_id": "t_1:notice",
        "title": "需要人工介入",
        "text": "用户:小明\n问题:我要投诉!",
        "priority": "high",
        "conversation_id": "c_1",
        "reason": "complaint",
    }


async def test_a_busy_peer_and_a_refusing_one_are_told_apart() -> None:
    answers = (status(503, Retry_After="3"), status(404, "no such robot"))
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        notifier = StaffNotifier(peer.url, http)
        with pytest.raises(PeerUnavailable) as busy:
            await notifier.notify(NOTICE)
        with pytest.raises(PeerRejected, match="no such robot"):
            await notifier.notify(NOTICE)
    assert busy.value.retry_after == 3.0
    assert busy.value.peer == "staff"


def test_a_lone_surrogate_does_not_stop_a_notice() -> None:
    notice = StaffNotice("n", "t", "\ud800", "normal", "c", "r")
    assert json.loads(notice_body(notice))["text"] == "?"


async def test_the_sandbox_shows_a_repeated_notice_once(sandbox_server: SandboxServer) -> None:
    async with httpx.AsyncClient() as http:
        notifier = StaffNotifier(sandbox_server.staff_url, http)
        await notifier.notify(NOTICE)
        await notifier.notify(NOTICE)
    (notice,) = sandbox_server.notices()
    assert (notice["title"], notice["priority"], notice["received"]) == ("需要人工介入", "high", 2)
