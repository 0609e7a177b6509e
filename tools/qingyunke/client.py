"""Asks Qingyunke for small talk: ``GET api.php?key=free&appid=0&msg=…``.

It answers ``{"result": 0, "content": "…"}`` with line breaks as ``{br}`` and faces as ``{face:1}``,
labelled text/html. Nobody pays for it and it promises nothing: callers must be able to do without.
"""

import json
import re
import time
from collections.abc import Callable

import httpx

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from tools import http_errors

PEER = "qingyunke"
TIMEOUT_S = 3.0
FAILURES, REST_S = 3, 60.0
"""After so many failures in a row it is left alone for so many seconds."""
_MAX_BYTES = 16_384
_BREAK = re.compile(r"\{br\}", re.IGNORECASE)
_MARKUP = re.compile(r"\{[^{}]{0,20}\}|<[^<>]{0,200}>")


class Qingyunke:
    """``timeout``: seconds of one whole call. ``http`` belongs to the caller."""

    def __init__(
        self,
        url: str,
        http: httpx.AsyncClient,
        timeout: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._http, self._timeout, self._clock = url, http, timeout, clock
        self._failures, self._rests_until = 0, 0.0

    async def say(self, words: str) -> str:
        """Its answer to ``words``, which anybody may read. Raises PeerUnavailable or
        PeerRejected."""
        if self._clock() < self._rests_until:
            raise PeerUnavailable(PEER, "is left alone after failures")
        try:
            said = said_in(await self._ask(words))
        except PeerError:
            self._failures += 1
            if self._failures >= FAILURES:
                self._failures, self._rests_until = 0, self._clock() + REST_S
            raise
        self._failures = 0
        return said

    async def _ask(self, words: str) -> bytes:
        return await http_errors.request(
            self._http,
            "GET",
            self._url,
            peer=PEER,
            timeout=self._timeout,
            headers={"Accept": "application/json"},
            max_bytes=_MAX_BYTES,
            params={"key": "free", "appid": "0", "msg": words},
        )


def said_in(answer: bytes) -> str:
    """Its words without markup. Raises PeerRejected for what is no answer."""
    try:
        body = json.loads(answer)
    except ValueError:
        raise PeerRejected(PEER, "the answer is no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("content"), str):
        raise PeerRejected(PEER, "the answer has no content")
    if body.get("result") != 0:
        raise PeerRejected(PEER, f"result {body.get('result')!r}")
    return _MARKUP.sub("", _BREAK.sub("\n", body["content"])).strip()
