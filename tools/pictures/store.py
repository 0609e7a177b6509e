"""Pictures as files, named by what is in them."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InvalidInput, NotFound
from tools.pictures.decoding import (
    MAX_BYTES,
    MAX_PIXELS,
    Header,
    Limits,
    PictureRefused,
    decode,
    read_header,
)

__all__ = ["PictureRefused", "PictureStore", "Stored"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECK_SIDE = 64
Check = Callable[[bytes], Awaitable[None]]
_HALF = ".new-"


@dataclass(frozen=True, slots=True)
class Stored:
    """``is_new``: False where the same bytes were there already."""

    sha256: str
    size_bytes: int
    header: Header
    is_new: bool


class PictureStore:
    """``folder`` is made when the first picture comes; several processes may share it. ``check``:
    refuses what cannot be decoded; None does so in a thread."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
        check: Check | None = None,
    ) -> None:
        self._folder = folder
        self.limits = Limits(max_bytes, max_pixels)
        self._check = check or self._decode

    def path(self, sha256: str) -> Path:
        """Where it is, or would be. Raises InvalidInput for what is no digest."""
        if not _SHA256.fullmatch(sha256):
            raise InvalidInput("picture", "图片编号应是 64 位十六进制数")
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    async def put(self, data: bytes) -> Stored:
        """Raises PictureRefused for what is no whole picture within the limits."""
        stored = await asyncio.to_thread(self._known, data)
        if stored.is_new:
            await self._check(data)
            await asyncio.to_thread(_write, self.path(stored.sha256), data)
        return stored

    async def read(self, sha256: str) -> bytes:
        """Raises NotFound, also for a file that is not what it was."""
        return await asyncio.to_thread(self._read, self.path(sha256))

    async def holds(self, sha256: str) -> bool:
        return await asyncio.to_thread(self.path(sha256).exists)

    async def older(self, before: float) -> list[str]:
        """What has not come, nor come again, since ``before`` (epoch seconds)."""
        return await asyncio.to_thread(self._older, before)

    async def remove(self, sha256: str, *, before: float) -> bool:
        """Unless it has come again since ``before``."""
        return await asyncio.to_thread(_removed, self.path(sha256), before)

    def _older(self, before: float) -> list[str]:
        """Also removes what a crash left half written."""
        found: list[str] = []
        for root, _, names in os.walk(self._folder):
            for name in names:
                if _SHA256.fullmatch(name):
                    found += [name] if _is_older(Path(root, name), before) else []
                elif name.startswith(_HALF):
                    _removed(Path(root, name), before)
        return found

    def _known(self, data: bytes) -> Stored:
        """As it will be when it is kept."""
        header = read_header(data, self.limits)
        sha256 = hashlib.sha256(data).hexdigest()
        return Stored(sha256, len(data), header, not _holds(self.path(sha256), len(data)))

    async def _decode(self, data: bytes) -> None:
        await asyncio.to_thread(decode, data, self.limits, max_side=_CHECK_SIDE)

    def _read(self, place: Path) -> bytes:
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            raise NotFound("picture", place.name) from None
        if hashlib.sha256(data).hexdigest() != place.name:
            raise NotFound("picture", place.name)
        return data


def _holds(place: Path, size: int) -> bool:
    """What has come again is as good as new: `PictureStore.remove` lets it be."""
    try:
        if place.stat().st_size != size:
            return False
        with contextlib.suppress(PermissionError):
            os.utime(place)
    except FileNotFoundError:
        return False
    return True


def _is_older(place: Path, before: float) -> bool:
    try:
        return place.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _removed(place: Path, before: float) -> bool:
    if not _is_older(place, before):
        return False
    place.unlink(missing_ok=True)
    return True


def _write(place: Path, data: bytes) -> None:
    """A reader finds the whole file or none, after a power cut too."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=_HALF)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, place)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
