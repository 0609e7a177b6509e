"""The simulated WeCom takes app messages and media as WeCom does (reference wecom.md, 3.7, 5)."""

import json
from typing import Any

import pytest

from tests.sandbox.wecom import CORP, PNG, Heard, Wecom, listening
from tests.sandbox_server import JsonObject, SandboxServer
from tools.wx.crypto import CallbackKeys

DAY = 86_400


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


def send(wecom: Wecom, touser: str, text: str = "新订单", /, **fields: Any) -> JsonObject:
    body = {"touser": touser, "msgtype": "text", "agentid": 1000002, "text": {"content": text}}
    return wecom.post("message/send", body | fields)


def shown(wecom: Wecom, member: str) -> list[str]:
    return [seen["text"] for seen in wecom.chat(f"app/1000002/{member}")]


# Messages ----------------------------------------------------------------------------------


def test_who_does_not_exist_is_named_and_only_all_of_them_are_refused(wecom: Wecom) -> None:
    wecom.set("members", members=["lisi", "wangwu"], groups={"2": ["wangwu"]})
    sent = send(wecom, "lisi|Nobody|NoOne")
    assert (sent["errcode"], sent["invaliduser"]) == (0, "nobody|noone")
    assert send(wecom, "Nobody")["errcode"] == 81013
    assert send(wecom, "")["errcode"] == 81013
    assert send(wecom, "lisi", toparty="2|3")["invalidparty"] == "3"
    assert send(wecom, "@all", "大家好")["errcode"] == 0
    assert shown(wecom, "lisi") == ["新订单", "新订单", "大家好"]
    assert shown(wecom, "wangwu") == ["新订单", "大家好"]


def test_the_31st_message_of_a_minute_to_one_member_is_too_many(wecom: Wecom) -> None:
    codes = [send(wecom, "lisi", str(number))["errcode"] for number in range(31)]
    assert codes == [0] * 30 + [45009]
    assert send(wecom, "wangwu")["errcode"] == 0
    wecom.set("app/settings", over="drop")
    assert send(wecom, "lisi", "丢了")["errcode"] == 0
    wecom.pass_time(61)
    assert send(wecom, "lisi", "到了")["errcode"] == 0
    assert shown(wecom, "lisi")[-2:] == ["29", "到了"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"agentid": "1000002"}, 40058),
        ({"agentid": 7}, 40056),
        ({"msgtype": "poem"}, 40008),
        ({"text": {"content": ""}}, 44004),
        ({"msgtype": "markdown", "markdown": {"content": "字" * 683}}, 45002),
        ({"msgtype": "image", "image": {"media_id": "none"}}, 40007),
        ({"msgtype": "textcard", "textcard": {"title": "t", "description": "d"}}, 44004),
    ],
)
def test_what_an_app_may_send(wecom: Wecom, fields: JsonObject, code: int) -> None:
    wecom.set("app/settings", agents=[1000002])
    assert send(wecom, "lisi", **fields)["errcode"] == code
    assert shown(wecom, "lisi") == []


def test_long_text_is_cut_and_the_same_again_is_shown_once_if_asked(wecom: Wecom) -> None:
    send(wecom, "lisi", "字" * 700)
    assert shown(wecom, "lisi") == ["字" * 682]
    for _ in range(2):
        assert send(wecom, "wangwu", enable_duplicate_check=1)["errcode"] == 0
    assert shown(wecom, "wangwu") == ["新订单"]


def test_what_was_refused_is_no_repetition(wecom: Wecom) -> None:
    wecom.set("app/settings", per_minute=1)
    send(wecom, "lisi", "一")
    assert send(wecom, "lisi", "二", enable_duplicate_check=1)["errcode"] == 45009
    wecom.pass_time(61)
    assert send(wecom, "lisi", "二", enable_duplicate_check=1)["errcode"] == 0
    assert shown(wecom, "lisi") == ["一", "二"]


