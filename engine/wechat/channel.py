"""Answers that did not leave in a response: customer-service messages, within the quota."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from domain.errors import KefuError, PeerRejected
from storage import passive, reply_windows
from storage.database import Database
from storage.outbox import Delivery
from tools.wechat.client import WechatClient
from tools.wechat.errors import PEER, QUOTA_SPENT, WINDOW_CLOSED
from tools.wechat.media import WechatMedia
from tools.wechat.messages import CHANNEL, parts_of
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
_SHUT = frozenset({QUOTA_SPENT, WINDOW_CLOSED})
Picture = Callable[[str], Awaitable[bytes]]
"""The picture at an address of a deliverable. Raises KefuError."""


class NoPush:
    """An account without customer-service messages: what no response has carried is lost."""

    async def deliver(self, delivery: Delivery) -> None:
        raise PeerRejected(PEER, "未配置 APPSECRET，且客户没有再来信，回复无法送达")


class WechatChannel:
    """The platform takes no id of a message. Parts that were sent are noted, so that a retry sends
    the rest; the one part whose answer was lost may be shown twice."""

    def __init__(
        self,
        database: Database,
        client: WechatClient,
        media: WechatMedia,
        picture: Picture,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._client, self._media = database, client, media
        self._picture, self._clock = picture, clock

    async def deliver(self, delivery: Delivery) -> None:
        parts = await self._parts(delivery.payload)
        names = [f"{delivery.message_id}:{at}" for at in range(len(parts))]
        whose = Whose(CHANNEL, delivery.account, delivery.payload["to"])
        now = self._clock()
        grant = await self._database.write(
            lambda c: reply_windows.reserve(c, whose, names, now=now, spare=0)
        )
        for at in range(delivery.payload.get("parts_sent", 0), len(grant.ids)):
            await self._send(whose, parts[at])
            await self._note(delivery, at + 1)
        if len(grant.ids) < len(parts):
            why = "客服消息条数已达上限" if grant.is_open else "客户来信已超过 48 小时或已取消关注"
            raise PeerRejected(
                PEER, f"{why}，需等客户再次来信（已发 {len(grant.ids)}/{len(parts)}）"
            )

    async def _send(self, whose: Whose, part: dict[str, str]) -> None:
        try:
            if "media_id" in part:
                await self._client.send_image(whose.sender_id, part["media_id"])
            else:
                await self._client.send_text(whose.sender_id, part["text"])
        except WxRejected as error:
            await self._learn(whose, error.errcode)
            raise

    async def _learn(self, whose: Whose, errcode: int) -> None:
        """The platform counts too, and knows better."""
        now = self._clock()
        if errcode == QUOTA_SPENT:
            await self._database.write(lambda c: reply_windows.exhaust(c, whose))
        elif errcode == WINDOW_CLOSED:
            await self._database.write(lambda c: reply_windows.close(c, whose, now=now))

    async def _note(self, delivery: Delivery, sent: int) -> None:
        delivery.payload["parts_sent"] = sent
        payload = dict(delivery.payload)
        await self._database.write(
            lambda c: passive.note_progress(c, delivery.id, payload), key=delivery.queue
        )

    async def _parts(self, payload: dict[str, Any]) -> list[dict[str, str]]:
        texts = parts_of(str(payload.get("text", "")))
        parts = [{"text": text} for text in texts]
        if payload.get("url"):
            parts.append(await self._file(payload))
        if not parts:
            raise PeerRejected(PEER, "there is nothing to send")
        return parts

    async def _file(self, payload: dict[str, Any]) -> dict[str, str]:
        """A picture as such where it can be had, else its address."""
        url, name = str(payload["url"]), str(payload.get("name", ""))
        if payload.get("type") == "image":
            try:
                media_id = await self._media.upload_image(name, await self._picture(url))
                return {"media_id": media_id}
            except PeerRejected as error:
                log.warning("a picture goes out as an address: %s", error)
            except KefuError as error:
                log.warning("a picture is not to be had, its address goes out: %s", error)
        return {"text": f"{name}：{url}" if name else url}
