"""The simulated official account calls back as WeChat does (reference wechat_official.md, 1-5)."""

import threading
import time
from collections.abc import Callable

import pytest

from engine.settings import SANDBOX_WECHAT
from sandbox.wechat import callbacks as own
from sandbox.wechat.chats import ERROR_LINE
from tests.sandbox.wechat import GH, KEYS, TOKEN, Heard, Wechat, listening, text_reply
from tests.sandbox_server import SandboxServer
from tools.wx import envelope
from tools.wx.crypto import plain_is_valid

ERROR = [("error", ERROR_LINE)]
Answer = Callable[[Heard], tuple[int, bytes]]


@pytest.fixture
def wechat(sandbox_server: SandboxServer) -> Wechat:
    return Wechat(sandbox_server)


def sealed(heard: Heard, text: str = "您好") -> bytes:
    inner = text_reply(heard, text)
    return envelope.reply(KEYS.seal(inner, timestamp="1713424427", nonce=heard.query["nonce"]))


def test_the_service_knows_the_account_of_the_sandbox() -> None:
    assert SANDBOX_WECHAT.app_id == own.APP_ID
    assert SANDBOX_WECHAT.token == own.TOKEN
    assert SANDBOX_WECHAT.aes_key == own.ENCODING_AES_KEY


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
def test_each_mode_signs_what_the_product_opens(wechat: Wechat, mode: str) -> None:
    with listening(wechat.sandbox, mode=mode, forged_plain=True) as service:
        assert wechat.sandbox.post("/_sandbox/wechat/callback/verify", {})["ok"]
        msgid = wechat.say("alice", "在吗]]>?")
        assert wechat.told("alice") == []
    (heard,) = service.heard
    query = heard.query
    assert plain_is_valid(TOKEN, query["signature"], query["timestamp"], query["nonce"])
    assert heard.fields["Content"] == "在吗]]>?"
    assert (heard.fields["MsgId"], heard.fields["ToUserName"]) == (msgid, GH)
    assert query["openid"] == heard.fields["FromUserName"] == "alice"
    assert ("Content" in heard.outer) == (mode != "safe")
    if mode == "compatible":
        assert heard.outer["Content"] == "伪造的内容"


@pytest.mark.parametrize(
    ("mode", "answer", "told"),
    [
        ("plain", text_reply, [("passive", "您好")]),
        ("plain", sealed, ERROR),
        ("compatible", text_reply, [("passive", "您好")]),
        ("compatible", sealed, [("passive", "您好")]),
        ("safe", sealed, [("passive", "您好")]),
        ("safe", text_reply, ERROR),
        ("safe", lambda _: b"success", []),
        ("plain", lambda _: b"", []),
        ("plain", lambda _: b'{"code": 0}', ERROR),
        ("plain", lambda _: b"<xml><Content>", ERROR),
        ("plain", lambda heard: text_reply(heard, " "), ERROR),
        ("plain", lambda heard: text_reply(heard, "字" * 683), ERROR),
        ("plain", lambda heard: text_reply(heard).replace(b"12345678", b"[168]"), ERROR),
        ("plain", lambda heard: text_reply(heard).replace(b"gh_", b"hg_"), ERROR),
        ("plain", lambda heard: text_reply(heard).replace(b"[text]", b"[poem]"), ERROR),
        ("plain", lambda heard: text_reply(heard).replace(b"[text]", b"[image]"), ERROR),
        ("plain", lambda h: text_reply(h).replace(b"[text]", b"[transfer_customer_service]"), []),
    ],
)
def test_what_a_follower_sees_of_a_response(
    wechat: Wechat, mode: str, answer: Callable[[Heard], bytes], told: list[tuple[str, str]]
) -> None:
    with listening(wechat.sandbox, mode=mode) as service:
        service.answer = lambda heard: (200, answer(heard))
        wechat.say("alice")
        assert wechat.told("alice") == told
    assert len(wechat.callbacks()["wrong"]) == (told == ERROR)
    assert len(service.heard) == 1, "whoever answers is not asked again"