def test_a_member_who_writes_is_answered_in_the_answer(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        service.answer = lambda heard: (200, passive(service.keys, heard, "在的"))
        wecom.play("app/say", {"userid": "lisi", "text": "在吗 ]]> ?"})
        (heard,) = service.wait_for(1)
        wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
        assert heard.fields["Content"] == "在吗 ]]> ?"
        assert (heard.fields["AgentID"], heard.agent_id) == ("1000002", "1000002")
        assert int(heard.fields["MsgId"]) > 2**62
        assert shown(wecom, "lisi") == ["在吗 ]]> ?", "在的"]
        click = {
            "userid": "lisi",
            "msgtype": "event",
            "fields": {"Event": "click", "EventKey": "k"},
        }
        service.answer = lambda _heard: (200, b"success")
        wecom.play("app/say", click)
        event = service.wait_for(2)[1].fields
        assert (event["Event"], "MsgId" in event) == ("click", False)
        wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    assert wecom.refused() == []


def test_a_member_s_picture_is_drawn_where_none_is_given(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        wecom.play("app/say", {"userid": "lisi", "msgtype": "image"})
        (heard,) = service.wait_for(1)
    media_id = heard.fields["MediaId"]
    assert wecom.fetch(media_id).headers["content-type"] == "image/png"
    assert wecom.chat("app/1000002/lisi")[-1]["content"] == {"media_id": media_id}


def test_an_application_tells_of_itself(wecom: Wecom) -> None:
    wecom.set("app/settings", agents=[1000002], closed=True)
    told = wecom.get("agent/get", agentid="1000002")
    assert (told["errcode"], told["close"], told["isreportenter"]) == (0, 1, 1)
    assert wecom.get("agent/get", agentid="7")["errcode"] == 40056


def test_an_answer_may_be_a_picture_or_json(wecom: Wecom) -> None:
    inner = f"<FromUserName>{CORP}</FromUserName><MsgType>image</MsgType>"
    picture = f"<xml><ToUserName>lisi</ToUserName>{inner}<Image><MediaId>m1</MediaId></Image></xml>"
    with listening(wecom.sandbox) as service:
        service.answer = lambda _heard: (200, sealed(service.keys, picture.encode()))
        wecom.play("app/say", {"userid": "lisi", "text": "图呢"})
        service.wait_for(1)
        wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    assert wecom.chat("app/1000002/lisi")[-1]["content"] == {"media_id": "m1"}
    text = {"ToUserName": "lisi", "FromUserName": CORP, "MsgType": "text", "Content": "在的"}
    with listening(wecom.sandbox, as_json=True) as service:
        plain = json.dumps(text).encode()
        service.answer = lambda _heard: (200, sealed(service.keys, plain, as_json=True))
        wecom.play("app/say", {"userid": "lisi", "text": "在吗"})
        service.wait_for(1)
        wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    assert shown(wecom, "lisi")[-2:] == ["在吗", "在的"]
    assert wecom.refused() == []


@pytest.mark.parametrize("wrong", ["receiver", "signature", "plain"])
def test_an_answer_that_is_no_passive_reply_is_refused(wecom: Wecom, wrong: str) -> None:
    with listening(wecom.sandbox) as service:
        keys = CallbackKeys("testtoken", "x" * 43, CORP) if wrong == "signature" else service.keys

        def answer(heard: Heard) -> tuple[int, bytes]:
            if wrong == "plain":
                return 200, b"<xml><Content>hi</Content></xml>"
            return 200, passive(keys, heard, "在的", "someone" if wrong == "receiver" else None)

        service.answer = answer
        wecom.play("app/say", {"userid": "lisi", "text": "在吗"})
        service.wait_for(1)
        wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    (refused,) = wecom.refused()
    assert refused["path"] == "callback"
    assert shown(wecom, "lisi") == ["在吗"]


def passive(keys: CallbackKeys, heard: Heard, text: str, to: str | None = None) -> bytes:
    receiver = to or heard.fields["FromUserName"]
    inner = (
        f"<xml><ToUserName>{receiver}</ToUserName><FromUserName>{CORP}</FromUserName>"
        f"<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>{text}</Content></xml>"
    )
    return sealed(keys, inner.encode())


def sealed(keys: CallbackKeys, plain: bytes, *, as_json: bool = False) -> bytes:
    made = keys.seal(plain, timestamp="1409659813", nonce="1372623149")
    if as_json:
        names = {"encrypt": made.encrypt, "msgsignature": made.msg_signature}
        return json.dumps(names | {"timestamp": 1409659813, "nonce": made.nonce}).encode()
    return (
        f"<xml><Encrypt>{made.encrypt}</Encrypt><MsgSignature>{made.msg_signature}"
        f"</MsgSignature><TimeStamp>{made.timestamp}</TimeStamp><Nonce>{made.nonce}</Nonce></xml>"
    ).encode()


# Media -------------------------------------------------------------------------------------


def test_media_are_kept_for_three_days(wecom: Wecom) -> None:
    kept = wecom.upload("image", "图 片.png", PNG)
    assert (kept["errcode"], kept["type"]) == (0, "image")
    assert isinstance(kept["created_at"], str)
    found = wecom.fetch(kept["media_id"])
    assert (found.content, found.headers["content-type"]) == (PNG, "image/png")
    assert "%E5%9B%BE%20%E7%89%87.png" in found.headers["content-disposition"]
    wecom.pass_time(3 * DAY)
    gone = wecom.fetch(kept["media_id"])
    assert (gone.status_code, gone.json()["errcode"]) == (200, 40007)
    assert wecom.refused()[0]["rule"] == "media"


@pytest.mark.parametrize(
    ("kind", "name", "data", "code"),
    [
        ("image", "a.gif", b"GIF89a" + bytes(20), 40004),
        ("image", "a.png", PNG[:5], 44001),
        ("image", "a.png", PNG + bytes(10 * 2**20), 45001),
        ("voice", "a.amr", b"#!AMR\n" + bytes(20), 0),
        ("voice", "a.mp3", b"ID3" + bytes(20), 40004),
        ("video", "a.mp4", b"\0\0\0\x18ftypmp42" + bytes(20), 0),
        ("file", "a.txt", b"hello world", 0),
        ("poem", "a.txt", b"hello world", 40005),
    ],
)
def test_what_may_be_uploaded(wecom: Wecom, kind: str, name: str, data: bytes, code: int) -> None:
    assert wecom.upload(kind, name, data)["errcode"] == code


def test_an_upload_without_a_file_is_refused(wecom: Wecom) -> None:
    assert wecom.post("media/upload", {}, type="image")["errcode"] == 40058


def test_a_picture_that_was_uploaded_can_be_sent(wecom: Wecom) -> None:
    wecom.say("wmA")
    media_id = wecom.upload("image", "a.png", PNG)["media_id"]
    assert wecom.send("wmA", msgtype="image", image={"media_id": media_id}) == 0
    assert wecom.send("wmA", msgtype="file", file={"media_id": media_id}) == 40007
    seen = wecom.chat("kf/wkSandbox0001/wmA")[-1]
    assert seen["content"] == {"media_id": media_id}
    assert send(wecom, "lisi", msgtype="image", image={"media_id": media_id})["errcode"] == 0
    picture = wecom.sandbox.client.get(f"/_sandbox/wecom/media/{media_id}")
    assert (picture.content, picture.headers["content-security-policy"]) == (PNG, "sandbox")


# Addresses and tickets ---------------------------------------------------------------------


def test_addresses_and_tickets_are_told(wecom: Wecom) -> None:
    assert "127.0.0.1" in wecom.get("getcallbackip")["ip_list"]
    wecom.set("addresses", ip_list=["203.0.113.*"])
    assert wecom.get("getcallbackip")["ip_list"] == ["203.0.113.*"]
    ticket = wecom.get("get_jsapi_ticket")["ticket"]
    assert wecom.get("get_jsapi_ticket")["ticket"] == ticket
    assert wecom.get("ticket/get", type="agent_config")["ticket"] != ticket
    wecom.pass_time(7_201)
    assert wecom.get("get_jsapi_ticket")["ticket"] != ticket
