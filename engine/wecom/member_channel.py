"""Answers to members: messages of the application, every part of an answer once."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from domain.errors import KefuError, PeerRejected, PeerUnavailable
from engine.wecom.kf_words import split, words_of
from storage import passive
from storage.database import Database
from storage.outbox import Delivery
from tools.wecom.app import MAX_TEXT_BYTES, AppClient
from tools.wecom.errors import BAD_MEDIA_ID, BUSY, PEER
from tools.wecom.media import MediaUploads
from tools.wx.errors import WxRejected, WxUnavailable

log = logging.getLogger(__name__)
PATIENCE_S = 7_200.0
"""How long an answer to a member is tried to be sent."""
_AT_ONCE_S, _SLACK_S = 1, 2
"""A call may be taken later than it was made, and they count whole seconds."""
Picture = Callable[[str], Awaitable[bytes]]
"""The picture at an address of a deliverable. Raises KefuError."""


class MemberChannel:
    """The platform takes no id of a message, but shows the same words within a given time only
    once. That time reaches back to the first attempt, so that a part whose answer was lost is not
    shown again, and the same answer to another question is.
    """

    def __init__(
        self,
        app: AppClient,
        database: Database,
        uploads: MediaUploads,
        *,
        picture: Picture | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._database, self._uploads = app, database, uploads
        self._picture, self._clock = picture, clock

    async def deliver(self, delivery: Delivery) -> None:
        """Raises PeerUnavailable or PeerRejected."""
        payload = delivery.payload
        shows = self._picture is not None and payload.get("type") == "image" and payload.get("url")
        words = str(payload.get("text", "")) if shows else words_of(payload)
        texts = split(words, MAX_TEXT_BYTES)
        if not texts and not shows:
            raise PeerRejected(PEER, "消息内容为空")
        for number in range(_part_of(payload), len(texts) + bool(shows)):
            repeated_s = await self._begin(delivery, number)
            try:
                if number < len(texts):
                    await self._say(payload, texts[number], repeated_s)
                else:
                    await self._show(payload, repeated_s)
            except (WxRejected, WxUnavailable) as error:
                if repeated_s == _AT_ONCE_S and error.errcode != BUSY:
                    await self._note(delivery, {"part": number})
                raise

    async def _begin(self, delivery: Delivery, number: int) -> int:
        """What comes before part ``number`` was sent. Returns how many seconds ago it may have
        been sent itself."""
        now, trying = self._clock(), delivery.payload.get("trying", {})
        if trying.get("part") == number and "since" in trying:
            since = float(trying["since"])
            return math.ceil(max(0.0, now - since)) + _SLACK_S
        await self._note(delivery, {"part": number, "since": now})
        return _AT_ONCE_S

    async def _note(self, delivery: Delivery, trying: dict[str, Any]) -> None:
        """``since``: when a part was first tried that has not been refused."""
        delivery.payload["trying"] = trying
        noted = dict(delivery.payload)
        await self._database.write(
            lambda c: passive.note_progress(c, delivery.id, noted), key=delivery.queue
        )

    async def _say(self, payload: dict[str, Any], text: str, repeated_s: int) -> None:
        _check(await self._app.send_text([payload["to"]], text, repeated_s=repeated_s))

    async def _show(self, payload: dict[str, Any], repeated_s: int) -> None:
        """The picture as such where it can be had, else its address."""
        try:
            media_id = await self._uploaded(payload)
        except PeerRejected as error:
            log.warning("a picture goes out as an address: %s", error)
        except KefuError as error:
            log.warning("a picture is not to be had, its address goes out: %s", error)
        else:
            await self._show_uploaded(payload, media_id, repeated_s)
            return
        await self._say(payload, words_of(payload | {"text": ""}), repeated_s)

    async def _uploaded(self, payload: dict[str, Any]) -> str:
        assert self._picture is not None
        data = await self._picture(str(payload["url"]))
        return await self._uploads.media_id(data, str(payload.get("name") or "picture.png"))

    async def _show_uploaded(self, payload: dict[str, Any], media_id: str, repeated_s: int) -> None:
        try:
            missed = await self._app.send_image([payload["to"]], media_id, repeated_s=repeated_s)
        except WxRejected as error:
            if error.errcode != BAD_MEDIA_ID:
                raise
            self._uploads.forget(media_id)
            raise PeerUnavailable(PEER, "图片素材已失效，重新上传") from error
        _check(missed)


def _part_of(payload: dict[str, Any]) -> int:
    """The first part that may not have been sent."""
    trying = payload.get("trying")
    return int(trying["part"]) if trying is not None else 0


def _check(missed: tuple[str, ...]) -> None:
    """Of one receiver there is nobody else who got it."""
    if missed:
        raise PeerRejected(PEER, f"成员 {missed[0]} 收不到应用消息，请核对可见范围与许可")
