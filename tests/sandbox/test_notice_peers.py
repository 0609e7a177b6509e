"""The simulated platforms that staff reads notices on answer as the real ones do."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from tests.sandbox_server import JsonObject, SandboxServer

SECRET = "sandbox-credential"
TOKEN = "1000001:sandbox-credential"


def feishu(sandbox: SandboxServer, message: JsonObject, *, at: float | None = None) -> JsonObject:
    stamp = str(int(time.time() if at is None else at))
    key = f"{stamp}\n{SECRET}".encode()
    sign = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    return unsigned_feishu(sandbox, {"timestamp": stamp, "sign": sign, **message})


def unsigned_feishu(sandbox: SandboxServer, message: object) -> JsonObject:
    url = f"{sandbox.url}/feishu/open-apis/bot/v2/hook/0b1c-key"
    answer = sandbox.client.post(url, json=message)
    assert answer.status_code == 200, "Feishu says what is wrong in the body"
    found: JsonObject = answer.json()
    return found


def dingtalk(
    sandbox: SandboxServer, message: object, *, at: float | None = None, token: str = "k"
) -> JsonObject:
    stamp = str(int((time.time() if at is None else at) * 1_000))
    digest = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
    query = {"access_token": token, "timestamp": stamp, "sign": base64.b64encode(digest).decode()}
    answer = sandbox.client.post(f"{sandbox.url}/dingtalk/robot/send", params=query, json=message)
    assert answer.status_code == 200, "DingTalk says what is wrong in the body"
    found: JsonObject = answer.json()
    return found


def telegram(sandbox: SandboxServer, token: str = TOKEN, **message: Any) -> tuple[int, JsonObject]:
    answer = sandbox.client.post(f"{sandbox.url}/telegram/bot{token}/sendMessage", json=message)
    return answer.status_code, answer.json()


def shown(sandbox: SandboxServer, peer: str) -> list[str]:
    return [one["text"] for one in sandbox.get(f"/_sandbox/{peer}/notices")["notices"]]


def text(content: str) -> JsonObject:
    return {"msg_type": "text", "content": {"text": content}}


# Feishu


def test_feishu_shows_what_is_signed(sandbox_server: SandboxServer) -> None:
    assert feishu(sandbox_server, text("你好")) == {
        "code": 0,
        "msg": "success",
        "data": {},
        "Extra": None,
        "StatusCode": 0,
        "StatusMessage": "success",
    }
    post = {"zh_cn": {"title": "题", "content": [[{"tag": "text", "text": "文"}]]}}
    assert feishu(sandbox_server, {"msg_type": "post", "content": {"post": post}})["code"] == 0
    assert shown(sandbox_server, "feishu") == ["你好", "题\n文"]


@pytest.mark.parametrize("late", [-3_700, 3_700])
def test_feishu_refuses_a_signature_that_is_wrong_or_an_hour_off(
    sandbox_server: SandboxServer, late: float
) -> None:
    stamp = str(int(time.time()))
    wrong = {"timestamp": stamp, "sign": "wrong", **text("x")}
    answers = [
        unsigned_feishu(sandbox_server, text("x")),
        unsigned_feishu(sandbox_server, wrong),
        feishu(sandbox_server, text("x"), at=time.time() + late),
    ]
    assert [answer["code"] for answer in answers] == [19021] * 3
    assert "within one hour" in answers[0]["msg"]
    assert shown(sandbox_server, "feishu") == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (text(""), 9499),
        ({"msg_type": "poem"}, 9499),
        (text("字" * 7_000), 19036),
        (text("别的话"), 19024),
        (text("转人工"), 0),
    ],
)
def test_what_feishu_takes(sandbox_server: SandboxServer, message: JsonObject, code: int) -> None:
    sandbox_server.put("/_sandbox/feishu/keywords", {"keywords": ["人工"]})
    assert feishu(sandbox_server, message)["code"] == code


def test_feishu_throttles_the_sixth_of_a_second_and_the_101st_of_a_minute(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.put("/_sandbox/feishu/limit", {"per_minute": 2})
    codes = [feishu(sandbox_server, text("x"))["code"] for _ in range(3)]
    assert codes == [0, 0, 11232]


# DingTalk


def test_dingtalk_shows_text_and_markdown(sandbox_server: SandboxServer) -> None:
    sent = [
        {"msgtype": "text", "text": {"content": "你好"}},
        {"msgtype": "markdown", "markdown": {"title": "题", "text": "**文**"}},
    ]
    for message in sent:
        assert dingtalk(sandbox_server, message) == {"errcode": 0, "errmsg": "ok"}
    assert shown(sandbox_server, "dingtalk") == ["你好", "**文**"]


def test_dingtalk_says_which_check_failed(sandbox_server: SandboxServer) -> None:
    message = {"msgtype": "text", "text": {"content": "x"}}
    url = f"{sandbox_server.url}/dingtalk/robot/send"
    stamp = str(int(time.time() * 1_000))
    wrong = {"access_token": "k", "timestamp": stamp, "sign": "wrong"}
    answer = sandbox_server.client.post(url, params=wrong, json=message).json()
    assert (answer["errcode"], answer["errmsg"]) == (310000, "sign not match")
    answer = dingtalk(sandbox_server, message, at=time.time() - 3_700)
    assert (answer["errcode"], answer["errmsg"]) == (310000, "invalid timestamp")
    sandbox_server.put("/_sandbox/dingtalk/keywords", {"keywords": ["人工"]})
    answer = dingtalk(sandbox_server, message)
    assert (answer["errcode"], answer["errmsg"]) == (310000, "keywords not in content")
    assert dingtalk(sandbox_server, message, token="")["errcode"] == 300001
    assert shown(sandbox_server, "dingtalk") == []


def test_dingtalk_blocks_a_robot_for_ten_minutes_at_its_21st_message(
    sandbox_server: SandboxServer,
) -> None:
    message = {"msgtype": "text", "text": {"content": "x"}}
    codes = [dingtalk(sandbox_server, message)["errcode"] for _ in range(21)]
    assert codes == [0] * 20 + [130101]
    assert dingtalk(sandbox_server, message, token="another")["errcode"] == 0
    for seconds, code in ((300, 130101), (301, 0)):
        later = sandbox_server.post("/_sandbox/dingtalk/clock", {"seconds": seconds})["now"]
        answer = dingtalk(sandbox_server, message, at=later)
        assert answer["errcode"] == code
    assert "send too fast" not in answer["errmsg"]


# Telegram


def test_telegram_shows_what_the_marks_mean(sandbox_server: SandboxServer) -> None:
    status, answer = telegram(
        sandbox_server, chat_id=42, text=r"*粗* _斜_ 1\.5 \*", parse_mode="MarkdownV2"
    )
    assert (status, answer["ok"], answer["result"]["text"]) == (200, True, "粗 斜 1.5 *")
    telegram(sandbox_server, chat_id="-100", text="*1.5")
    assert shown(sandbox_server, "telegram") == ["粗 斜 1.5 *", "*1.5"]


@pytest.mark.parametrize(
    ("message", "status", "says"),
    [
        ({"chat_id": 1, "text": "1.5", "parse_mode": "MarkdownV2"}, 400, "'.' is reserved"),
        ({"chat_id": 1, "text": "*x", "parse_mode": "MarkdownV2"}, 400, "end of Bold entity"),
        ({"chat_id": 1, "text": "x", "parse_mode": "HTML"}, 400, "only MarkdownV2"),
        ({"chat_id": 1, "text": " "}, 400, "text is empty"),
        ({"chat_id": 1, "text": "🎉" * 2_049}, 400, "too long"),
        ({"chat_id": 1, "text": "🎉" * 2_048}, 200, ""),
        ({"text": "x"}, 400, "chat_id is empty"),
        ({"chat_id": 2**63, "text": "x"}, 400, "chat not found"),
        ({"chat_id": 5, "text": "x"}, 400, "chat not found"),
        ({"chat_id": 6, "text": "x"}, 403, "blocked by the user"),
        ({"chat_id": -7, "text": "x"}, 400, "upgraded"),
    ],
)
def test_what_telegram_takes(
    sandbox_server: SandboxServer, message: JsonObject, status: int, says: str
) -> None:
    chats = {"unknown": [5], "blocked": [6], "moved": {"-7": -1007}}
    sandbox_server.put("/_sandbox/telegram/chats", chats)
    got, answer = telegram(sandbox_server, **message)
    assert got == status
    assert says in answer.get("description", "")
    assert (answer.get("parameters") == {"migrate_to_chat_id": -1007}) == (says == "upgraded")


def test_telegram_knows_its_bots(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/telegram/token", {"token": TOKEN})
    assert telegram(sandbox_server, chat_id=1, text="x")[0] == 200
    assert telegram(sandbox_server, "1000001:another-one", chat_id=1, text="x")[0] == 401
    assert telegram(sandbox_server, "no-token", chat_id=1, text="x")[0] == 404
    asked = sandbox_server.client.get(f"{sandbox_server.url}/telegram/bot{TOKEN}/getMe").json()
    assert asked["result"]["is_bot"] is True


def test_telegram_takes_20_messages_a_minute_in_a_group(sandbox_server: SandboxServer) -> None:
    got = [telegram(sandbox_server, chat_id=-9, text="x")[0] for _ in range(21)]
    assert got == [200] * 20 + [429]
    _, answer = telegram(sandbox_server, chat_id=-9, text="x")
    assert answer["parameters"]["retry_after"] == 60


# All of them


def test_the_journal_keeps_no_key_of_a_path(sandbox_server: SandboxServer) -> None:
    telegram(sandbox_server, "1000001:very-secret", chat_id=1, text="x")
    unsigned_feishu(sandbox_server, text("x"))
    dingtalk(sandbox_server, {}, token="very-secret")
    entries = [entry for peer in ("telegram", "feishu") for entry in sandbox_server.journal(peer)]
    assert [entry["path"] for entry in entries] == [
        "/telegram/bot***/sendMessage",
        "/feishu/open-apis/bot/v2/hook/***",
    ]
    (entry,) = sandbox_server.journal("dingtalk")
    assert entry["query"].startswith("access_token=***&")


@pytest.mark.parametrize("peer", ["telegram", "feishu", "dingtalk"])
def test_what_was_set_is_forgotten_by_a_reset(sandbox_server: SandboxServer, peer: str) -> None:
    before = sandbox_server.get("/_sandbox/health")["peers"][peer]
    sandbox_server.put(f"/_sandbox/{peer}/limit", {"per_minute": 1, "window_s": 3_600})
    for _ in range(2):
        telegram(sandbox_server, chat_id=1, text="x")
        feishu(sandbox_server, text("x"))
        dingtalk(sandbox_server, {"msgtype": "text", "text": {"content": "x"}})
    sandbox_server.reset()
    for _ in range(2):
        assert telegram(sandbox_server, chat_id=1, text="x")[0] == 200
        assert feishu(sandbox_server, text("x"))["code"] == 0
        assert dingtalk(sandbox_server, {"msgtype": "text", "text": {"content": "x"}})[
            "errcode"
        ] in (0,)
    sandbox_server.reset()
    assert sandbox_server.get("/_sandbox/health")["peers"][peer] == before


@pytest.mark.parametrize(
    ("peer", "path", "names"),
    [
        ("telegram", f"/telegram/bot{TOKEN}/sendMessage", {"ok", "error_code", "description"}),
        ("feishu", "/feishu/open-apis/bot/v2/hook/k", {"code", "msg", "data"}),
        ("dingtalk", "/dingtalk/robot/send", {"errcode", "errmsg"}),
    ],
)
def test_an_injected_error_looks_like_the_platform_s(
    sandbox_server: SandboxServer, peer: str, path: str, names: set[str]
) -> None:
    sandbox_server.fault(peer, "status", status=503, count=1)
    answer = sandbox_server.client.post(sandbox_server.url + path, json={})
    assert (answer.status_code, set(answer.json())) == (503, names)
