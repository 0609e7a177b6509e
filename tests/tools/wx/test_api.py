"""Calls to the platforms: their form, their refusals, and what is never shown."""

import json
import logging
import string
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
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
from tools.wechat.errors import WECHAT_ERRORS
from tools.wecom import errors as wecom
from tools.wecom.errors import WECOM_ERRORS
from tools.wx.api import MAX_DOWNLOAD_BYTES, WxApi, WxCalls, issued, raw_json
from tools.wx.errors import ErrorTable, WxRejected, WxUnavailable

OK = {"errcode": 0, "errmsg": "ok"}


@dataclass
class Numbered:
    """Tokens one after another; a new one only for the newest."""

    names: list[str] = field(default_factory=lambda: ["old/+token", "new/+token", "last/+token"])
    renewed: list[str] = field(default_factory=list)

    async def token(self) -> str:
        return self.names[len(self.renewed)]

    async def renew(self, bad: str) -> str:
        self.renewed.append(bad)
        return await self.token()


@dataclass
class Line:
    api: WxApi
    peer: PeerServer
    tokens: Numbered

    def queries(self) -> list[dict[str, str]]:
        addresses = (head["request-line"].split(" ")[1] for head, _ in self.peer.requests)
        return [dict(parse_qsl(urlsplit(one).query)) for one in addresses]


@asynccontextmanager
async def line_to(
    *answers: Answer, errors: ErrorTable = WECOM_ERRORS, timeout: float = 5.0
) -> AsyncIterator[Line]:
    tokens = Numbered()
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        base = peer.url.replace("/hook", "/cgi-bin/")
        api = WxApi(
            http,
            base,
            tokens,
            peer="wecom",
            errors=errors,
            timeout=timeout,
            transfer_timeout=timeout,
        )
        yield Line(api, peer, tokens)


def answer(found: Mapping[str, Any], **headers: str) -> Answer:
    return status(200, json.dumps(found, ensure_ascii=False), **headers)


def refusal(code: int, errmsg: str = "refused") -> Answer:
    return answer({"errcode": code, "errmsg": errmsg})


# Form --------------------------------------------------------------------------------------


async def test_a_get_carries_its_parameters_and_the_token_in_the_query() -> None:
    async with line_to(answer(OK | {"userlist": []})) as line:
        found = await line.api.get("/kf/servicer/list", open_kfid="wk&1", fetch=1)
    assert found["userlist"] == []
    assert line.queries() == [{"access_token": "old/+token", "open_kfid": "wk&1", "fetch": "1"}]
    assert line.peer.requests[0][0]["request-line"].startswith("GET /cgi-bin/kf/servicer/list?")


async def test_a_post_is_raw_utf8_without_escapes() -> None:
    async with line_to(answer(OK)) as line:
        await line.api.post("kf/send_msg", {"text": {"content": '你好😀"\n'}}, debug=1)
    head, body = line.peer.requests[0]
    assert body == '{"text":{"content":"你好😀\\"\\n"}}'.encode()
    assert head["content-type"] == "application/json; charset=utf-8"
    assert head["request-line"].startswith("POST /cgi-bin/kf/send_msg?")


def test_a_lone_surrogate_does_not_stop_a_message_and_a_number_that_is_none_does() -> None:
    assert raw_json({"text": "a\ud800b"}) == b'{"text":"a?b"}'
    with pytest.raises(ValueError):
        raw_json({"at": float("nan")})


async def test_an_upload_is_a_form_with_the_name_that_the_receiver_sees() -> None:
    data = bytes(range(256)) * 300
    async with line_to(answer(OK | {"media_id": "m1"})) as line:
        found = await line.api.upload("/media/upload", "media", "报价 1.png", data, type="image")
    head, body = line.peer.requests[0]
    form = BytesParser(policy=HTTP).parsebytes(
        f"Content-Type: {head['content-type']}\r\n\r\n".encode() + body
    )
    (part,) = form.iter_parts()
    assert found["media_id"] == "m1"
    assert line.queries()[0]["type"] == "image"
    assert 'name="media"; filename="报价 1.png"'.encode() in body
    assert part.get_payload(decode=True) == data


