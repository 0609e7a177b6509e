"""Frames read and written by the default mapping and by one with nothing in common with it."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import InboundMessage, MessageKind
from tests.tools.qingjian.bridge import a_text, mapping_of, nested
from tools.qingjian.mapping import load_mapping
from tools.qingjian.protocol import (
    AckFrame,
    CustomerFrame,
    Frame,
    HeartbeatFrame,
    IgnoredFrame,
    LoginFrame,
    OutgoingMessage,
    UnknownFrame,
    heartbeat_frame,
    login_frame,
    message_frame,
    read_frame,
)

NOW = 1_800_000_000.0
DEFAULT = load_mapping()
NESTED = mapping_of()
MESSAGE: dict[str, Any] = {
    "type": "message",
    "msg_id": "m1",
    "acc_id": "shop_001",
    "acc_type": "AliWorkbench",
    "customer_id": "小明",
    "customer_name": "小明同学",
    "group_id": "",
    "content": "好的",
    "images": [],
    "time": 1_700_000_000,
}


def read(frame: object, mapping: Any = DEFAULT) -> Frame:
    return read_frame(mapping, json.dumps(frame), received_at=NOW, zone=ZoneInfo("Asia/Shanghai"))


def message(mapping: Any = DEFAULT, **changes: Any) -> InboundMessage:
    """What `MESSAGE` with ``changes`` becomes; ``...`` drops a member."""
    whole = {key: value for key, value in (MESSAGE | changes).items() if value is not ...}
    frame = read(whole, mapping)
    assert isinstance(frame, CustomerFrame), frame
    return frame.message


def test_a_customers_message_is_read_whole_and_acknowledged_by_its_id() -> None:
    frame = read(MESSAGE | {"images": ["https://h/1.png"], "files": ["https://h/2.pdf"]})
    assert isinstance(frame, CustomerFrame)
    found = frame.message
    assert (found.channel, found.account, found.channel_message_id) == (
        "qingjian",
        "shop_001",
        "m1",
    )
    assert (found.chat_id, found.sender_id, found.sender_name) == ("小明", "小明", "小明同学")
    assert (found.text, found.kind, found.sent_at) == ("好的", MessageKind.TEXT, 1_700_000_000)
    assert [(a.kind, a.url) for a in found.attachments] == [
        ("image", "https://h/1.png"),
        ("file", "https://h/2.pdf"),
    ]
    assert (found.route, found.event, frame.account_type) == ("push", "", "AliWorkbench")
    assert frame.answer == '{"type":"received","msg_id":"m1"}'


def test_members_of_a_group_are_conversations_of_their_own() -> None:
    one, other = (message(group_id="g1", customer_id=who) for who in ("甲", "乙"))
    assert (one.chat_id, one.sender_id) == ("g1", "甲")
    assert one.conversation != other.conversation


def test_an_image_without_words_is_an_image() -> None:
    assert message(content="", images=["http://h/1"]).kind is MessageKind.IMAGE


def test_a_payment_is_an_event_without_words() -> None:
    paid = message(type="event", event="payment", content=..., order_id="o1")
    assert (paid.kind, paid.event, paid.text) == (MessageKind.EVENT, "payment", "")


def test_other_fields_another_shape_and_milliseconds_need_no_code() -> None:
    body = [{"text": "这张图"}, {"image": {"url": "http://h/1"}}, {"image": {"url": "http://h/2"}}]
    frame = read(nested(body=body, room=42), NESTED)
    assert isinstance(frame, CustomerFrame)
    found = frame.message
    assert (found.account, found.channel_message_id, found.chat_id) == ("9", "1001", "42")
    assert (found.sender_id, found.sender_name, found.text) == ("u1", "小明", "这张图")
    assert [a.url for a in found.attachments] == ["http://h/1", "http://h/2"]
    assert found.sent_at == pytest.approx(1_700_000_000.123)
    assert frame.answer == '{"cmd":"got","id":1001}'


def test_a_rule_may_have_fields_of_its_own_and_the_first_that_fits_wins() -> None:
    trade = {"trade": {"tid": "T1", "status": "PAID"}}
    frame = read({"cmd": "trade", "data": nested()["data"] | trade}, NESTED)
    assert isinstance(frame, CustomerFrame)
    assert (frame.message.channel_message_id, frame.message.event) == ("T1", "payment")
    assert read(nested(self=True), NESTED) == IgnoredFrame()


@pytest.mark.parametrize(
    ("time", "unit", "form", "sent_at"),
    [
        (1_700_000_000, "auto", "", 1_700_000_000),
        ("1700000000", "auto", "", 1_700_000_000),
        (1_700_000_000_500, "auto", "", 1_700_000_000.5),
        (1_700_000_000_500, "ms", "", 1_700_000_000.5),
        (1_700_000_000, "s", "", 1_700_000_000),
        ("2023-11-15 06:13:20", "auto", "", 1_700_000_000),
        ("2023-11-14T22:13:20Z", "text", "", 1_700_000_000),
        ("15/11/2023 06:13", "text", "%d/%m/%Y %H:%M", 1_699_999_980),
        ("20231115061320", "text", "%Y%m%d%H%M%S", 1_700_000_000),
        ("soon", "auto", "", NOW),
        (None, "auto", "", NOW),
        (True, "auto", "", NOW),
        (-5, "auto", "", NOW),
        (NOW + 900, "auto", "", NOW),
    ],
)
def test_a_time_is_read_as_configured_and_never_lies_in_the_future(
    time: object, unit: str, form: str, sent_at: float
) -> None:
    mapping = mapping_of(time={"unit": unit, "format": form})
    frame = read(nested(ts=time), mapping)
    assert isinstance(frame, CustomerFrame)
    assert frame.message.sent_at == sent_at


def test_without_an_id_the_same_message_has_the_same_id_and_another_has_another() -> None:
    first = message(msg_id=...)
    assert first.channel_message_id.startswith("h_")
    assert message(msg_id="").channel_message_id == first.channel_message_id
    others: list[dict[str, Any]] = [
        {"acc_id": "shop_002"},
        {"customer_id": "小红"},
        {"group_id": "g"},
        {"time": 1_700_000_001},
        {"content": "好"},
        {"images": ["http://h/1"]},
    ]
    ids = {message(msg_id=..., **other).channel_message_id for other in others}
    assert len(ids) == len(others)
    assert first.channel_message_id not in ids


def test_an_id_that_is_too_long_for_us_still_tells_messages_apart() -> None:
    one, other = (message(msg_id="x" * 200 + end).channel_message_id for end in "ab")
    assert one != other
    assert len(one) < 128


@pytest.mark.parametrize(
    ("change", "identified"),
    [({}, True), ({"msg_id": ...}, True), ({"msg_id": ..., "time": ...}, False)],
)
def test_a_message_with_neither_id_nor_time_is_marked(
    change: dict[str, Any], identified: bool
) -> None:
    whole = {key: value for key, value in (MESSAGE | change).items() if value is not ...}
    frame = read(whole)
    assert isinstance(frame, CustomerFrame)
    assert frame.identified is identified


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ({"type": "ack", "seq": "s1", "code": 0}, AckFrame("s1", True)),
        ({"type": "ack", "seq": 7, "code": "0"}, AckFrame("7", True)),
        (
            {"type": "ack", "seq": "s1", "code": 503, "message": "忙\n"},
            AckFrame("s1", False, True, "503 忙"),
        ),
        (
            {"type": "ack", "seq": "s1", "code": 400},
            AckFrame("s1", False, False, "400"),
        ),
        ({"type": "ack", "seq": "s1"}, AckFrame("s1", False, False, "refused the message")),
        ({"type": "login_result", "code": 0}, LoginFrame(True)),
        ({"type": "login_result", "code": 1, "message": "no"}, LoginFrame(False, "no")),
        ({"type": "ping"}, HeartbeatFrame('{"type":"pong"}')),
        ({"type": "pong"}, HeartbeatFrame(None)),
        ({"type": "typing"}, IgnoredFrame()),
    ],
)
def test_a_frame_is_what_its_rule_says(frame: object, found: Frame) -> None:
    assert read(frame) == found


def test_a_message_that_says_nothing_is_acknowledged_and_left() -> None:
    assert read(MESSAGE | {"content": " \u200b"}) == IgnoredFrame(
        '{"type":"received","msg_id":"m1"}'
    )


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"type": "coupon"}, "no rule fits"),
        ([], "no rule fits"),
        (7, "no rule fits"),
        ({"type": "ack", "code": 0}, "ack: says not which"),
        (MESSAGE | {"customer_id": None}, "message: no sender_id"),
        (MESSAGE | {"customer_id": True}, "message: sender_id is no identifier"),
        (MESSAGE | {"customer_id": "a\nb"}, "message: sender_id is no identifier"),
        (MESSAGE | {"customer_id": "x" * 129}, "message: sender_id is no identifier"),
        (MESSAGE | {"acc_id": ""}, "message: no account"),
        ({"type": "message", "acc_id": "s", "customer_id": "c"}, "message: neither text nor"),
    ],
)
def test_a_frame_that_cannot_be_read_is_unknown_and_says_why(frame: object, reason: str) -> None:
    found = read(frame)
    assert isinstance(found, UnknownFrame)
    assert found.reason.startswith(reason)


def test_what_is_kept_of_an_unknown_frame_is_short_and_without_secrets() -> None:
    raw = json.dumps({"access_token": 'abc"def', "password": 123456, "x": "y" * 5000})
    found = read_frame(DEFAULT, raw, received_at=NOW)
    assert isinstance(found, UnknownFrame)
    assert found.shown.startswith('{"access_token": "***", "password": "***", "x": "yyy')
    assert (len(found.shown), found.size) == (2_000, len(raw))


@pytest.mark.parametrize(
    "raw", ["", "{", "hello", b"\xff\xfe\x00", "[" * 100_000, b'{"type":"message"']
)
def test_what_is_no_json_is_unknown(raw: str | bytes) -> None:
    found = read_frame(DEFAULT, raw, received_at=NOW)
    assert isinstance(found, UnknownFrame)
    assert found.reason == "is no JSON"


def test_a_frame_over_the_limit_is_not_parsed() -> None:
    raw = json.dumps(MESSAGE | {"images": ["data:" + "x" * 2_000_000]})
    found = read_frame(DEFAULT, raw, received_at=NOW)
    assert isinstance(found, UnknownFrame)
    assert "1048576 bytes" in found.reason


def test_too_much_of_anything_is_cut_and_what_is_no_web_address_is_dropped() -> None:
    found = message(
        content="字" * 5_000,
        customer_name="名" * 500,
        images=["file:///etc/passwd", "data:image/png;base64,xx", "http://h/" + "x" * 3_000]
        + [f"http://h/{n}" for n in range(30)],
    )
    assert (len(found.text), len(found.sender_name), len(found.attachments)) == (4_000, 128, 20)
    assert found.attachments[0].url == "http://h/0"


def test_half_an_emoji_does_not_cost_the_message() -> None:
    raw = json.dumps(MESSAGE).replace('"\\u597d\\u7684"', '"\\u597d\\ud83d"')
    frame = read_frame(DEFAULT, raw, received_at=NOW)
    assert isinstance(frame, CustomerFrame)
    assert frame.message.text == "好"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*MESSAGE, "event", "seq", "code"]), _json))
def test_any_frame_is_read_without_an_error(frame: dict[str, Any]) -> None:
    for type_ in ("message", "event", "ack", "login_result", "ping"):
        raw = json.dumps(frame | {"type": type_})
        found = read_frame(DEFAULT, raw, received_at=NOW)
        if isinstance(found, CustomerFrame):
            assert 0 < len(found.message.channel_message_id) <= 128
            assert found.message.sent_at <= NOW


@given(st.text() | st.binary())
def test_any_bytes_are_read_without_an_error(raw: str | bytes) -> None:
    read_frame(DEFAULT, raw, received_at=NOW)


# Out ------------------------------------------------------------------------------------------


def written(mapping: Any, message: OutgoingMessage) -> Any:
    return json.loads(message_frame(mapping, message, now=NOW))


def test_a_text_to_a_customer_and_one_into_a_group() -> None:
    alone = written(DEFAULT, a_text(text='他说"好"\n😀'))
    assert alone == {
        "type": "send",
        "seq": "t1:reply",
        "acc_id": "9",
        "acc_type": "WeCom",
        "customer_id": "u1",
        "group_id": "",
        "msg_type": "text",
        "content": '他说"好"\n😀',
    }
    assert written(DEFAULT, a_text(chat_id="g1"))["group_id"] == "g1"


def test_an_image_or_a_file_goes_by_its_url_and_as_a_text_where_the_peer_has_no_such_frame() -> (
    None
):
    for type_ in ("image", "file"):
        sent = OutgoingMessage("m", "9", "W", "u1", "u1", type_, url="http://h/1", name="稿.psd")
        found = written(DEFAULT, sent)
        assert (found["msg_type"], found["content"], found["name"]) == (
            type_,
            "http://h/1",
            "稿.psd",
        )
        assert written(NESTED, sent)["data"]["body"] == [{"text": "稿.psd http://h/1"}]


def test_a_number_that_stands_for_the_id_is_stable_and_exact_in_every_json_reader() -> None:
    first, again, other = (written(NESTED, a_text(m))["req"] for m in ("a", "a", "b"))
    assert first == again != other
    assert 0 < first < 2**53


def test_a_lone_surrogate_does_not_stop_a_message() -> None:
    assert written(DEFAULT, a_text(text="好\ud83d"))["content"] == "好?"


def test_login_and_heartbeat_are_sent_where_the_mapping_has_them() -> None:
    assert login_frame(DEFAULT, now=NOW) == '{"type":"login","client":"kefu-graph"}'
    assert heartbeat_frame(DEFAULT, now=NOW) == '{"type":"ping","time":1800000000}'
    assert login_frame(NESTED, now=NOW) is None
    assert heartbeat_frame(NESTED, now=NOW) is None
