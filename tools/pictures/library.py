"""Finds an image: in a folder of pictures, or at a search service over HTTP.

The folder may hold ``tags.csv`` (``file,tag,tag,…`` a line) and, beside ``name.jpg``, a
``name.txt`` with tags; tags are parted by commas, semicolons, 、 or white space.
"""

import asyncio
import base64
import csv
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from domain.errors import InvalidInput, PeerUnavailable
from domain.pictures import PictureFacts, PictureKind
from domain.text import fold, letters
from tools import http_errors
from tools.pictures.decoding import Limits, decode, read_header
from tools.pictures.inspect import distance, perceptual_hash

log = logging.getLogger(__name__)

PEER = "image_search"
MAX_DISTANCE = 10
MAX_FILES = 200_000
_SAME = 4
"""Up to here two hashes mean one picture in two sizes; beyond, pictures that are alike."""
_HASHED_SIDE = 512
_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_PARTING = re.compile(r"[,,;;、\s]+")
_HASH = re.compile(r"[0-9a-f]{16}")
_MAX_TAG_BYTES = 65_536
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Found:
    """``path``: within the library's folder, or an address. ``distance``: bits in which the
    perceptual hashes differ, None where only the words matched."""

    path: str
    distance: int | None
    tags: tuple[str, ...]
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


class ImageFinder(Protocol):
    async def find(
        self, facts: PictureFacts | None, words: Sequence[str] = (), picture: bytes | None = None
    ) -> list[Found]:
        """Best first. Raises PeerUnavailable or PeerRejected."""
        ...

    async def read(self, found: Found) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """``phash`` is empty for a file that is no picture: it is not opened again."""

    mtime_ns: int
    size: int
    phash: str
    width: int
    height: int


@dataclass(slots=True)
class _Index:
    entries: dict[str, _Entry] = field(default_factory=dict)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    looked_at: float = float("-inf")


