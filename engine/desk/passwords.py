"""Passwords of agents: scrypt, off the event loop, one after another so that a storm of sign-ins
takes no more memory than one."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import InvalidInput, KefuError

MIN_CHARS, MAX_CHARS = 8, 256
MAX_WAITING = 32
"""Sign-ins; the last of them waits two seconds."""
_N, _R, _P = 2**14, 8, 1
_SALT_BYTES, _KEY_BYTES = 16, 32
_MEMORY = 64 * 1_048_576
_NOBODYS = f"scrypt${_N}${_R}${_P}${'A' * 24}${'A' * 44}"
"""Compared with where there is no such agent, so that the answer takes as long."""


def check_new(password: str) -> None:
    """Raises InvalidInput."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise InvalidInput("password", f"密码长度应为 {MIN_CHARS} 到 {MAX_CHARS} 个字符")


def hashed(password: str) -> str:
    """As stored: scrypt$N$r$p$salt$key. Takes a twentieth of a second and 16 MB."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _derive(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(key)}"


def matches(password: str, stored: str | None) -> bool:
    """``stored`` None: nobody's, which takes as long."""
    _, n, r, p, salt, key = (stored or _NOBODYS).split("$")
    given = _derive(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(given, base64.b64decode(key)) and stored is not None


class TooManyWait(KefuError):
    """Nobody else may try a password before some of them are done."""


class Passwords:
    """Hashes and compares in a thread, one after another."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)
        self._waiting = 0

    async def hashed(self, password: str) -> str:
        async with self._one_at_a_time:
            return await asyncio.to_thread(hashed, password)

    @asynccontextmanager
    async def trying(self) -> AsyncIterator[None]:
        """Who is in here is alone with `matches`, so that a guess knows of the one before it.
        Raises TooManyWait."""
        if self._waiting >= MAX_WAITING:
            raise TooManyWait
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                yield
        finally:
            self._waiting -= 1

    async def matches(self, password: str, stored: str | None) -> bool:
        return await asyncio.to_thread(matches, password[:MAX_CHARS], stored)


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    given = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(given, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=_KEY_BYTES)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
