"""The messages of customer service accounts: appended, and read from opaque cursors on."""

import base64
import binascii
import hashlib
import os
import secrets
from collections import deque
from dataclasses import dataclass
from itertools import islice

from sandbox.wecom.api import BAD_PARAMETER
from sandbox.wx.calls import JsonObject, Refused

KEPT_S = 3 * 86_400.0
ALL = ""
_DIGEST = 12


@dataclass(frozen=True, slots=True)
class _Logged:
    message: JsonObject
    send_time: float


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[JsonObject]
    next_cursor: str
    has_more: bool


class KfLog:
    """By account, and of all accounts under ``ALL``; each has cursors of its own. Of more than
    ``max_messages`` an account's oldest are forgotten."""

    def __init__(self, max_messages: int) -> None:
        self._max = max_messages
        self._logs: dict[str, deque[_Logged]] = {}
        self._forgotten: dict[str, int] = {}
        self._key = os.urandom(32)

    def add(self, open_kfid: str, message: JsonObject, send_time: float) -> None:
        for scope in (open_kfid, ALL):
            log = self._logs.setdefault(scope, deque())
            log.append(_Logged(message, send_time))
            if len(log) > self._max:
                log.popleft()
                self._forgotten[scope] = self._forgotten.get(scope, 0) + 1

    def page(self, scope: str, cursor: str, limit: int, *, oldest: float, repeat: int = 0) -> Page:
        """Up to ``limit`` messages sent since ``oldest``; the page may begin with up to ``repeat``
        that were there before. Raises Refused."""
        log, base = self._logs.get(scope, deque()), self._forgotten.get(scope, 0)
        start = max(self._position(scope, cursor) - base, 0)
        start = max(start - repeat, 0) if cursor else start
        taken = list(islice(log, start, start + limit))
        end = start + len(taken)
        messages = [one.message for one in taken if one.send_time >= oldest]
        return Page(messages, self._cursor(scope, base + end), end < len(log))

    def standing(self, scope: str, cursor: str) -> Page:
        """Nothing, and more to come."""
        position = self._position(scope, cursor)
        return Page([], self._cursor(scope, position), has_more=True)

    def count(self, open_kfid: str) -> int:
        return len(self._logs.get(open_kfid, ())) + self._forgotten.get(open_kfid, 0)

    def clear(self) -> None:
        self._logs.clear()
        self._forgotten.clear()
        self._key = os.urandom(32)

    def _cursor(self, scope: str, position: int) -> str:
        """Cursors of one position differ: nothing can be read from them."""
        salted = position.to_bytes(8, "big") + secrets.token_bytes(4)
        return base64.urlsafe_b64encode(salted + self._digest(scope, salted)).decode()

    def _position(self, scope: str, cursor: str) -> int:
        if not cursor:
            return 0
        try:
            raw = base64.urlsafe_b64decode(cursor)
        except (binascii.Error, ValueError):
            raw = b""
        salted, digest = raw[:-_DIGEST], raw[-_DIGEST:]
        if not salted or digest != self._digest(scope, salted):
            raise Refused(BAD_PARAMETER, "invalid cursor")
        return int.from_bytes(salted[:8], "big")

    def _digest(self, scope: str, salted: bytes) -> bytes:
        signed = scope.encode() + b"\n" + salted
        return hashlib.blake2b(signed, key=self._key, digest_size=_DIGEST).digest()
