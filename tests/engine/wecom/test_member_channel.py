"""Messages of the application to members: each part of an answer once, in order."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from domain.errors import NotFound, PeerRejected, PeerUnavailable
from engine.wecom.member_channel import MemberChannel
from storage import outbox
from storage.clock import iso
from storage.database import Database
from storage.outbox import Delivery, NewDelivery
from tests.databases import open_database
from tests.sandbox.wecom import CORP, PNG, SECRET, Wecom
from tests.sandbox_server import JsonObject, SandboxServer
from tools.wecom.app import AppClient
from tools.wecom.app_inbox import CHANNEL
from tools.wecom.errors import WECOM_ERRORS
from tools.wecom.media import MediaClient, MediaUploads
from tools.wecom.tokens import CorpTokens, DirectTokens
from tools.wx.api import WxApi, WxCalls
from tools.wx.errors import WxUnavailable

AGENT = 1000002
PICTURE = "https://kefu.example/pictures/1"
SEND, UPLOAD = "message/send", "media/upload"


@dataclass
class Desk:
    """``channel`` at the simulated WeCom; ``gone``: the picture is not to be had."""

    wecom: Wecom
    database: Database
    channel: MemberChannel
    now: float = 1_000_000.0
    gone: list[str] = field(default_factory=list)
    added: int = 0

    async def add(self, **payload: Any) -> Delivery:
        """As the deliverer claims it from the outbox."""
        self.added += 1
        new = NewDelivery(
            message_id=f"m{self.added}",
            queue="conversation",
            kind="message",
            channel=CHANNEL,
            account=str(AGENT),
            conversation_id="conversation",
            turn_id="t",
            payload={"to": "lisi", "chat_id": "lisi", **payload},
        )
        await self.database.write(lambda c: outbox.add(c, [new], iso(self.now)))
        return await self.claimed(new.message_id)

    async def claimed(self, message_id: str) -> Delivery:
        def unit(connection: Any) -> Delivery:
            query = text("SELECT id, payload FROM outbox WHERE message_id = :id")
            row = connection.execute(query, {"id": message_id}).one()
            return Delivery(
                id=row[0],
                message_id=message_id,
                queue="conversation",
                kind="message",
                channel=CHANNEL,
                account=str(AGENT),
                conversation_id="conversation",
                turn_id="t",
                payload=json.loads(row[1]),
                attempts=1,
            )

        return await self.database.read(unit)

    def seen(self) -> list[JsonObject]:
        return self.wecom.chat(f"app/{AGENT}/lisi")

    def texts(self) -> list[str]:
        return [one["text"] for one in self.seen()]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wecom.pass_time(seconds)

    async def picture(self, url: str) -> bytes:
        if url in self.gone:
            raise NotFound("picture", url)
        return PNG


@pytest.fixture
async def desk(database_url: str, sandbox_server: SandboxServer) -> AsyncIterator[Desk]:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    async with httpx.AsyncClient(trust_env=False) as http:
        base = f"{sandbox_server.url}/wecom/cgi-bin"
        calls = WxCalls(http, base, peer="wecom", errors=WECOM_ERRORS)
        tokens = DirectTokens(CorpTokens(calls, CORP, SECRET))
        api = WxApi(http, base, tokens, peer="wecom", errors=WECOM_ERRORS)
        app, uploads = AppClient(api, AGENT), MediaUploads(MediaClient(api))
        with open_database(database_url) as database:
            made = Desk(Wecom(sandbox_server), database, MemberChannel(app, database, uploads))
            made.channel = MemberChannel(
                app, database, uploads, picture=made.picture, clock=lambda: made.now
            )
            yield made


async def test_an_answer_whose_acknowledgement_was_lost_is_shown_once(desk: Desk) -> None:
    delivery = await desk.add(text="七天内可以退货")
    desk.wecom.sandbox.fault("wecom", "lost_answer", count=1, request_kind=SEND)
    with pytest.raises(PeerUnavailable):
        await desk.channel.deliver(delivery)
    desk.pass_time(300)
    # Another process takes it over: it knows what the row says, nothing else.
    await desk.channel.deliver(await desk.claimed(delivery.message_id))
    assert desk.texts() == ["七天内可以退货"]


async def test_the_same_answer_to_another_question_is_shown(desk: Desk) -> None:
    for _ in range(2):
        await desk.channel.deliver(await desk.add(text="七天内可以退货"))
        desk.pass_time(5)
    assert desk.texts() == ["七天内可以退货"] * 2


async def test_an_answer_that_never_arrived_is_shown_by_the_next_attempt(desk: Desk) -> None:
    delivery = await desk.add(text="七天内可以退货")
    desk.wecom.sandbox.fault("wecom", "status", count=1, request_kind=SEND, status=502)
    with pytest.raises(PeerUnavailable):
        await desk.channel.deliver(delivery)
    assert desk.texts() == []
    await desk.channel.deliver(delivery)
    assert desk.texts() == ["七天内可以退货"]


async def test_where_the_platform_was_busy_the_answer_may_have_been_shown(desk: Desk) -> None:
    """It is looked for as far back as it was tried; after any other refusal it was not sent."""
    for errcode, reach in ((-1, 12), (45009, 1)):
        delivery = await desk.add(text=f"因 {errcode} 重发")
        desk.wecom.play("errcode", {"errcode": errcode, "request_kind": SEND, "count": 1})
        with pytest.raises(WxUnavailable):
            await desk.channel.deliver(delivery)
        desk.pass_time(10)
        desk.wecom.sandbox.clear_journal()
        await desk.channel.deliver(await desk.claimed(delivery.message_id))
        (call,) = desk.wecom.sandbox.journal("wecom", kind=SEND)
        assert call["body"]["duplicate_check_interval"] == reach


async def test_a_long_answer_is_cut_into_parts_and_goes_on_where_it_stopped(desk: Desk) -> None:
    words = "".join(f"第{number}条,说明如何退货。\n" for number in range(200))
    delivery = await desk.add(text=words)
    desk.wecom.sandbox.fault("wecom", "lost_answer", count=1, request_kind=SEND, after=1)
    with pytest.raises(PeerUnavailable):
        await desk.channel.deliver(delivery)
    await desk.channel.deliver(await desk.claimed(delivery.message_id))
    assert len(desk.texts()) > 2
    assert "".join(desk.texts()) == words.strip()
    assert all(len(one.encode()) <= 2_048 for one in desk.texts())


async def test_a_picture_is_shown_as_one_after_its_words(desk: Desk) -> None:
    await desk.channel.deliver(
        await desk.add(text="做好了,请查收", type="image", url=PICTURE, name="稿件.png")
    )
    words, picture = desk.seen()
    assert words["text"] == "做好了,请查收"
    assert picture["msgtype"] == "image"
    assert desk.wecom.fetch(picture["content"]["media_id"]).content == PNG


async def test_a_picture_whose_acknowledgement_was_lost_is_shown_once(desk: Desk) -> None:
    delivery = await desk.add(text="", type="image", url=PICTURE, name="稿件.png")
    desk.wecom.sandbox.fault("wecom", "lost_answer", count=1, request_kind=SEND)
    with pytest.raises(PeerUnavailable):
        await desk.channel.deliver(delivery)
    await desk.channel.deliver(await desk.claimed(delivery.message_id))
    assert [one["msgtype"] for one in desk.seen()] == ["image"]


async def test_a_picture_that_is_not_to_be_had_goes_out_as_its_address(desk: Desk) -> None:
    desk.gone.append(PICTURE)
    await desk.channel.deliver(await desk.add(text="", type="image", url=PICTURE, name="稿件.png"))
    (shown,) = desk.texts()
    assert shown == f"稿件.png {PICTURE}"


async def test_a_picture_that_the_platform_has_forgotten_is_uploaded_again(desk: Desk) -> None:
    await desk.channel.deliver(await desk.add(text="", type="image", url=PICTURE, name="a.png"))
    body = {"errcode": 40007, "request_kind": SEND, "count": 1}
    desk.wecom.play("errcode", body)
    delivery = await desk.add(text="", type="image", url=PICTURE, name="a.png")
    desk.pass_time(5)
    with pytest.raises(PeerUnavailable):
        await desk.channel.deliver(delivery)
    await desk.channel.deliver(delivery)
    first, second = (one["content"]["media_id"] for one in desk.seen())
    assert first != second


async def test_a_file_goes_out_as_its_address(desk: Desk) -> None:
    await desk.channel.deliver(await desk.add(text="合同", type="file", url="https://x/a.pdf"))
    assert desk.texts() == ["合同\nhttps://x/a.pdf"]


async def test_who_cannot_be_reached_makes_a_dead_letter(desk: Desk) -> None:
    desk.wecom.set("members", members=["wangwu"])
    with pytest.raises(PeerRejected, match="81013"):
        await desk.channel.deliver(await desk.add(text="在吗"))
    with pytest.raises(PeerRejected, match="空"):
        await desk.channel.deliver(await desk.add(text=""))


async def test_too_many_messages_in_a_minute_wait(desk: Desk) -> None:
    desk.wecom.set("app/settings", per_minute=1)
    await desk.channel.deliver(await desk.add(text="一"))
    delivery = await desk.add(text="二")
    with pytest.raises(WxUnavailable) as raised:
        await desk.channel.deliver(delivery)
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 60
    desk.pass_time(61)
    await desk.channel.deliver(delivery)
    assert desk.texts() == ["一", "二"]
