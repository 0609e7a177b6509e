"""An OpenAI-compatible images API: a picture and a request in, a picture out.

``POST {url}/images/edits`` (multipart) and ``POST {url}/images/generations`` (JSON); answers with
``b64_json`` or ``url`` members, as GPT image models, DALL-E's successors and self-hosted ones give.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from domain.errors import ConfigurationError, PeerRejected, PeerUnavailable
from domain.placeholders import masked
from tools.http_errors import error_of_transport, request

PEER = "images"
MAX_SENT_BYTES = 20 * 1024 * 1024
MAX_PICTURE_BYTES = 30 * 1024 * 1024
MAX_PROMPT_CHARS = 4_000
_MAX_ANSWER_BYTES = MAX_PICTURE_BYTES * 4 // 3 + 65_536
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_MEDIA = {
    "JPEG": ("jpg", "image/jpeg"),
    "PNG": ("png", "image/png"),
    "WEBP": ("webp", "image/webp"),
}
_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"RIFF", "WEBP"))

FetchPicture = Callable[[str], Awaitable[bytes]]
"""Fetches an address that the provider answered with: `PictureFetcher.fetch`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``transparent``: the background is to go. ``size``: ``1024x1024`` or ``auto``."""

    prompt: str
    size: str = "auto"
    transparent: bool = False


class ImagesClient:
    """``url`` is the API's base, e.g. ``https://host/v1``. ``timeout``: seconds for the whole call.

    Raises PeerUnavailable (time-out, 429, 5xx, an unreadable answer) or PeerRejected (any other
    refusal, such as moderation). The key is in no error, also where the peer repeats it.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        model: str,
        http: httpx.AsyncClient,
        fetch: FetchPicture,
        *,
        timeout: float = 120.0,
    ) -> None:
        if key is not None and not _KEY.fullmatch(key):
            raise ConfigurationError(
                "KEFU_IMAGES_API_KEY", "no HTTP header can carry it", "visible ASCII characters"
            )
        self._url, self._model, self._http = url.rstrip("/"), model, http
        self._fetch, self._timeout, self._key = fetch, timeout, key

    async def edit(self, picture: bytes, asked: Asked) -> bytes:
        """``picture``: JPEG, PNG or WebP."""
        kind = next((kind for magic, kind in _MAGIC if picture.startswith(magic)), None)
        if kind is None or len(picture) > MAX_SENT_BYTES:
            raise PeerRejected(PEER, "takes JPEG, PNG or WebP of at most 20 MB")
        suffix, media = _MEDIA[kind]
        files = {"image": (f"picture.{suffix}", picture, media)}
        return await self._picture("/images/edits", data=self._fields(asked), files=files)

    async def generate(self, asked: Asked) -> bytes:
        return await self._picture("/images/generations", json=self._fields(asked) | {"n": 1})

    def _fields(self, asked: Asked) -> dict[str, Any]:
        fields = {"model": self._model, "prompt": masked(asked.prompt)[:MAX_PROMPT_CHARS]}
        fields |= {"size": asked.size} if asked.size else {}
        return fields | ({"background": "transparent"} if asked.transparent else {})

    async def _picture(self, path: str, **sent: Any) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                found = first_picture(await self._call(path, **sent))
                data = found if isinstance(found, bytes) else await self._fetch(found)
        except (httpx.HTTPError, TimeoutError) as error:
            raise error_of_transport(PEER, error) from error
        if len(data) > MAX_PICTURE_BYTES:
            raise PeerUnavailable(PEER, "answered with a picture that is too large")
        return data

    async def _call(self, path: str, **sent: Any) -> bytes:
        answer = await request(
            self._http,
            "POST",
            self._url + path,
            peer=PEER,
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            max_bytes=_MAX_ANSWER_BYTES + 1,
            reason_of=_reason,
            secret=self._key,
            **sent,
        )
        if len(answer) > _MAX_ANSWER_BYTES:
            raise PeerUnavailable(PEER, "its answer is too long")
        return answer


def first_picture(answer: bytes) -> bytes | str:
    """Its bytes, or the address where it is. Raises PeerUnavailable for anything else."""
    try:
        found = json.loads(answer)["data"][0]
        if isinstance(found.get("b64_json"), str):
            return base64.b64decode(found["b64_json"], validate=True)
        if isinstance(found.get("url"), str) and found["url"]:
            return str(found["url"])
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error, RecursionError):
        pass
    raise PeerUnavailable(PEER, "its answer holds no picture")


def _reason(answer: bytes) -> str:
    text = answer[:4_096].decode("utf-8", "replace")
    try:
        error: Mapping[str, Any] = json.loads(text)["error"]
        code, message = error.get("code"), error.get("message")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return text
    return f"{code}: {message}" if code else str(message)
