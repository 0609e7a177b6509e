"""Pictures as the service hands them in and out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.pictures import PictureFacts
from tools.pictures.decoding import read_header
from tools.pictures.store import PictureStore, Stored

Inspects = Callable[[Stored], Awaitable[PictureFacts]]
"""Facts of a stored picture, kept for later."""

_TYPES = {"MPO": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Shown:
    data: bytes
    content_type: str


class PictureDesk:
    def __init__(self, store: PictureStore, inspect: Inspects) -> None:
        self._store, self._inspect = store, inspect

    @property
    def max_bytes(self) -> int:
        return self._store.limits.max_bytes

    async def take(self, data: bytes) -> tuple[PictureFacts, bool]:
        """Facts, and whether the picture is new. Raises PictureRefused."""
        stored = await self._store.put(data)
        return await self._inspect(stored), stored.is_new

    async def show(self, sha256: str) -> Shown:
        """Raises NotFound, and InvalidInput for what names no picture."""
        data = await self._store.read(sha256)
        return await asyncio.to_thread(self._shown, data)

    def has(self, sha256: str) -> bool:
        """Reads the disk: to be called where that may block."""
        return self._store.path(sha256).is_file()

    def _shown(self, data: bytes) -> Shown:
        kind = read_header(data, self._store.limits).format
        return Shown(data, _TYPES.get(kind.upper(), f"image/{kind.lower()}"))
