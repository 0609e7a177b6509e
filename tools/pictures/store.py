"""Pictures as files, named by what is in them."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
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


@dataclass(frozen=True, slots=True)
class Stored:
    """``is_new``: False where the same bytes were there already."""

    sha256: str
    size_bytes: int
    header: Header
    is_new: bool


class PictureStore:
    """``folder`` is made when the first picture comes; several processes may share it."""

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
    ) -> None:
        self._folder = folder
        self.limits = Limits(max_bytes, max_pixels)

    def path(self, sha256: str) -> Path:
        """Where it is, or would be. Raises InvalidInput for what is no digest."""
        if not _SHA256.fullmatch(sha256):
            raise InvalidInput("picture", "图片编号应是 64 位十六进制数")
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    async def put(self, data: bytes) -> Stored:
        """Raises PictureRefused for what is no whole picture within the limits."""
        return await asyncio.to_thread(self._put, data)

    async def read(self, sha256: str) -> bytes:
        """Raises NotFound, also for a file that is not what it was."""
        return await asyncio.to_thread(self._read, self.path(sha256))

    async def holds(self, sha256: str) -> bool:
        return await asyncio.to_thread(self.path(sha256).exists)

    def _put(self, data: bytes) -> Stored:
        header = read_header(data, self.limits)
        sha256 = hashlib.sha256(data).hexdigest()
        place = self.path(sha256)
        is_new = not _holds(place, len(data))
        if is_new:
            decode(data, self.limits, max_side=_CHECK_SIDE)
            _write(place, data)
        return Stored(sha256, len(data), header, is_new)

    def _read(self, place: Path) -> bytes:
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            raise NotFound("picture", place.name) from None
        if hashlib.sha256(data).hexdigest() != place.name:
            raise NotFound("picture", place.name)
        return data


def _holds(place: Path, size: int) -> bool:
    try:
        return place.stat().st_size == size
    except FileNotFoundError:
        return False


def _write(place: Path, data: bytes) -> None:
    """A reader finds the whole file or none, after a power cut too."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".new-")
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
