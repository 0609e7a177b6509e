"""Signature, intake and outgoing body of the webhook channel, without a network."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.ids import conversation_id
from domain.messages import Attachment, InboundMessage, MessageKind
from tools.signatures import sign
from tools.webhook.protocol import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    OutboundText,
    VerifiedBody,
    outbound_body,
    parse_inbound,
    signed_headers,
    verify,
)

SECRET = "shop-secret"
NOW = 1_700_000_000.0
BODY = b'{"text":"hi"}'


def test_the_signature_is_the_documented_one() -> None:
    # printf '1700000000.{"text":"hi"}' | openssl dgst -sha256 -hmac shop-secret
    expected = "fdcf431638f4863d49ed533d600d60ddc2aabf4af04fb18dbcc449f4d5d42a18"
    assert sign(SECRET, "1700000000", BODY) == f"sha256={expected}"


def test_what_is_signed_verifies() -> None:
    headers = signed_headers(SECRET, BODY, now=NOW + 0.9)
    assert headers[TIMESTAMP_HEADER] == "1700000000"
    checked = verify(SECRET, headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER], BODY, now=NOW)
    assert checked == BODY


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "late", "field"),
    [
        ("other", "1700000000", BODY, 0, SIGNATURE_HEADER),
        (SECRET, "1700000001", BODY, 0, SIGNATURE_HEADER),  # the timestamp is signed too
        (SECRET, "1700000000", BODY + b" ", 0, SIGNATURE_HEADER),
        (SECRET, "1700000000", BODY, 301, TIMESTAMP_HEADER),
        (SECRET, "1700000000", BODY, -301, TIMESTAMP_HEADER),
        (SECRET, "", BODY, 0, TIMESTAMP_HEADER),
        (SECRET, "1.7e9", BODY, 0, TIMESTAMP_HEADER),
        (SECRET, "-1700000000", BODY, 0, TIMESTAMP_HEADER),
        (SECRET, "nan", BODY, 0, TIMESTAMP_HEADER),
        (SECRET, "١٧٠٠٠٠٠٠٠٠", BODY, 0, TIMESTAMP_HEADER),  # digits, but not ASCII
        (SECRET, "9" * 5000, BODY, 0, TIMESTAMP_HEADER),
    ],
)
def test_a_request_that_is_not_as_signed_or_not_fresh_is_refused(
    secret: str, timestamp: str, body: bytes, late: float, field: str
) -> None:
    signature = sign(SECRET, "1700000000", BODY)
    with pytest.raises(InvalidInput) as caught:
        verify(secret, timestamp, signature, body, now=NOW + late)
    assert (caught.value.field, caught.value.status) == (field, 401)


@pytest.mark.parametrize("signature", [None, "", "sha256=", "deadbeef", "sha256=签名", "\ud800"])
def test_a_missing_or_odd_signature_is_refused_not_an_error(signature: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        verify(SECRET, "1700000000", signature, BODY, now=NOW)
    assert (caught.value.field, caught.value.status) == (SIGNATURE_HEADER, 401)


def _parse(**changes: Any) -> InboundMessage:
    body: dict[str, Any] = {
        "message_id": "m-1",
        "chat_id": "chat-1",
        "sender_id": "u-1",
        "sender_name": "小明",
        "type": "text",
        "text": "充电桩怎么安装?",
        "timestamp": 1_699_999_990,
        "attachments": [],
    }
    kept = {name: value for name, value in (body | changes).items() if value is not ...}
    raw = VerifiedBody(json.dumps(kept).encode())
    return parse_inbound(raw, account="shop", received_at=NOW)


def test_a_message_reaches_the_vocabulary_whole() -> None:
    message = _parse(attachments=[{"kind": "image", "url": "https://pic.example/1.jpg"}])
    assert message == InboundMessage(
        channel="webhook",
        account="shop",
        channel_message_id="m-1",
        chat_id="chat-1",
        sender_id="u-1",
        text="充电桩怎么安装?",
        sender_name="小明",
        attachments=(Attachment("image", "https://pic.example/1.jpg"),),
        sent_at=1_699_999_990.0,
        received_at=NOW,
        route="push",
    )
    assert message.conversation == conversation_id("webhook", "shop", "chat-1", "u-1")


def test_without_a_chat_the_sender_is_the_chat() -> None:
    assert _parse(chat_id=...).chat_id == "u-1"
    assert _parse(chat_id=None).chat_id == "u-1"


def test_optional_fields_may_be_missing_or_null() -> None:
    for absent in (..., None):
        message = _parse(sender_name=absent, timestamp=absent, attachments=absent)
        assert (message.sender_name, message.sent_at, message.attachments) == ("", NOW, ())


@pytest.mark.parametrize(
    ("timestamp", "sent_at"),
    [
        (1_699_999_990.25, 1_699_999_990.25),
        ("1699999990", 1_699_999_990.0),
        (1_699_999_990_000, 1_699_999_990.0),  # milliseconds
        ("2023-11-14T22:13:10Z", 1_699_999_990.0),
        ("2023-11-15T06:13:10", 1_699_999_990.0),  # no zone: Beijing time
        (NOW + 3_600, NOW),  # a clock that runs ahead must not reorder the conversation
    ],
)
def test_timestamps_are_seconds_or_iso_text(timestamp: object, sent_at: float) -> None:
    assert _parse(timestamp=timestamp).sent_at == sent_at


def test_numeric_ids_are_taken_as_text() -> None:
    assert _parse(message_id=42, sender_id=7).channel_message_id == "42"


def test_control_and_invisible_characters_of_the_text_are_dropped() -> None:
    assert _parse(text=" \u202e你好\x00\u200b ").text == "你好"


def test_an_image_needs_no_text() -> None:
    message = _parse(type="image", text="", attachments=[{"kind": "image", "url": "http://h/1"}])
    assert (message.kind, message.text) == (MessageKind.IMAGE, "")


@pytest.mark.parametrize(
    ("changes", "field", "hint"),
    [
        ({"message_id": ...}, "message_id", "必填"),
        ({"message_id": "   "}, "message_id", "不能为空"),
        ({"message_id": "x" * 129}, "message_id", "128"),
        ({"sender_id": None}, "sender_id", "字符串"),
        ({"sender_id": "a\nb"}, "sender_id", "控制字符"),
        ({"chat_id": {"id": 1}}, "chat_id", "字符串"),
        ({"text": "字" * 4001}, "text", "4000"),
        ({"text": "\u200b "}, "body", "text 不能为空"),
        ({"type": "image", "text": ""}, "body", "不能都为空"),
        ({"type": "sticker"}, "type", "不是支持的类型"),
        ({"timestamp": "yesterday"}, "timestamp", "时间"),
        ({"timestamp": 1e300}, "timestamp", "时间"),
        ({"attachments": "x"}, "attachments", "数组"),
        ({"attachments": [{"kind": "image"}]}, "attachments.0.url", "必填"),
        ({"attachments": [{"kind": "image", "url": "file:///etc"}]}, "attachments.0.url", "http"),
        ({"attachments": [{"kind": "event", "url": "http://h"}]}, "attachments.0.kind", "类型"),
        ({"attachments": [{"kind": "image", "url": "http://h/1"}] * 21}, "attachments", "20"),
        (
            {"attachments": [{"kind": "image", "url": "http://" + "h" * 2048}]},
            "attachments.0.url",
            "2048",
        ),
    ],
)
def test_an_unusable_field_is_named_with_a_reason_in_chinese(
    changes: dict[str, Any], field: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        _parse(**changes)
    assert (caught.value.field, caught.value.status) == (field, 422)
    assert hint in caught.value.reason


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"a":', b"[" * 5000])
def test_what_is_no_json_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_inbound(VerifiedBody(raw), account="shop", received_at=NOW)
    assert (caught.value.field, caught.value.status) == ("body", 400)


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b"1"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_inbound(VerifiedBody(raw), account="shop", received_at=NOW)
    assert caught.value.field == "body"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = [
    "message_id",
    "chat_id",
    "sender_id",
    "sender_name",
    "type",
    "text",
    "timestamp",
    "attachments",
]


@given(st.dictionaries(st.sampled_from(_FIELDS), _json))
def test_any_json_is_a_message_or_an_invalid_input(body: dict[str, Any]) -> None:
    raw = VerifiedBody(json.dumps(body).encode())
    try:
        message = parse_inbound(raw, account="shop", received_at=NOW)
    except InvalidInput:
        return
    assert message.channel_message_id
    assert message.sent_at <= NOW


@given(st.text(), st.text())
def test_any_text_goes_out_as_valid_utf8_json(text: str, chat: str) -> None:
    message = OutboundText("m", "c", "shop", chat, "u", text, "t", NOW)
    sent = json.loads(outbound_body(message))
    assert (sent["text"], sent["chat_id"], sent["created_at"]) == (text, chat, NOW)


def test_a_lone_surrogate_does_not_stop_a_message() -> None:
    message = OutboundText("m", "c", "shop", "chat", "u", "好\ud83d", "t", NOW)
    assert json.loads(outbound_body(message))["text"].startswith("好")


def test_a_nickname_with_joined_emoji_is_an_id_and_a_name_is_one_line() -> None:
    nickname = "小明👨\u200d👩\u200d👧"
    body = {"message_id": "m1", "sender_id": nickname, "sender_name": "小\n明", "text": "在吗"}
    message = parse_inbound(
        VerifiedBody(json.dumps(body).encode()), account="shop", received_at=1.0
    )
    assert (message.sender_id, message.sender_name) == (nickname, "小 明")