async def test_an_upload_is_repeated_whole_with_another_token() -> None:
    async with line_to(refusal(42001), answer(OK)) as line:
        await line.api.upload("/media/upload", "media", "a.bin", b"abcdef", type="file")
    assert all(b"\r\n\r\nabcdef\r\n" in body for _, body in line.peer.requests)
    assert len(line.peer.requests) == 2


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="MEDIA.jpg"', "MEDIA.jpg"),
        ("attachment; filename*=UTF-8''%E5%9B%BE.png", "图.png"),
        ("attachment; filename=\"%E5.png\"; filename*=utf-8''%E5%9B%BE.png", "图.png"),
        ('attachment; filename="图.png"', "图.png"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\a\\\\图.png"', "图.png"),
        ("attachment", ""),
    ],
)
async def test_a_download_has_a_name_without_folders(header: str, name: str) -> None:
    peer = status(200, "PNG…", Content_Type="image/png", Content_Disposition=header)
    async with line_to(peer) as line:
        found = await line.api.download("/media/get", media_id="m1")
    assert (found.data, found.content_type, found.filename) == ("PNG…".encode(), "image/png", name)
    assert line.queries()[0]["media_id"] == "m1"


@pytest.mark.parametrize("kind", ["application/json; charset=UTF-8", "text/plain"])
async def test_a_refusal_in_place_of_a_file_is_a_refusal(kind: str) -> None:
    body = json.dumps({"errcode": 40007, "errmsg": "invalid media_id"})
    async with line_to(status(200, body, Content_Type=kind)) as line:
        with pytest.raises(WxRejected, match=r"40007.*重新上传"):
            await line.api.download("/media/get", media_id="m1")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ('{"errcode": 40007}', {"Content_Disposition": "attachment; filename=a.json"}),
        ('{"video_url": "http://127.0.0.1/v"}', {"Content_Type": "text/plain"}),
        ("{not json", {}),
        ("", {}),
    ],
)
async def test_what_is_no_refusal_is_handed_over_as_it_came(
    body: str, headers: dict[str, str]
) -> None:
    async with line_to(status(200, body, **headers)) as line:
        found = await line.api.download("/media/get")
    assert found.data == body.encode()


async def test_a_file_without_end_is_refused_and_not_cut() -> None:
    async with line_to(endless, timeout=30.0) as line:
        with pytest.raises(PeerRejected, match=str(MAX_DOWNLOAD_BYTES)):
            await line.api.download("/media/get")


# Tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        *[(WECOM_ERRORS, code) for code in (40014, 42001)],
        *[(WECHAT_ERRORS, code) for code in (40001, 40014, 42001)],
    ],
)
async def test_a_call_that_is_refused_for_its_token_is_made_once_more_with_another(
    errors: ErrorTable, code: int
) -> None:
    async with line_to(refusal(code), answer(OK), errors=errors) as line:
        await line.api.post("/message/send", {"n": 1})
    assert [query["access_token"] for query in line.queries()] == ["old/+token", "new/+token"]
    assert [body for _, body in line.peer.requests] == [b'{"n":1}'] * 2
    assert line.tokens.renewed == ["old/+token"]


async def test_a_call_is_made_twice_at_most_and_may_succeed_later() -> None:
    async with line_to(refusal(42001)) as line:
        with pytest.raises(WxUnavailable) as caught:
            await line.api.get("/x")
    assert (caught.value.errcode, caught.value.retry_after) == (42001, 5.0)
    assert len(line.peer.requests) == 2


@pytest.mark.parametrize("code", [40001, 41001, 60020, 95018])
async def test_no_other_refusal_of_wecom_asks_for_another_token(code: int) -> None:
    async with line_to(refusal(code)) as line:
        with pytest.raises(WxRejected) as caught:
            await line.api.get("/x")
    assert caught.value.errcode == code
    assert line.tokens.renewed == []


@pytest.mark.parametrize(("field", "lifetime"), [("other", 7_200), ("access_token", None)])
def test_an_answer_without_a_token_is_none(field: str, lifetime: int | None) -> None:
    with pytest.raises(PeerUnavailable):
        issued("wecom", {field: "t", "expires_in": lifetime}, "access_token")


def test_a_token_is_not_shown_where_the_answer_is() -> None:
    found = issued("wecom", {"access_token": "t0ken", "expires_in": 7_200}, "access_token")
    assert "t0ken" not in repr(found)


# Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "earliest", "latest"),
    [(45009, 60.0, 65.0), (45033, 0.5, 1.5), (-1, 1.0, 2.0), (41096, 1.0, 2.0)],
)
async def test_what_may_succeed_later_says_when(code: int, earliest: float, latest: float) -> None:
    async with line_to(refusal(code)) as line:
        with pytest.raises(WxUnavailable) as caught:
            await line.api.get("/x")
    assert caught.value.retry_after is not None
    assert earliest <= caught.value.retry_after <= latest
    assert len(line.peer.requests) == 1


async def test_a_refusal_tells_the_operator_what_to_do_and_what_the_platform_said() -> None:
    said = "not allow to access from your ip, hint: [15_2], from ip: 9.3.0.1"
    async with line_to(refusal(60020, said)) as line:
        with pytest.raises(WxRejected) as caught:
            await line.api.get("/x")
    assert "企业可信IP" in caught.value.advice
    assert str(caught.value) == f"wecom: errcode 60020: {caught.value.advice} ({said})"


