"""The clients for contacts, members and media against the simulated WeCom."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest

from domain.errors import PeerRejected
from tests.sandbox.wecom import CORP, PNG, SECRET, Wecom
from tests.sandbox_server import SandboxServer
from tools.wecom.app import AppClient, notice_text
from tools.wecom.contacts import ContactsClient
from tools.wecom.errors import WECOM_ERRORS
from tools.wecom.media import LIFETIME_S, MediaClient, MediaUploads
from tools.wecom.tokens import CorpTokens, DirectTokens
from tools.wx.api import WxApi, WxCalls
from tools.wx.errors import WxRejected, WxUnavailable

AGENT = 1000002


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


@pytest.fixture
async def api(sandbox_server: SandboxServer) -> AsyncIterator[WxApi]:
    async with httpx.AsyncClient(trust_env=False) as http:
        base = f"{sandbox_server.url}/wecom/cgi-bin"
        calls = WxCalls(http, base, peer="wecom", errors=WECOM_ERRORS)
        tokens = DirectTokens(CorpTokens(calls, CORP, SECRET))
        yield WxApi(http, base, tokens, peer="wecom", errors=WECOM_ERRORS)


def shown(wecom: Wecom, member: str) -> list[str]:
    return [seen["text"] for seen in wecom.chat(f"app/{AGENT}/{member}")]


# Messages to members -----------------------------------------------------------------------


async def test_a_notice_is_cut_between_characters_at_2048_bytes(api: WxApi, wecom: Wecom) -> None:
    await AppClient(api, AGENT).send_text(["lisi"], "问" * 1_000)
    (text,) = shown(wecom, "lisi")
    assert text == "问" * 681 + "…"
    assert len(text.encode()) == 2_046


async def test_a_notice_that_is_sent_again_is_shown_once(api: WxApi, wecom: Wecom) -> None:
    app = AppClient(api, AGENT)
    for _ in range(3):
        await app.send_text(["lisi"], "需要人工介入")
    assert shown(wecom, "lisi") == ["需要人工介入"]


async def test_who_cannot_be_reached_is_named_and_nobody_at_all_is_final(
    api: WxApi, wecom: Wecom
) -> None:
    wecom.set("members", members=["lisi"])
    app = AppClient(api, AGENT)
    assert await app.send_text(["lisi", "Nobody"], "一") == ("nobody",)
    with pytest.raises(WxRejected) as raised:
        await app.send_text(["Nobody"], "二")
    assert raised.value.errcode == 81013
    assert "可见范围" in raised.value.advice


async def test_too_many_notices_wait_for_a_minute(api: WxApi, wecom: Wecom) -> None:
    wecom.set("app/settings", per_minute=1)
    app = AppClient(api, AGENT)
    await app.send_text(["lisi"], "一")
    with pytest.raises(WxUnavailable) as raised:
        await app.send_text(["lisi"], "二")
    assert raised.value.errcode == 45009
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 60


def test_words_of_customers_make_no_link_in_a_notice() -> None:
    text = notice_text("需要人工介入", '问题：<a href="http://x">点我</a>')
    assert "<" not in text
    assert text.startswith("🚨 需要人工介入\n\n")


# Media -------------------------------------------------------------------------------------


async def test_the_same_picture_is_uploaded_once_in_three_days(api: WxApi, wecom: Wecom) -> None:
    clock = SimpleNamespace(now=1_000.0)
    media = MediaClient(api)
    uploads = MediaUploads(media, clock=lambda: clock.now)
    first, second = await asyncio.gather(
        uploads.media_id(PNG, "稿件.png"), uploads.media_id(PNG, "稿件.png")
    )
    assert first == second == await uploads.media_id(PNG, "other.png")
    assert await media.content(first) == PNG
    assert (await media.download(first)).filename == "稿件.png"
    clock.now += LIFETIME_S
    later = await uploads.media_id(PNG, "稿件.png")
    assert later != first
    uploads.forget(later)
    assert await uploads.media_id(PNG, "稿件.png") != later


async def test_media_that_is_gone_or_cannot_be_taken_is_final(api: WxApi, wecom: Wecom) -> None:
    media = MediaClient(api)
    with pytest.raises(WxRejected) as raised:
        await media.content("no-such-media")
    assert raised.value.errcode == 40007
    for data in (b"tiny", bytes((10 << 20) + 1)):
        with pytest.raises(PeerRejected, match="字节"):
            await media.upload("image", "a.png", data)


# Contacts ----------------------------------------------------------------------------------


async def test_a_tag_is_made_once_however_many_need_it(api: WxApi, wecom: Wecom) -> None:
    clients = [ContactsClient(api) for _ in range(4)]
    ids = await asyncio.gather(*(one.tag_id("新客户", "智能客服") for one in clients))
    assert len(set(ids)) == 1
    assert [(tag.name, tag.group) for tag in await clients[0].tags()] == [("新客户", "智能客服")]


async def test_a_tag_of_the_group_goes_before_one_of_the_same_name_elsewhere(
    api: WxApi, wecom: Wecom
) -> None:
    contacts = ContactsClient(api)
    elsewhere = await contacts.tag_id("新客户", "客户阶段")
    assert await contacts.tag_id("新客户", "智能客服") == elsewhere, "no second one is made"
    wecom.post(
        "externalcontact/add_corp_tag", {"group_name": "智能客服", "tag": [{"name": "新客户"}]}
    )
    assert await contacts.tag_id("新客户", "智能客服") != elsewhere


async def test_contact_ways_that_skip_verification_are_made_listed_and_removed(
    api: WxApi, wecom: Wecom
) -> None:
    contacts = ContactsClient(api)
    way = await contacts.add_way(["lisi"], state="门店", remark="前台")
    assert way.qr_code.startswith("https://")
    assert await contacts.ways() == (way,)
    wecom.play("friends", {"customer": "wmA", "config_id": way.config_id})
    (friend,) = (await contacts.contact("wmA")).followers
    assert (friend.userid, friend.state, friend.add_way) == ("lisi", "门店", 1)
    await contacts.remove_way(way.config_id)
    assert await contacts.ways() == ()
    with pytest.raises(WxRejected):
        await contacts.remove_way(way.config_id)


@pytest.mark.parametrize(
    ("users", "state"), [([], ""), ([""], ""), (["u"] * 101, ""), (["lisi"], "长" * 31)]
)
async def test_what_no_contact_way_may_be_is_told_before_the_call(
    api: WxApi, wecom: Wecom, users: list[str], state: str
) -> None:
    with pytest.raises(PeerRejected, match="联系我"):
        await ContactsClient(api).add_way(users, state=state)
    assert not wecom.refused()
