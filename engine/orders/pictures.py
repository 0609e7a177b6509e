"""Pictures as the service hands them in and out."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from domain.pictures import PictureFacts
from tools.pictures.decoding import read_header
from tools.pictures.store import PictureStore

_SOURCE = "picture:{sha256}"
_TYPES = {"MPO": "image/jpeg"}


class Looks(Protocol):
    """As `tools.pictures.intake.Pictures.look`."""

    async def __call__(
        self, source: str | bytes, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts: ...


@dataclass(frozen=True, slots=True)
class Shown:
    data: bytes
    content_type: str


class PictureDesk:
    """``deadline_s``: how long an upload waits for its text to be read; it is read anyway."""

    def __init__(self, store: PictureStore, look: Looks, *, deadline_s: float = 5.0) -> None:
        self._store, self._look, self._deadline_s = store, look, deadline_s

    @property
    def max_bytes(self) -> int:
        return self._store.limits.max_bytes

    async def take(self, data: bytes) -> tuple[PictureFacts, bool]:
        """Facts, and whether the picture is new. Raises PictureRefused."""
        stored = await self._store.put(data)
        source = _SOURCE.format(sha256=stored.sha256)
        facts = await self._look(source, deadline_s=self._deadline_s)
        return facts, stored.is_new

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