@pytest.mark.parametrize(("errors", "where"), [(WECOM_ERRORS, "e=99999"), (WECHAT_ERRORS, "99999")])
def test_an_unknown_code_says_where_to_look(errors: ErrorTable, where: str) -> None:
    assert where in errors.error("wecom", 99_999, "").advice


def has_chinese(text: str) -> bool:
    return any("一" <= sign <= "鿿" for sign in text)


@pytest.mark.parametrize("errors", [WECOM_ERRORS, WECHAT_ERRORS])
def test_every_code_has_advice_in_chinese(errors: ErrorTable) -> None:
    assert all(has_chinese(fault.advice) for fault in errors.faults.values())
    assert not any(
        set(fault.advice) & set(string.whitespace[1:]) for fault in errors.faults.values()
    )
    assert errors.refresh <= errors.faults.keys()


_OF_THE_REFERENCE = """
    -1 6000 40001 40003 40004 40005 40006 40007 40008 40013 40014 40056 40058 40063 40068 40071
    40091 40096 40201 41001 41002 41004 41035 41037 41045 41048 41049 41050 41051 41053 41054 41096
    42001 43004 44001 44004 45001 45002 45007 45008 45009 45029 45033 46004 48001 48002 48007 50001
    50002 50003 60011 60020 60111 81013 82001 84061 84074 86001 86003 86008 301002 830002
    95000 95001 95002 95003 95004 95005 95006 95007 95008 95009 95011 95012 95013 95014 95015 95016
    95017 95018 95019 95022 95023 95026 95027 95030 95031 95032
"""


def test_every_code_of_the_reference_is_known() -> None:
    assert {int(code) for code in _OF_THE_REFERENCE.split()} <= WECOM_ERRORS.faults.keys()
    assert wecom.KF_BAD_STATE == 95018


@pytest.mark.parametrize(
    "body", ["", "<html>", "[1]", '"x"', '{"msg_list": []}', '{"errcode": "x"}', '{"errcode": []}']
)
async def test_an_answer_that_wecom_does_not_give_may_be_another_one_later(body: str) -> None:
    async with line_to(status(200, body)) as line:
        with pytest.raises(PeerUnavailable):
            await line.api.get("/x")
        assert line.tokens.renewed == []


async def test_official_accounts_say_nothing_of_success() -> None:
    async with line_to(answer({"media_id": "m1"}), errors=WECHAT_ERRORS) as line:
        assert await line.api.get("/cgi-bin/media") == {"media_id": "m1"}


async def test_control_characters_in_names_are_read() -> None:
    async with line_to(status(200, '{"errcode":0,"name":"a\tb\x01"}')) as line:
        assert (await line.api.get("/x"))["name"] == "a\tb\x01"


@pytest.mark.parametrize("peer", [hang_up, never, drip, status(502, "bad gateway")])
async def test_a_platform_that_is_away_may_be_back_later(peer: Answer) -> None:
    async with line_to(peer, timeout=0.3) as line:
        with pytest.raises(PeerUnavailable):
            await line.api.get("/x")


async def test_a_redirect_is_not_followed_with_our_token() -> None:
    async with line_to(status(302, "", Location="http://127.0.0.1:1/"), answer(OK)) as line:
        with pytest.raises(PeerRejected):
            await line.api.get("/x")
    assert len(line.peer.requests) == 1


# Secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peer",
    [
        refusal(40058, "bad call with old/+token, that is ?access_token=old%2F%2Btoken"),
        status(500, "old/+token"),
        status(403, "old%2F%2Btoken"),
        hang_up,
    ],
)
async def test_no_error_and_no_log_holds_the_token(
    peer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tools")
    caplog.set_level(logging.WARNING, "httpx")  # as engine/logs.py sets it: it writes addresses
    async with line_to(peer) as line:
        with pytest.raises((PeerRejected, PeerUnavailable)) as caught:
            await line.api.get("/x")
    for form in ("old/+token", "old%2F%2Btoken"):
        assert form not in str(caught.value)
        assert form not in caplog.text
    assert caught.value.__cause__ is None


async def test_an_address_that_is_none_is_not_tried_again() -> None:
    async with httpx.AsyncClient() as http:
        calls = WxCalls(http, "gopher://x", peer="wecom", errors=WECOM_ERRORS)
        with pytest.raises(PeerRejected):
            await calls.json("GET", "/x", {"corpsecret": "hidden"}, hidden=("hidden",))
        broken = WxCalls(http, "http://127.0.0.1:port", peer="wecom", errors=WECOM_ERRORS)
        with pytest.raises(PeerRejected):
            await broken.json("GET", "/x", {})
