"""What members write, read out of the platform's callbacks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import MAX_TEXT_CHARS, Attachment, MessageKind
from tools.wecom.app_inbox import member_message
from tools.wx import xml
from tools.wx.crypto import CallbackRefused

EVERY = {
    "ToUserName": "ww1",
    "FromUserName": "lisi",
    "CreateTime": "1700000000",
    "MsgId": "7000000000000000001",
    "AgentID": "1000002",
}


def fields(msgtype: str, /, **more: Any) -> dict[str, Any]:
    return EVERY | {"MsgType": msgtype} | more


def event(name: str, /, **more: Any) -> dict[str, Any]:
    found = fields("event", Event=name, **more)
    del found["MsgId"]
    return found


@pytest.mark.parametrize(
    ("given", "kind", "text", "attached"),
    [
        (fields("text", Content=" 今天有多少单? "), MessageKind.TEXT, "今天有多少单?", ()),
        (
            fields("image", PicUrl="http://p", MediaId="m1"),
            MessageKind.IMAGE,
            "",
            (Attachment("image", "wecom:m1"),),
        ),
        (
            fields("voice", MediaId="m2", Format="amr"),
            MessageKind.VOICE,
            "[语音]",
            (Attachment("voice", "wecom:m2"),),
        ),
        (
            fields("video", MediaId="m3", ThumbMediaId="t"),
            MessageKind.FILE,
            "[视频]",
            (Attachment("file", "wecom:m3"),),
        ),
        (
            fields("location", Location_X="31.2", Location_Y="121.4", Scale="15", Label="人民路"),
            MessageKind.LOCATION,
            "[位置] 人民路（31.2, 121.4）",
            (),
        ),
        (
            fields("link", Title="标题", Description="说明", Url="https://x", PicUrl="p"),
            MessageKind.LINK,
            "标题\n说明\nhttps://x",
            (),
        ),
        (event("click", EventKey="退货流程"), MessageKind.TEXT, "退货流程", ()),
        (event("enter_agent", EventKey=""), MessageKind.EVENT, "", ()),
        (fields("hologram", Content="x"), MessageKind.EVENT, "", ()),
        (fields("image", MediaId=""), MessageKind.IMAGE, "", ()),
    ],
)
def test_each_kind_becomes_a_message_of_ours(
    given: dict[str, Any], kind: MessageKind, text: str, attached: tuple[Attachment, ...]
) -> None:
    message = member_message(given)
    assert (message.kind, message.text, message.attachments) == (kind, text, attached)
    assert (message.channel, message.account) == ("wecom_app", "1000002")
    assert (message.sender_id, message.sender_name, message.sent_at) == ("lisi", "lisi", 1.7e9)
    assert message.route == "push"


def test_a_message_is_known_by_its_id_and_an_event_by_who_when_and_what() -> None:
    assert member_message(fields("text", Content="a")).channel_message_id == EVERY["MsgId"]
    told = [
        event("click", EventKey="a"),
        event("click", EventKey="b"),
        event("enter_agent"),
        event("click", EventKey="a", CreateTime="1700000001"),
        event("click", EventKey="a", FromUserName="wangwu"),
    ]
    ids = [member_message(one).channel_message_id for one in told]
    assert len(set(ids)) == len(told)
    assert member_message(told[0]).channel_message_id == ids[0]


def test_an_event_keeps_its_name_and_so_does_an_unknown_kind() -> None:
    assert member_message(event("enter_agent")).event == "enter_agent"
    assert member_message(fields("hologram")).event == "hologram"
    assert member_message(fields("text", Content="a")).event == ""


def test_long_text_is_cut_at_what_a_message_holds() -> None:
    message = member_message(fields("text", Content="字" * (MAX_TEXT_CHARS + 1)))
    assert message.text == "字" * MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "wrong",
    [
        {"FromUserName": ""},
        {"FromUserName": "a\nb"},
        {"FromUserName": "a" * 65},
        {"CreateTime": "soon"},
        {"CreateTime": "-1"},
        {"MsgId": ""},
        {"AgentID": ""},
        {"Content": {"nested": "x"}},
        {"MsgType": "event"},
    ],
)
def test_what_is_no_message_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CallbackRefused):
        member_message(fields("text", Content="a") | wrong)


@given(
    st.dictionaries(
        st.sampled_from([*EVERY, "MsgType", "Event", "EventKey", "Content", "MediaId", "Label"]),
        st.one_of(st.text(), st.sampled_from(["text", "image", "event", "click", "1700000000"])),
    )
)
def test_whatever_comes_is_a_message_that_can_be_stored_or_is_refused(told: dict[str, str]) -> None:
    try:
        message = member_message(EVERY | told)
    except CallbackRefused:
        return
    assert 0 < len(message.channel_message_id) <= 128
    assert message.sender_id
    assert message.account
    assert len(message.event) <= 64
    message.text.encode()


def test_a_callback_as_the_platform_writes_it_is_read() -> None:
    told = xml.parse(
        b"<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[lisi]]></FromUserName>"
        b"<CreateTime>1348831860</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        b"<Content><![CDATA[this is a test]]></Content><MsgId>1234567890123456</MsgId>"
        b"<AgentID>1</AgentID></xml>"
    )
    message = member_message(told)
    assert (message.text, message.channel_message_id) == ("this is a test", "1234567890123456")
