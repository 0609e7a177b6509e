"""Temporary media: up for sending, down for reading (reference wecom.md, 3.7)."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from domain.errors import PeerRejected, PeerUnavailable
from tools.wecom.answers import text
from tools.wecom.errors import PEER
from tools.wx.api import Download, WxApi

Kind = Literal["image", "voice", "video", "file"]
LIFETIME_S = 3 * 86_400.0
_SPARE_S = 3_600.0
"""What is sent just before its end must still be shown."""
_MIN_BYTES = 6
_MOST_BYTES: dict[Kind, int] = {
    "image": 10 << 20,
    "voice": 2 << 20,
    "video": 10 << 20,
    "file": 20 << 20,
}
_MAX_KEPT = 10_000


class MediaClient:
    """Every method raises PeerUnavailable (again later) or PeerRejected (never again)."""

    def __init__(self, api: WxApi) -> None:
        self._api = api

    async def upload(self, kind: Kind, filename: str, data: bytes) -> str:
        """Its media_id, good for three days. Images are JPEG or PNG, voice is AMR."""
        if not _MIN_BYTES <= len(data) <= _MOST_BYTES[kind]:
            most = _MOST_BYTES[kind] >> 20
            raise PeerRejected(
                PEER, f"{kind} 有 {len(data)} 字节，应为 {_MIN_BYTES} 字节到 {most} MB"
            )
        answer = await self._api.upload("/media/upload", "media", filename, data, type=kind)
        media_id = text(answer, "media_id")
        if not media_id:
            raise PeerUnavailable(PEER, "its answer holds no media_id")
        return media_id

    async def download(self, media_id: str) -> Download:
        return await self._api.download("/media/get", media_id=media_id)

    async def content(self, media_id: str) -> bytes:
        return (await self.download(media_id)).data


@dataclass(frozen=True, slots=True)
class _Kept:
    media_id: str
    until: float


class MediaUploads:
    """Uploads the same content once in three days, at the same time too."""

    def __init__(self, client: MediaClient, *, clock: Callable[[], float] = time.time) -> None:
        self._client, self._clock = client, clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._running: dict[str, asyncio.Task[str]] = {}

    async def media_id(self, data: bytes, filename: str, kind: Kind = "image") -> str:
        """Raises PeerUnavailable or PeerRejected."""
        key = f"{kind}:{await asyncio.to_thread(_digest, data)}"
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            return kept.media_id
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._upload(key, kind, filename, data))
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def forget(self, media_id: str) -> None:
        """It was refused: the next one is uploaded anew."""
        for key in [key for key, kept in self._kept.items() if kept.media_id == media_id]:
            del self._kept[key]

    async def _upload(self, key: str, kind: Kind, filename: str, data: bytes) -> str:
        until = self._clock() + LIFETIME_S - _SPARE_S
        media_id = await self._client.upload(kind, filename, data)
        self._kept[key] = _Kept(media_id, until)
        self._kept.move_to_end(key)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return media_id

    def _ended(self, key: str, task: "asyncio.Task[str]") -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; perhaps nobody does any more


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
