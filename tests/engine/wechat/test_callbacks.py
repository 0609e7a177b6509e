"""Whose callbacks are taken, in which mode, and what each kind of message brings about."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from storage import reply_windows
from tests.engine.wechat.account import (
    AES_KEY,
    APP_ID,
    GH,
    Account,
    ask,
    callback,
    event,
    serving,
    show,
    text,
)

SAFE: dict[str, Any] = {"wechat_aes_key": SecretStr(AES_KEY)}


@pytest.fixture
async def safe(database_url: str) -> AsyncIterator[Account]:
    async with serving(database_url, **SAFE) as account:
        yield account


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("beside", [False, True])
async def test_an_encrypted_message_is_answered_encrypted(
    safe: Account, as_json: bool, beside: bool
) -> None:
    message = ask("密")
    answer = await safe.deliver(message, sealed=True, as_json=as_json, beside=beside)
    assert b"Encrypt" in answer.body
    assert answer.media_type == ("application/json" if as_json else "application/xml")
    phone = safe.platform.phone("o1")
    show(phone, answer)
    assert phone.passive == [f"答:{message['Content']}"]


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_plain_message_is_answered_in_its_own_form(account: Account, as_json: bool) -> None:
    message = ask("明")
    answer = await account.deliver(message, as_json=as_json)
    assert answer.body.startswith(b"{" if as_json else b"<xml>")
    phone = account.platform.phone("o1")
    show(phone, answer)
    assert phone.passive == [f"答:{message['Content']}"]


async def test_what_stands_beside_an_encrypted_message_is_not_believed(safe: Account) -> None:
    real, forged = ask("真"), ask("假", "o2")
    query, body = callback(real, at=safe.clock(), sealed=True)
    encrypted = body.partition(b"<Encrypt>")[2]
    plain = "".join(f"<{name}>{value}</{name}>" for name, value in forged.items()).encode()
    with_both = b"<xml>" + plain + b"<Encrypt>" + encrypted
    answer = await safe.intake.take(query, with_both, gone=_never())
    await safe.intake.written(answer)
    show(safe.platform.phone("o1"), answer)
    assert safe.platform.phone("o1").passive == [f"答:{real['Content']}"]
    assert safe.knowledge.searched == [real["Content"]]


@pytest.mark.parametrize(
    "change",
    [
        {"msg_signature": "0" * 40},
        {"msg_signature": ""},
        {"nonce": "other"},
        {"timestamp": "1000000000"},
        {"timestamp": ""},
    ],
)
async def test_an_encrypted_message_with_another_signature_is_refused(
    safe: Account, change: dict[str, str]
) -> None:
    query, body = callback(ask("伪"), at=safe.clock(), sealed=True)
    answer = await safe.intake.take(query | change, body, gone=_never())
    assert (answer.status, answer.body) == (403, b"")
    assert await safe.rows("SELECT 1 FROM messages") == []


async def test_in_safe_mode_a_plain_message_is_refused(safe: Account) -> None:
    answer = await safe.deliver(ask("明"))
    assert (answer.status, answer.body) == (400, b"")
    assert await safe.rows("SELECT 1 FROM messages") == []


@pytest.mark.parametrize("sealed", [False, True])
async def test_compatible_mode_takes_either(database_url: str, sealed: bool) -> None:
    async with serving(database_url, wechat_mode="compatible", **SAFE) as account:
        phone = await account.send(ask("容"), sealed=sealed, beside=True)
        assert len(phone.passive) == 1


@pytest.mark.parametrize(
    "change", [{"signature": "0" * 40}, {"nonce": "1"}, {"timestamp": "1000000000"}]
)
async def test_a_plain_message_with_another_signature_is_refused(
    account: Account, change: dict[str, str]
) -> None:
    query, body = callback(ask("伪"), at=account.clock())
    answer = await account.intake.take(query | change, body, gone=_never())
    assert (answer.status, answer.body) == (403, b"")
    assert await account.rows("SELECT 1 FROM messages") == []


async def test_an_address_that_somebody_has_seen_is_good_for_one_message_only(
    account: Account,
) -> None:
    address: dict[str, Any] = {"at": account.clock(), "nonce": "n1"}
    await account.deliver(ask("真"), **address)
    for forged in (ask("假"), event("subscribe", "o9"), event("unsubscribe")):
        answer = await account.deliver(forged, **address)
        assert (answer.status, answer.body) == (403, b"")
    assert len(await account.rows("SELECT 1 FROM messages WHERE role = 'user'")) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<xml>", b"{", b"<!DOCTYPE x><xml></xml>", b"<xml></xml>", b"<xml><MsgType/></xml>"],
)
async def test_what_is_no_message_never_ends_as_an_error_of_ours(
    account: Account, body: bytes
) -> None:
    query, _ = callback(ask("壳"), at=account.clock())
    answer = await account.intake.take(query, body, gone=_never())
    assert (answer.status, answer.body) == (200, b"success")


async def test_who_subscribes_is_welcomed_once(account: Account) -> None:
    came = event("subscribe", EventKey="qrscene_shop1", Ticket="t")
    phone = await account.send(came)
    await account.send(came)
    await account.quiet()
    assert phone.seen == [account.services.templates.render("wechat_welcome", seed="")]
    stored = await account.rows("SELECT event, kind, status FROM messages")
    assert stored == [{"event": "subscribe:qrscene_shop1", "kind": "event", "status": "handled"}]


async def test_nothing_is_sent_to_who_has_unsubscribed(account: Account) -> None:
    await account.send(ask("早"))
    assert (await account.deliver(event("unsubscribe"))).body == b"success"
    states = await account.rows("SELECT state FROM customers")
    assert states == [{"state": "unsubscribed"}]
    left = await account.database.read(
        lambda c: reply_windows.left(c, "wechat", APP_ID, "o1", now=account.clock())
    )
    assert left == 0
    await account.send(event("subscribe"))
    assert await account.rows("SELECT state FROM customers") == [{"state": "new"}]


async def test_the_key_of_a_menu_button_is_what_the_customer_says(account: Account) -> None:
    phone = await account.send(event("CLICK", EventKey="充电桩菜单怎么安装"))
    assert phone.passive == ["答:充电桩菜单怎么安装"]


@pytest.mark.parametrize(
    ("fields", "kind", "content"),
    [
        ({"MsgType": "voice", "MediaId": "m", "Recognition": "充电桩声怎么安装"}, "voice", None),
        (
            {
                "MsgType": "location",
                "Location_X": "31.2",
                "Location_Y": "121.4",
                "Scale": "15",
                "Label": "上海市",
            },
            "location",
            "[位置] 上海市（31.2, 121.4）",
        ),
        (
            {"MsgType": "link", "Title": "标题", "Description": "说明", "Url": "http://a.b/c"},
            "link",
            "标题\n说明\nhttp://a.b/c",
        ),
    ],
)
async def test_what_says_something_is_a_question(
    account: Account, fields: dict[str, str], kind: str, content: str | None
) -> None:
    phone = await account.send(text("", **fields))
    assert len(phone.passive) == 1
    (row,) = await account.rows("SELECT kind, content FROM messages WHERE role = 'user'")
    assert row == {"kind": kind, "content": content or fields["Recognition"]}


async def test_a_picture_is_asked_about_by_its_media_id(account: Account) -> None:
    phone = await account.send(text("", MsgType="image", PicUrl="http://p", MediaId="media-1"))
    assert len(phone.passive) == 1
    (row,) = await account.rows("SELECT kind, attachments FROM messages WHERE role = 'user'")
    assert row == {"kind": "image", "attachments": '[{"kind": "image", "url": "wechat:media-1"}]'}


@pytest.mark.parametrize(
    ("fields", "template"),
    [
        ({"MsgType": "voice", "MediaId": "m", "Format": "amr"}, "wechat_voice"),
        ({"MsgType": "video", "MediaId": "m", "ThumbMediaId": "t"}, "wechat_unsupported"),
        ({"MsgType": "miniprogrampage", "Title": "t"}, "wechat_unsupported"),
        ({"Content": "【收到不支持的消息类型，暂无法显示】"}, "wechat_unsupported"),
    ],
)
async def test_what_cannot_be_read_is_stored_and_asked_for_in_words(
    account: Account, fields: dict[str, str], template: str
) -> None:
    phone = await account.send(text("") | fields)
    assert phone.seen == [account.services.templates.render(template, seed="")]
    assert len(await account.rows("SELECT 1 FROM messages WHERE role = 'user'")) == 1


async def test_where_a_person_has_the_conversation_nothing_is_said(account: Account) -> None:
    await account.send(ask("早"))
    await account.database.write(
        lambda c: c.exec_driver_sql("UPDATE conversations SET mode = 'human'")
    )
    for message in (text("在吗"), text("", MsgType="voice", MediaId="m")):
        assert (await account.deliver(message)).body == b"success"
    await account.quiet()
    assert len(account.platform.phone("o1").pushed) == 0


@pytest.mark.parametrize(
    "told",
    [
        {"Event": "LOCATION", "Latitude": "1", "Longitude": "2", "Precision": "3"},
        {"Event": "VIEW", "EventKey": "http://a.b/c", "MenuId": "1"},
        {"Event": "SCAN", "EventKey": "scene", "Ticket": "t"},
        {"Event": "TEMPLATESENDJOBFINISH", "MsgID": "1", "Status": "success"},
        {"Event": "something_new"},
    ],
)
async def test_other_events_are_stored_and_start_no_turn(
    account: Account, told: dict[str, str]
) -> None:
    assert (await account.deliver(event("x") | told)).body == b"success"
    assert len(await account.rows("SELECT 1 FROM messages WHERE status = 'handled'")) == 1
    assert await account.rows("SELECT 1 FROM turns") == []


async def test_an_echo_is_given_for_the_right_signature_only(safe: Account) -> None:
    query, _ = callback(ask("验"), at=safe.clock())
    assert safe.intake.verify(query | {"echostr": "4375120948345356249"}) == b"4375120948345356249"


async def test_a_gh_id_and_an_openid_change_places_in_the_reply(account: Account) -> None:
    answer = await account.deliver(ask("址", "oWho"))
    assert b"<ToUserName><![CDATA[oWho]]>" in answer.body
    assert f"<FromUserName><![CDATA[{GH}]]>".encode() in answer.body


def _never() -> asyncio.Event:
    return asyncio.Event()