class PictureLibrary:
    """``folder``: the pictures. ``index_file``: where what is known of them is kept, so that only
    new and changed files are opened. ``rescan_seconds``: how old a look at the folder may be."""

    def __init__(
        self,
        folder: Path,
        index_file: Path,
        *,
        rescan_seconds: float = 60.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._file, self._rescan = folder, index_file, rescan_seconds
        self._limits, self._clock = limits or Limits(), clock
        self._lock = threading.Lock()
        self._index: _Index | None = None

    async def find(
        self, facts: PictureFacts | None, words: Sequence[str] = (), picture: bytes | None = None
    ) -> list[Found]:
        """Those that look alike first, the largest original before smaller ones; then by words."""
        return await asyncio.to_thread(self._find, facts, words)

    async def read(self, found: Found) -> bytes:
        """Raises InvalidInput where it is gone or lies outside the folder."""
        return await asyncio.to_thread(self._read, found.path)

    def _find(self, facts: PictureFacts | None, words: Sequence[str]) -> list[Found]:
        with self._lock:
            index = self._refreshed()
            alike = list(_alike(index, facts))
            paths = {found.path for found in alike}
            named = [found for found in _named(index, words) if found.path not in paths]
        alike.sort(key=lambda found: ((found.distance or 0) > _SAME, -found.pixels, found.path))
        named.sort(key=lambda found: (-found.pixels, found.path))
        return alike + named

    def _read(self, path: str) -> bytes:
        place = (self._folder / path).resolve()
        inside = place.is_relative_to(self._folder.resolve())
        if not inside or not place.is_file():
            raise InvalidInput("picture", "图库里已没有这张图片", status=404)
        return place.read_bytes()

    def _refreshed(self) -> _Index:
        index = self._index = self._index or _Index(_loaded(self._file))
        now = self._clock()
        if now - index.looked_at < self._rescan:
            return index
        before = index.entries
        index.entries, changed = {}, False
        for path, stat in _files(self._folder):
            known = before.get(path)
            if known is None or (known.mtime_ns, known.size) != (stat.st_mtime_ns, stat.st_size):
                known, changed = self._entry(path, stat), True
            index.entries[path] = known
        index.tags = _tags(self._folder, index.entries)
        index.looked_at = now
        if changed or len(before) != len(index.entries):
            _save(self._file, index.entries)
        return index

    def _entry(self, path: str, stat: os.stat_result) -> _Entry:
        phash, width, height = "", 0, 0
        try:
            if stat.st_size <= self._limits.max_bytes:
                data = (self._folder / path).read_bytes()
                header = read_header(data, self._limits)
                phash = perceptual_hash(decode(data, self._limits, max_side=_HASHED_SIDE))
                width, height = header.width, header.height
        except (OSError, InvalidInput) as error:
            log.warning("%r in the picture library cannot be used: %s", path, error)
        return _Entry(stat.st_mtime_ns, stat.st_size, phash, width, height)


def _alike(index: _Index, facts: PictureFacts | None) -> Iterator[Found]:
    # All blank pictures share a hash, which says nothing.
    if facts is None or not _HASH.fullmatch(facts.phash) or facts.kind is PictureKind.BLANK:
        return
    for path, entry in index.entries.items():
        if entry.phash and (apart := distance(facts.phash, entry.phash)) <= MAX_DISTANCE:
            yield Found(path, apart, index.tags.get(path, ()), entry.width, entry.height)


def _named(index: _Index, words: Sequence[str]) -> Iterator[Found]:
    """Those whose tags or name hold every word."""
    asked = [folded for word in words if (folded := letters(word))]
    for path, entry in index.entries.items() if asked else ():
        tags = index.tags.get(path, ())
        text = letters(" ".join((path.rpartition(".")[0], *tags)))
        if entry.phash and all(word in text for word in asked):
            yield Found(path, None, tags, entry.width, entry.height)


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    count = 0
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            place = Path(root, name)
            if place.suffix.lower() not in _ENDINGS or place.is_symlink():
                continue
            count += 1
            if count > MAX_FILES:
                log.warning("the picture library has over %d files; the rest is left", MAX_FILES)
                return
            try:
                yield place.relative_to(folder).as_posix(), place.stat()
            except FileNotFoundError:
                continue


def _tags(folder: Path, paths: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    listed = _listed_tags(folder / "tags.csv")
    found: dict[str, tuple[str, ...]] = {}
    for path in paths:
        beside = _text((folder / path).with_suffix(".txt"))
        tags = tuple(dict.fromkeys([*listed.get(path, ()), *_parted(beside)]))
        if tags:
            found[path] = tags
    return found


def _listed_tags(file: Path) -> dict[str, list[str]]:
    if not file.is_file():
        return {}
    rows = csv.reader(file.read_text("utf-8-sig", "replace").splitlines())
    return {row[0].strip().replace("\\", "/"): _parted(" ".join(row[1:])) for row in rows if row}


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_TAG_BYTES).decode("utf-8", "replace").lstrip("\ufeff")
    except OSError:
        return ""


def _parted(text: str) -> list[str]:
    return [tag for tag in _PARTING.split(fold(text)) if tag]


def _loaded(file: Path) -> dict[str, _Entry]:
    try:
        kept = json.loads(file.read_text("utf-8"))
        if kept["version"] != _VERSION:
            return {}
        return {path: _Entry(**entry) for path, entry in kept["entries"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("the picture library's index is made anew: %s", error)
        return {}


def _save(file: Path, entries: Mapping[str, _Entry]) -> None:
    """A crash leaves the old one or the new one; where it cannot be written, the next start looks
    at all pictures again."""
    kept = {"version": _VERSION, "entries": {path: asdict(e) for path, e in entries.items()}}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".library-")
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            json.dump(kept, opened)
        os.replace(name, file)
    except OSError as error:
        log.warning("the picture library's index cannot be kept: %s", error)


class ImageSearchClient:
    """A search service. Asked with ``POST {url}`` and JSON ``{"phash", "image" (base64), "words",
    "limit"}``; answers ``{"results": [{"url", "distance", "tags", "width", "height"}]}``, of which
    only ``url`` must be there. ``fetch`` gets the pictures."""

    def __init__(
        self,
        url: str,
        key: str | None,
        http: httpx.AsyncClient,
        fetch: Callable[[str], Awaitable[bytes]],
        *,
        timeout: float = 30.0,
        limit: int = 10,
    ) -> None:
        self._url, self._http, self._fetch = url, http, fetch
        self._timeout, self._limit = timeout, limit
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def find(
        self, facts: PictureFacts | None, words: Sequence[str] = (), picture: bytes | None = None
    ) -> list[Found]:
        image = await asyncio.to_thread(base64.b64encode, picture) if picture else b""
        asked = {
            "phash": facts.phash if facts else "",
            "image": image.decode(),
            "words": list(words),
            "limit": self._limit,
        }
        body = json.dumps(asked, ensure_ascii=False).encode("utf-8", "replace")
        answer = await http_errors.post(
            self._http, self._url, body, peer=PEER, timeout=self._timeout, headers=self._headers
        )
        return results_of(answer)[: self._limit]

    async def read(self, found: Found) -> bytes:
        return await self._fetch(found.path)


def results_of(answer: bytes) -> list[Found]:
    """Raises PeerUnavailable for what is no list of results."""
    try:
        rows = json.loads(answer)["results"]
        return [_found(row) for row in rows if isinstance(row["url"], str) and row["url"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PeerUnavailable(PEER, "its answer is no list of results") from error


def _found(row: Mapping[str, Any]) -> Found:
    apart = row.get("distance")
    tags = row.get("tags")
    return Found(
        path=row["url"],
        distance=int(apart) if isinstance(apart, int | float) else None,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        width=int(row.get("width") or 0),
        height=int(row.get("height") or 0),
    )
