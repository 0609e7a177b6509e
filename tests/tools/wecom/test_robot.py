"""Notices through a group robot of WeCom, over real sockets."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError, PeerError, PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tests.tools.webhook.peer_server import hang_up, running_peer, status
from tools.wecom.robot import (
    FAULTS,
    MAX_CONTENT_BYTES,
    GroupRobot,
    check_taken,
    markdown_body,
    notice_markdown,
    shortened,
)

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
SEED = "设计师:橘子\n任务 ID: ea853bd9\n客户:customer_123\n原因:图片过于模糊\n请及时处理"


def answer(code: int, message: str = "") -> bytes:
    return json.dumps({"errcode": code, "errmsg": message}).encode()


def robot_of(sandbox: SandboxServer, http: httpx.AsyncClient, key: str = KEY) -> GroupRobot:
    return GroupRobot(f"{sandbox.url}/wecom/webhook/send?key={key}", http)


async def test_the_group_reads_the_seeds_words(sandbox_server: SandboxServer) -> None:
    async with httpx.AsyncClient() as http:
        robot = robot_of(sandbox_server, http)
        await robot.send(notice_markdown("📋 **新任务派单**", SEED))
    (notice,) = sandbox_server.get("/_sandbox/wecom/notices")["notices"]
    assert (notice["msgtype"], notice["content"]) == ("markdown", f"📋 **新任务派单**\n{SEED}")


def test_a_plain_title_is_made_bold() -> None:
    assert notice_markdown("派单受阻", "请检查") == "**派单受阻**\n请检查"


def test_a_customers_words_call_nobody_and_hide_no_link() -> None:
    shown = notice_markdown("需要人工介入:<@all>", "问题:<@zhangsan> [点这里](http://x.example)")
    assert "<@" not in shown
    assert "](" not in shown
    assert "http://x.example" in shown


@pytest.mark.parametrize(
    ("code", "error", "retry_after"),
    [
        (-1, PeerUnavailable, None),
        (45009, PeerUnavailable, 60.0),
        (45033, PeerUnavailable, None),
        (93000, PeerRejected, None),
        (93004, PeerRejected, None),
        (93008, PeerRejected, None),
        (40058, PeerRejected, None),
        (12345, PeerRejected, None),
    ],
)
def test_an_errcode_says_whether_to_try_again(
    code: int, error: type[PeerError], retry_after: float | None
) -> None:
    with pytest.raises(error) as raised:
        check_taken(answer(code, "why"))
    assert raised.value.reason.startswith(f"errcode {code}: ")
    assert raised.value.reason.endswith("(why)")
    assert getattr(raised.value, "retry_after", None) == retry_after


def test_every_known_errcode_has_its_advice() -> None:
    assert all(fault.advice for fault in FAULTS.values())
    check_taken(answer(0, "ok"))


@pytest.mark.parametrize(
    "told", [b"", b"<html>", b"[]", b"{}", b'{"errcode": null}', b'{"errcode": Infinity}', b"\xff"]
)
def test_an_answer_without_errcode_may_be_better_next_time(told: bytes) -> None:
    with pytest.raises(PeerUnavailable, match="errcode"):
        check_taken(told)


async def test_the_sandboxes_refusals_are_understood(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/wecom/key", {"key": KEY})
    sandbox_server.put("/_sandbox/wecom/limit", {"per_minute": 1})
    async with httpx.AsyncClient() as http:
        await robot_of(sandbox_server, http).send("一")
        with pytest.raises(PeerUnavailable) as often:
            await robot_of(sandbox_server, http).send("二")
        with pytest.raises(PeerRejected, match="93000"):
            await robot_of(sandbox_server, http, "removed").send("三")
    assert often.value.retry_after == 60.0


async def test_an_answer_that_was_lost_is_tried_again_and_shown_twice(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("wecom", "lost_answer", count=1)
    async with httpx.AsyncClient() as http:
        robot = robot_of(sandbox_server, http)
        with pytest.raises(PeerUnavailable):
            await robot.send("通知")
        await robot.send("通知")
    assert len(sandbox_server.get("/_sandbox/wecom/notices")["notices"]) == 2


async def test_no_error_shows_the_key_whatever_the_peer_repeats() -> None:
    repeats = f"bad request for /send?key={KEY}"
    refusal = json.dumps({"errcode": 93000, "errmsg": repeats})
    answers = (status(200, refusal), status(404, repeats), status(502, repeats), hang_up)
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        robot = GroupRobot(f"{peer.url}?key={KEY}", http)
        for _ in answers:
            with pytest.raises(PeerError) as raised:
                await robot.send("通知")
            assert raised.value.peer == "wecom"
            error: BaseException | None = raised.value
            while error is not None and not error.__suppress_context__:
                assert KEY not in str(error)
                error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "url", ["https://h/send", "https://h/send?key=", "https://h/send?k=secret"]
)
async def test_an_address_without_key_is_refused_and_not_shown(url: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConfigurationError, match="WECOM_ROBOT_URL") as raised:
            GroupRobot(url, http)
    assert "secret" not in str(raised.value)


@given(st.text(max_size=4_000), st.integers(3, 4_096))
def test_what_is_shortened_fits_and_is_a_beginning(text: str, limit: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    cut = shortened(text, limit)
    assert len(cut.encode()) <= limit
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    if cut != text:
        longer = text[: len(cut)].encode()
        assert len(longer) + len("…".encode()) > limit, "one character more would not fit"


def test_a_body_is_no_longer_than_a_robot_takes() -> None:
    body = json.loads(markdown_body("字" * 5_000 + "\ud800"))
    content = body["markdown"]["content"]
    assert len(content.encode()) <= MAX_CONTENT_BYTES
    assert content.endswith("字…")


def test_a_lone_surrogate_does_not_stop_a_notice() -> None:
    assert json.loads(markdown_body("\ud800"))["markdown"]["content"] == "?"
