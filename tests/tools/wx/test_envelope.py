"""Envelopes in XML and JSON, and passive replies as the platforms' documents print them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.wx.vectors import SAMPLE_KEY, VECTORS
from tools.wx import xml
from tools.wx.crypto import CallbackKeys, CallbackRefused, Freshness, Refusal, Sealed
from tools.wx.envelope import (
    MAX_ARTICLES,
    MAX_TEXT_BYTES,
    Article,
    PassiveReply,
    encrypted_of,
    fields_of,
    is_json,
    received,
    reply,
)

SEALED = Sealed("ZW5j", "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "1409659813", "1372623149")
REPLY = PassiveReply(to="o1", sender="gh_1", at=12345678)
OFFICIAL = VECTORS[-1]


@pytest.mark.parametrize(
    "body",
    [
        b"<xml><ToUserName><![CDATA[ww1]]></ToUserName><Encrypt><![CDATA[ab+/==]]></Encrypt>"
        b"<AgentID><![CDATA[]]></AgentID></xml>",
        b"<xml>\n  <AgentID/>\n  <Encrypt>ab+/==</Encrypt>\n</xml>\n",
        b"<xml><ToUserName>gh_1</ToUserName><MsgType>text</MsgType><Content>hi</Content>"
        b"<MsgId>1</MsgId><Encrypt>ab+/==</Encrypt></xml>",
        b'{"tousername":"ww1","encrypt":"ab+/==","agentid":"218"}',
        b'\xef\xbb\xbf \n{"ToUserName":"gh_1","Encrypt":"ab+\\/=="}',
    ],
    ids=["WeCom XML", "other order", "WeChat compatible mode", "WeCom JSON", "WeChat JSON"],
)
def test_every_envelope_gives_its_encrypted_text(body: bytes) -> None:
    assert encrypted_of(body) == "ab+/=="


@pytest.mark.parametrize(
    "body",
    [
        b"<xml><ToUserName>ww1</ToUserName></xml>",
        b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
        b"<xml><Encrypt><Encrypt>a</Encrypt></Encrypt></xml>",
        b"<xml><a><Encrypt>a</Encrypt></a></xml>",
        b"<xml><Encrypt>a</Encrypt><encrypt>a</encrypt></xml>",
        b'<xml xmlns:e="u"><e:Encrypt>a</e:Encrypt></xml>',
        b"{}",
        b'{"encrypt":"a","encrypt":"b"}',
        b'{"encrypt":"a","Encrypt":"a"}',
        b'{"encrypt":["a"]}',
        b'{"encrypt":{"a":"b"}}',
        b'{"encrypt":true}',
        b'{"encrypt":NaN}',
        b'{"encrypt":"a"',
        b'{"encrypt":"a"}}',
        b'{"encrypt":"a","b":"\\u0000"}',
        b'{"encrypt":"a","b":["\\ud800"]}',
        b'{"encrypt":"a","\\ud800":1}',
        b'{"encrypt":"\xff"}',
        b'{"encrypt":"a","b":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' * 40_000,
        b'["encrypt","a"]',
        b"encrypt=a",
        b"",
    ],
)
def test_an_envelope_without_one_encrypted_text_is_refused(body: bytes) -> None:
    with pytest.raises(CallbackRefused) as refused:
        encrypted_of(body)
    assert refused.value.code is Refusal.PARSE


def test_numbers_are_text_in_both_forms() -> None:
    as_json = fields_of(b'{"MsgId":4561255354251345929,"Latitude":23.134521,"N":1e99999}')
    assert as_json == {"MsgId": "4561255354251345929", "Latitude": "23.134521", "N": "1e99999"}
    assert fields_of(b"<xml><MsgId>4561255354251345929</MsgId></xml>")["MsgId"] == as_json["MsgId"]
    assert len(fields_of(b'{"MsgId":' + b"9" * 100_000 + b"}")["MsgId"]) == 100_000


@pytest.mark.parametrize("body", [b'{"encrypt":"abcd"}', b"<xml><Encrypt>a</Encrypt></xml>"])
def test_more_bytes_than_allowed_are_not_read(body: bytes) -> None:
    assert encrypted_of(body, max_bytes=len(body))
    with pytest.raises(CallbackRefused):
        encrypted_of(body, max_bytes=len(body) - 1)


@given(st.binary(max_size=200) | st.text().map(lambda inside: f"{{{inside}}}".encode()))
def test_any_bytes_have_fields_or_are_refused(body: bytes) -> None:
    try:
        assert isinstance(fields_of(body), dict)
    except CallbackRefused as refused:
        assert refused.code is Refusal.PARSE  # noqa: PT017


def test_the_xml_around_a_reply_is_the_official_template() -> None:
    assert reply(SEALED).decode() == (
        "<xml><Encrypt><![CDATA[ZW5j]]></Encrypt>"
        "<MsgSignature><![CDATA[5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3]]></MsgSignature>"
        "<TimeStamp>1409659813</TimeStamp><Nonce><![CDATA[1372623149]]></Nonce></xml>"
    )


def test_wecoms_json_has_keys_in_lower_case() -> None:
    assert json.loads(reply(SEALED, as_json="wecom")) == {
        "encrypt": "ZW5j",
        "msgsignature": SEALED.msg_signature,
        "timestamp": "1409659813",
        "nonce": "1372623149",
    }


def test_wechats_json_is_the_official_example() -> None:
    sealed = OFFICIAL.keys().seal(
        OFFICIAL.message,
        timestamp=OFFICIAL.timestamp,
        nonce=OFFICIAL.nonce,
        random16=OFFICIAL.random16,
    )
    assert json.loads(reply(sealed, as_json="wechat")) == {
        "Encrypt": OFFICIAL.encrypt,
        "MsgSignature": "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
        "TimeStamp": 1713424427,
        "Nonce": "415670741",
    }


@pytest.mark.parametrize("form", [None, "wecom", "wechat"])
def test_a_sealed_reply_is_received_by_the_other_side(form: str | None) -> None:
    keys = CallbackKeys("QDG6eK", SAMPLE_KEY, "ww1")
    sealed = keys.seal(REPLY.text("您好"), timestamp="1700000000", nonce="n1")
    body = reply(sealed, as_json=form)  # type: ignore[arg-type]
    message = received(
        keys,
        Freshness(600, lambda: 1_700_000_030.0),
        body,
        msg_signature=sealed.msg_signature,
        timestamp="1700000000",
        nonce="n1",
    )
    assert is_json(body) == (form is not None)
    assert fields_of(message)["Content"] == "您好"


def test_a_stale_callback_is_refused_though_its_signature_is_right() -> None:
    vector = VECTORS[0]
    with pytest.raises(CallbackRefused, match="时间戳"):
        received(
            vector.keys(),
            Freshness(600, lambda: 1_700_000_000.0),
            f"<xml><Encrypt>{vector.encrypt}</Encrypt></xml>".encode(),
            msg_signature=vector.signature,
            timestamp=vector.timestamp,
            nonce=vector.nonce,
        )


def test_a_text_reply_is_the_documents_example() -> None:
    assert REPLY.text("hi").decode() == (
        "<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>"
        "<CreateTime>12345678</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        "<Content><![CDATA[hi]]></Content></xml>"
    )


@pytest.mark.parametrize("content", ["", " \n", "a" * (MAX_TEXT_BYTES + 1), "好" * 683])
def test_a_text_that_the_platform_would_not_show_whole_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        REPLY.text(content)
    assert REPLY.text("好" * 682)


def test_an_image_reply_names_its_media() -> None:
    fields = xml.parse(REPLY.image("media1"))
    assert (fields["MsgType"], fields["Image"]) == ("image", {"MediaId": "media1"})


def test_a_news_reply_counts_and_lists_its_articles() -> None:
    fields = xml.parse(REPLY.news([Article("a", "b", "http://p", "http://u"), Article("c")]))
    assert fields["MsgType"] == "news"
    assert fields["ArticleCount"] == "2"
    assert fields["Articles"]["item"] == [
        {"Title": "a", "Description": "b", "PicUrl": "http://p", "Url": "http://u"},
        {"Title": "c", "Description": "", "PicUrl": "", "Url": ""},
    ]


@pytest.mark.parametrize("count", [0, MAX_ARTICLES + 1])
def test_a_news_reply_has_one_to_eight_articles(count: int) -> None:
    with pytest.raises(ValueError, match="articles"):
        REPLY.news([Article("a")] * count)


def test_handing_over_may_name_an_agent() -> None:
    assert xml.parse(REPLY.transfer_customer_service("a@b"))["TransInfo"] == {"KfAccount": "a@b"}
    anyone = xml.parse(REPLY.transfer_customer_service())
    assert anyone["MsgType"] == "transfer_customer_service"
    assert "TransInfo" not in anyone
