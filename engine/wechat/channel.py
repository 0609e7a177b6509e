"""Answers that did not leave in a response: customer-service messages, within the quota."""

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from domain.errors import KefuError, PeerRejected, PeerUnavailable
from engine.wechat.orders import TEMPLATE
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
PATIENCE_S = 48 * 3_600.0
Picture = Callable[[str], Awaitable[bytes]]
"""The picture at an address of a deliverable. Raises KefuError."""


class NoPush:
    """An account without customer-service messages: what is to be said waits for a response, which
    carries texts only."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    async def deliver(self, delivery: Delivery) -> None:
        payload = delivery.payload
        waits = float(payload.get("created_at", 0.0)) + PATIENCE_S - self._clock()
        if delivery.kind == "message" and not payload.get("url") and waits > 0:
            raise PeerUnavailable(PEER, "未配置 APPSECRET，等客户再次来信时回复", retry_after=waits)
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
        if delivery.kind == TEMPLATE:
            await self._notify(delivery)
            return
        parts = await self._parts(delivery.payload)
        sent = int(delivery.payload.get("parts_sent", 0))
        granted = sent + await self._granted(delivery, range(sent, len(parts)))
        for at in range(sent, granted):
            await self._send(delivery, parts[at])
            await self._note(delivery, at + 1)
        if granted < len(parts):
            why = "48 小时内的客服消息条数已达上限，或客户已取消关注，需等客户再次来信"
            raise PeerRejected(PEER, f"{why}（已发 {granted}/{len(parts)}）")

    async def _notify(self, delivery: Delivery) -> None:
        payload = delivery.payload
        key = hashlib.blake2b(delivery.message_id.encode(), digest_size=16).hexdigest()
        await self._client.send_template(
            payload["to"], payload["template_id"], payload["data"], key=key
        )

    async def _granted(self, delivery: Delivery, parts: range) -> int:
        """How many of ``parts``, which are numbers, the platform lets us send."""
        whose, now = (CHANNEL, delivery.account, str(delivery.payload["to"])), self._clock()

        def unit(connection: Connection) -> int:
            for count, at in enumerate(parts):
                name = f"{delivery.message_id}:{at}"
                if not reply_windows.spend(connection, *whose, name, now=now):
                    return count
            return len(parts)

        return await self._database.write(unit)

    async def _send(self, delivery: Delivery, part: dict[str, str]) -> None:
        to = str(delivery.payload["to"])
        try:
            if "media_id" in part:
                await self._client.send_image(to, part["media_id"])
            else:
                await self._client.send_text(to, part["text"])
        except WxRejected as error:
            if error.errcode in _SHUT:
                await self._shut(delivery.account, to)
            raise

    async def _shut(self, account: str, to: str) -> None:
        """The platform counts too, and knows better."""
        now = self._clock()
        await self._database.write(
            lambda c: reply_windows.close_window(c, CHANNEL, account, to, now=now)
        )

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
