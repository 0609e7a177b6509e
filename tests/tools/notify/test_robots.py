"""Notices through group robots of Feishu and DingTalk (reference others.md, 2.1 and 3.1)."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from sandbox.notice_peer import CREDENTIAL
from tests.sandbox_server import JsonObject, SandboxServer
from tests.tools.notify.notices import AT, HOSTILE, NOTICE, SEEN, notice
from tests.tools.webhook.peer_server import hang_up, never, running_peer, status
from tools.notify import dingtalk, feishu
from tools.notify.dingtalk import DingtalkRobot
from tools.notify.feishu import FeishuRobot

KEY = "d3c5e1b2-key-of-the-robot"
Robot = FeishuRobot | DingtalkRobot
Make = Callable[..., Robot]
ENCODABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000)


def address(name: str, base: str) -> str:
    paths = {
        "feishu": f"/open-apis/bot/v2/hook/{KEY}",
        "dingtalk": f"/robot/send?access_token={KEY}",
    }
    return base + paths[name]


def robot_to(
    name: str, base: str, http: httpx.AsyncClient, *, secret: str | None = CREDENTIAL, **more: Any
) -> Robot:
    made: Make = FeishuRobot if name == "feishu" else DingtalkRobot
    return made(address(name, base), secret, http, **more)


def shown(sandbox: SandboxServer, name: str) -> list[JsonObject]:
    return list(sandbox.get(f"/_sandbox/{name}/notices")["notices"])


# Signatures


@pytest.mark.parametrize(
    ("timestamp", "secret", "right"),
    [
        (1599360473, "demo", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
        (1700000000, "feishu-test-secret", "e3MJ8Q5llVxGJ8pVkGPBhexDAgjvYqpjPP1GkY9XceI="),
    ],
)
def test_feishu_s_signatures_are_the_reference_s(timestamp: int, secret: str, right: str) -> None:
    assert feishu.sign(secret, timestamp) == right
    sent = json.loads(feishu.body_of("x", secret=secret, timestamp=timestamp))
    assert sent == {
        "timestamp": str(timestamp),
        "sign": right,
        "msg_type": "text",
        "content": {"text": "x"},
    }


@pytest.mark.parametrize(
    ("timestamp", "secret", "right"),
    [
        (1700000000000, "this is secret", "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0="),
        (1577262236757, "SEC0123456789abcdef", "Pgr6tpIpjVrMPPJUPkaI9sivFPPTYOy5zIOMF2GPFMA="),
    ],
)
def test_dingtalk_s_signatures_are_the_reference_s(timestamp: int, secret: str, right: str) -> None:
    assert dingtalk.sign(secret, timestamp) == right
    url = dingtalk.signed_url("https://h/robot/send?access_token=k", secret, timestamp)
    query = parse_qs(urlsplit(url).query)
    assert query == {"access_token": ["k"], "timestamp": [str(timestamp)], "sign": [right]}


async def test_dingtalk_s_signature_is_encoded_once() -> None:
    async with running_peer(status(200, '{"errcode":0}')) as peer, httpx.AsyncClient() as http:
        url = f"{peer.url}/robot/send?access_token=k"
        robot = DingtalkRobot(url, "this is secret", http, clock=lambda: 1_700_000_000.0)
        await robot.send(NOTICE, AT)
    ((headers, _),) = peer.requests
    encoded = "sign=sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%3D HTTP"
    assert "timestamp=1700000000000" in headers["request-line"]
    assert encoded in headers["request-line"]


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_without_a_secret_nothing_is_signed(sandbox_server: SandboxServer, name: str) -> None:
    sandbox_server.put(f"/_sandbox/{name}/secret", {"secret": None})
    async with httpx.AsyncClient() as http:
        base = f"{sandbox_server.url}/{name}"
        await robot_to(name, base, http, secret=None).send(NOTICE, AT)
    (entry,) = sandbox_server.journal(name)
    assert "sign" not in str(entry["body"]) + entry["query"]


# What is read


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_the_group_reads_the_seed_s_words(sandbox_server: SandboxServer, name: str) -> None:
    async with httpx.AsyncClient() as http:
        await robot_to(name, f"{sandbox_server.url}/{name}", http).send(NOTICE, AT)
    (found,) = shown(sandbox_server, name)
    assert found["text"] == SEEN


async def test_a_customer_s_words_call_nobody_of_a_feishu_group() -> None:
    sent = json.loads(feishu.body_of(HOSTILE, secret=None, timestamp=0))["content"]["text"]
    assert "<" not in sent
    assert sent.replace("＜", "<") == HOSTILE


def test_dingtalk_gets_plain_text_that_calls_nobody() -> None:
    sent = json.loads(dingtalk.body_of(HOSTILE))
    assert sent == {"msgtype": "text", "text": {"content": HOSTILE}}


@given(ENCODABLE, st.integers(1, 12))
def test_no_body_is_longer_than_its_platform_takes(text: str, times: int) -> None:
    whole = text * times
    assert len(feishu.body_of(whole, secret="s", timestamp=1)) <= feishu.MAX_BODY_BYTES
    assert len(dingtalk.body_of(whole)) <= dingtalk.MAX_BODY_BYTES


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_a_long_notice_is_cut_and_taken(sandbox_server: SandboxServer, name: str) -> None:
    async with httpx.AsyncClient() as http:
        robot = robot_to(name, f"{sandbox_server.url}/{name}", http)
        await robot.send(notice('"好\n' * 8_000), AT)
    (found,) = shown(sandbox_server, name)
    assert found["text"].endswith("…")
    assert len(found["text"]) > 7_000


# What is answered


@pytest.mark.parametrize(
    ("name", "answer", "error", "retry_after", "says"),
    [
        ("feishu", {"code": 11232, "msg": "frequency limited"}, PeerUnavailable, 30.0, "限流"),
        ("feishu", {"code": 19001, "msg": "x"}, PeerRejected, None, "FEISHU_ROBOT_URL"),
        ("feishu", {"code": 19021, "msg": "x"}, PeerRejected, None, "FEISHU_ROBOT_SECRET"),
        ("feishu", {"code": 19022, "msg": "Ip Not Allowed"}, PeerRejected, None, "白名单"),
        ("feishu", {"code": 19024, "msg": "x"}, PeerRejected, None, "关键词"),
        ("feishu", {"code": 9499, "msg": "Bad Request"}, PeerRejected, None, "9499"),
        ("feishu", {"code": 77, "msg": "?"}, PeerRejected, None, "code 77"),
        ("feishu", {"StatusCode": 0}, PeerUnavailable, None, "no code"),
        ("feishu", {"code": True}, PeerUnavailable, None, "no code"),
        (
            "dingtalk",
            {
                "status": 1111,
                "wait": 5,
                "source": "x5",
                "punish": "deny",
                "uuid": "…",
                "errcode": 130101,
                "errmsg": "send too fast, exceed 20 times per minute",
            },
            PeerUnavailable,
            600.0,
            "十分钟",
        ),
        ("dingtalk", {"errcode": -1, "errmsg": "busy"}, PeerUnavailable, None, "繁忙"),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, PeerRejected, None, "sign"),
        ("dingtalk", {"errcode": 300001, "errmsg": "x"}, PeerRejected, None, "DINGTALK_ROBOT_URL"),
        ("dingtalk", {"errcode": 300005, "errmsg": "x"}, PeerRejected, None, "DINGTALK_ROBOT_URL"),
        ("dingtalk", {"errcode": 88, "sub_code": "x"}, PeerRejected, None, "errcode 88"),
        ("dingtalk", {"errcode": "0"}, PeerUnavailable, None, "no errcode"),
        ("dingtalk", [], PeerUnavailable, None, "no errcode"),
    ],
)
async def test_an_answer_says_whether_to_try_again(
    name: str, answer: object, error: type[PeerError], retry_after: float | None, says: str
) -> None:
    told = status(200, json.dumps(answer))
    async with running_peer(told) as peer, httpx.AsyncClient() as http:
        with pytest.raises(error, match=says) as raised:
            await robot_to(name, peer.url, http).send(NOTICE, AT)
    assert raised.value.peer == name
    assert getattr(raised.value, "retry_after", None) == retry_after


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_a_refusal_with_a_status_of_its_own_is_read_too(name: str) -> None:
    code = "code" if name == "feishu" else "errcode"
    answers = (
        status(400, json.dumps({code: 9499})),
        status(503, json.dumps({code: 9499})),
        status(429, "slow down", Retry_After="7"),
        status(404, "<html>"),
        hang_up,
        never,
    )
    wants = (PeerRejected, PeerUnavailable, PeerUnavailable, PeerRejected) + 2 * (PeerUnavailable,)
    got: list[PeerError] = []
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        for _ in answers:
            with pytest.raises(PeerError) as raised:
                await robot_to(name, peer.url, http, timeout=0.5).send(NOTICE, AT)
            got.append(raised.value)
    assert tuple(type(error) for error in got) == wants
    assert getattr(got[2], "retry_after", None) == 7.0


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_no_error_shows_the_key_whatever_the_peer_repeats(name: str) -> None:
    code, says = ("code", "msg") if name == "feishu" else ("errcode", "errmsg")
    repeats = json.dumps({code: 40, says: f"bad request for {KEY}"})
    answers = (status(200, repeats), status(500, repeats), status(404, KEY), hang_up)
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        for _ in answers:
            with pytest.raises(PeerError) as raised:
                await robot_to(name, peer.url, http).send(NOTICE, AT)
            error: BaseException | None = raised.value
            while error is not None and not error.__suppress_context__:
                assert KEY not in str(error)
                error = error.__cause__ or error.__context__


@pytest.mark.parametrize("name", ["feishu", "dingtalk"])
async def test_the_sandbox_s_refusals_are_understood(
    sandbox_server: SandboxServer, name: str
) -> None:
    base = f"{sandbox_server.url}/{name}"
    sandbox_server.put(f"/_sandbox/{name}/limit", {"per_minute": 1})
    async with httpx.AsyncClient() as http:
        with pytest.raises(PeerRejected, match="sign"):
            await robot_to(name, base, http, secret="wrong").send(NOTICE, AT)
        with pytest.raises(PeerRejected, match="time"):
            await robot_to(name, base, http, clock=lambda: 1_700_000_000.0).send(NOTICE, AT)
        await robot_to(name, base, http).send(NOTICE, AT)
        with pytest.raises(PeerUnavailable) as often:
            await robot_to(name, base, http).send(NOTICE, AT)
    assert often.value.retry_after == (30.0 if name == "feishu" else 600.0)
    assert len(shown(sandbox_server, name)) == 1