def test_a_message_nobody_answers_is_delivered_three_times_and_shows_an_error(
    wechat: Wechat,
) -> None:
    held = threading.Event()
    times: list[float] = []

    def hold(_: Heard) -> tuple[int, bytes]:
        times.append(time.monotonic())
        held.wait(10)
        return 200, b"success"

    with listening(wechat.sandbox, timeout_s=0.6) as service:
        service.answer = hold
        msgid = wechat.say("alice")
        assert wechat.told("alice") == ERROR
        held.set()
    assert [heard.fields["MsgId"] for heard in service.heard] == [msgid] * 3
    assert len({heard.fields["CreateTime"] for heard in service.heard}) == 1
    assert times[1] - times[0] >= 0.25 <= times[2] - times[1]


def test_a_retry_that_is_answered_shows_its_answer_only(wechat: Wechat) -> None:
    answers = iter([(500, b""), (200, b"")])

    with listening(wechat.sandbox, timeout_s=0.2) as service:
        service.answer = lambda heard: next(answers, (200, text_reply(heard)))
        wechat.say("alice", "第一句")
        assert wechat.told("alice") == []
        wechat.say("alice", "第二句")
        assert wechat.told("alice") == [("passive", "您好")]
    assert [heard.fields["Content"] for heard in service.heard] == ["第一句"] * 2 + ["第二句"]


def test_copies_of_one_message_show_one_answer(wechat: Wechat) -> None:
    with listening(wechat.sandbox, copies_rate=1.0, jitter_s=0.05) as service:
        service.answer = lambda heard: (200, text_reply(heard))
        wechat.say("alice")
        assert wechat.told("alice") == [("passive", "您好")]
    assert len(service.heard) == 2
    assert len({heard.fields["MsgId"] for heard in service.heard}) == 1


def test_events_are_spelled_as_wechat_spells_them(wechat: Wechat) -> None:
    with listening(wechat.sandbox) as service:
        wechat.play("subscribe", "alice", scene="shop")
        wechat.play("scan", "alice", scene="shop")
        wechat.play("click", "alice", key="价格")
        wechat.play("click", "alice", url="https://shop.example/a")
        wechat.play("location", "alice", latitude=23.13, longitude=113.35)
        wechat.play("unsubscribe", "alice")
        assert wechat.told("alice") == []
    found = {heard.fields["Event"]: heard.fields for heard in service.heard}
    assert found.keys() == {"subscribe", "SCAN", "CLICK", "VIEW", "LOCATION", "unsubscribe"}
    assert found["subscribe"]["EventKey"] == "qrscene_shop"
    assert (found["SCAN"]["EventKey"], found["CLICK"]["EventKey"]) == ("shop", "价格")
    assert found["LOCATION"]["Latitude"] == "23.13"
    assert all("MsgId" not in fields for fields in found.values())


def test_pictures_voice_and_places_carry_what_the_product_reads(wechat: Wechat) -> None:
    client = wechat.sandbox.client
    media = client.post("/_sandbox/wechat/media?name=a.amr", content=b"#!AMR voice").json()
    with listening(wechat.sandbox) as service:
        wechat.play("say", "alice", msgtype="voice", media_id=media["media_id"], recognition="价格")
        wechat.play("say", "bob", msgtype="image", media_id=media["media_id"])
        wechat.play("say", "carol", msgtype="location", label="海珠区")
        assert wechat.told("alice") == []
    found = {heard.fields["MsgType"]: heard.fields for heard in service.heard}
    assert found["voice"]["Recognition"] == "价格"
    assert found["image"]["MediaId"] == media["media_id"]
    assert (found["location"]["Label"], found["location"]["Scale"]) == ("海珠区", "15")


def test_whoever_has_left_cannot_write_and_sees_no_answer(wechat: Wechat) -> None:
    with listening(wechat.sandbox) as service:
        service.answer = lambda heard: (200, text_reply(heard))
        wechat.play("unsubscribe", "alice")
        assert wechat.told("alice") == []
    answer = wechat.sandbox.client.post(
        "/_sandbox/wechat/say", json={"openid": "alice", "text": "在吗"}
    )
    assert answer.status_code == 409
