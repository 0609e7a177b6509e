"""Styles, scripts and the icon under /assets/console/, each named after its content."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

ASSETS_PATH = "/assets/console"
_FOLDER = resources.files("api.console") / "static"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
_HASH_CHARS = 12
_FOREVER = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}
router = APIRouter(prefix=ASSETS_PATH)


@dataclass(frozen=True, slots=True)
class Asset:
    """``address`` changes with ``data``, so that it may be kept for ever."""

    name: str
    address: str
    media_type: str
    data: bytes


@functools.cache
def assets() -> Mapping[str, Asset]:
    """By file name. A script's imports of its neighbours become their addresses."""
    sources = {
        item.name: item.read_bytes()
        for item in _FOLDER.iterdir()
        if item.name.rpartition(".")[2] in _TYPES
    }
    made: dict[str, Asset] = {}
    for name in sorted(sources, key=lambda name: _imports(sources, name)):
        data = sources[name]
        for known in made.values():
            data = data.replace(f'"./{known.name}"'.encode(), f'"{known.address}"'.encode())
        made[name] = _asset(name, data)
    return made


def _imports(sources: Mapping[str, bytes], name: str) -> int:
    """How deep its imports go: those without any come first."""
    used = [other for other in sources if f'"./{other}"'.encode() in sources[name]]
    return 1 + max((_imports(sources, other) for other in used), default=0)


def _asset(name: str, data: bytes) -> Asset:
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(data).hexdigest()[:_HASH_CHARS]
    return Asset(name, f"{ASSETS_PATH}/{stem}.{digest}.{kind}", _TYPES[kind], data)


def address_of(name: str) -> str:
    return assets()[name].address


@functools.cache
def _by_address() -> Mapping[str, Asset]:
    return {asset.address: asset for asset in assets().values()}


@router.get("/{name}", include_in_schema=False)
async def asset(name: str) -> Response:
    found = _by_address().get(f"{ASSETS_PATH}/{name}")
    if found is None:
        raise HTTPException(404)
    return Response(found.data, media_type=found.media_type, headers=_FOREVER)
