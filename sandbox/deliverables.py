"""Files that simulated designers hand over, kept within a bound and shown to whoever asks."""

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from PIL import Image, ImageDraw

_MAX_FILES = 200
_MAX_BYTES = 128 * 1024 * 1024
_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_ANY = "application/octet-stream"
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


@dataclass(frozen=True, slots=True)
class Deliverable:
    data: bytes
    media_type: str

    @property
    def headers(self) -> dict[str, str]:
        """Pictures are shown; all else is handed out and never run."""
        shown = self.media_type != _ANY
        return _SAFE if shown else _SAFE | {"Content-Disposition": "attachment"}


class Deliverables:
    """By path: ``{digest}/{name}``. Of more than the bound the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Deliverable] = OrderedDict()
        self._bytes = 0

    def keep(self, name: str, data: bytes) -> str:
        """Its path, fit for an address."""
        name = PurePosixPath(name.replace("\\", "/")).name.strip(". ")[-100:] or "file"
        media_type = _MEDIA.get(PurePosixPath(name).suffix.lower(), _ANY)
        path = f"{hashlib.sha256(data).hexdigest()[:16]}/{name}"
        if path not in self._kept:
            self._kept[path] = Deliverable(data, media_type)
            self._bytes += len(data)
        while len(self._kept) > _MAX_FILES or self._bytes > _MAX_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return quote(path)

    def get(self, path: str) -> Deliverable | None:
        return self._kept.get(path)

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


def drawn_for(task_id: str) -> bytes:
    """What a simulated designer makes: a picture that is this task's and no other's."""
    digest = hashlib.sha256(task_id.encode()).digest()
    image = Image.new("RGB", (640, 480), (digest[0], digest[1], digest[2]))
    inner = (80 + digest[3] // 4, 80, 560, 400 - digest[4] // 4)
    colour = (255 - digest[0], 255 - digest[1], 255 - digest[2])
    ImageDraw.Draw(image).ellipse(inner, fill=colour)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
