"""Temporary media: uploaded, referred to by id for three days, fetched."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from sandbox.wx.calls import Clock, require

LIFETIME_S = 3 * 86_400.0
MIB = 1_048_576
BAD_MEDIA_TYPE, BAD_TYPE_PARAMETER, BAD_MEDIA_ID, EMPTY_MEDIA, TOO_LARGE_MEDIA = (
    40004,
    40005,
    40007,
    44001,
    45001,
)
MOST_BYTES = {"image": 10 * MIB, "voice": 2 * MIB, "video": 10 * MIB, "file": 20 * MIB}
FROM_CUSTOMER_BYTES = {"image": 2 * MIB, "voice": 2 * MIB, "video": 10 * MIB, "file": 20 * MIB}
LEAST_BYTES = 6
_MAX_ITEMS = 2_000
_MAX_BYTES = 256 * MIB
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".amr": "audio/amr",
    ".mp4": "video/mp4",
}
_BEGINNINGS = {
    "image": (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"),
    "voice": (b"#!AMR", b"\x02#!SILK", b"#!SILK"),
}


@dataclass(frozen=True, slots=True)
class Media:
    kind: str
    name: str
    data: bytes
    at: float

    @property
    def media_type(self) -> str:
        suffix = PurePosixPath(self.name).suffix.lower()
        return _MEDIA_TYPES.get(suffix, "application/octet-stream")


class MediaStore:
    """Of more than its bound it forgets the oldest. ``most_bytes``: by kind, in an upload."""

    def __init__(self, clock: Clock, most_bytes: Mapping[str, int] = MOST_BYTES) -> None:
        self._clock, self._most_bytes = clock, most_bytes
        self._kept: OrderedDict[str, Media] = OrderedDict()
        self._bytes = 0

    def upload(self, kind: str, name: str, data: bytes) -> tuple[str, float]:
        """What the service uploads: its id, and when it came. Raises Refused."""
        require(kind in self._most_bytes, BAD_TYPE_PARAMETER, "invalid type parameter", "media")
        require(len(data) >= LEAST_BYTES, EMPTY_MEDIA, "empty media data", "media")
        fits = len(data) <= self._most_bytes[kind]
        require(fits, TOO_LARGE_MEDIA, "media size exceed limit", "media")
        right = kind not in _BEGINNINGS or data.startswith(_BEGINNINGS[kind])
        right = right and (kind != "video" or data[4:8] == b"ftyp")
        require(right, BAD_MEDIA_TYPE, "invalid media type", "media")
        return self.keep(kind, name, data), self._clock.now()

    def keep(self, kind: str, name: str, data: bytes) -> str:
        media_id = "3" + secrets.token_urlsafe(48)
        self._kept[media_id] = Media(kind, name, data, self._clock.now())
        self._bytes += len(data)
        while len(self._kept) > _MAX_ITEMS or self._bytes > _MAX_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return media_id

    def get(self, media_id: str, kind: str | None = None) -> Media:
        """Raises Refused if there is none (any more), or none of that kind."""
        found = self._kept.get(media_id)
        fresh = found is not None and self._clock.now() - found.at < LIFETIME_S
        require(fresh, BAD_MEDIA_ID, "invalid media_id", "media")
        assert found is not None
        require(kind in (None, found.kind), BAD_MEDIA_ID, "media_id of another type", "media")
        return found

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0
