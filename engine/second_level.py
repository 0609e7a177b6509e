"""A second level of memory that processes share: Redis, which may be away, slow, empty or wrong.

What is put there is sealed under a secret that lies with the rows, so a value that another
deployment or another hand has put there cannot be read, and none can be taken for another.
"""

import asyncio
import logging
import struct
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from secrets import token_bytes
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from domain.errors import StorageError
from tools.models.breaker import BreakerPolicy, BreakerState, CircuitBreaker

log = logging.getLogger(__name__)
MAX_WAITING = 1_000
"""Values on their way to Redis; more are not sent."""
MAX_VALUE_BYTES = 256 * 1024
WRITE_BATCH = 64
CONNECTIONS = 16
_NONCE_BYTES = 12
_UNTIL = struct.Struct(">d")
_BREAKER = BreakerPolicy(failures=3, window=30.0, wait=2.0, longest=30.0)
Outcome = Literal["hit", "miss", "refused", "failed", "skipped"]
Secret = Callable[[], Awaitable[bytes]]


class Shared(NamedTuple):
    """``outcome``: refused is a value that is not ours, skipped is no call at all."""

    outcome: Outcome
    value: bytes = b""
    left_s: float = 0.0


class _Keys(NamedTuple):
    names: bytes
    values: AESGCM


class _Waiting(NamedTuple):
    name: str
    value: bytes
    until: float


class SecondLevel:
    """Never raises, never waits longer than ``timeout_s``. Use it on one event loop and ``aclose``
    it. ``secret``: what all processes of the deployment know and nobody else."""

    def __init__(
        self,
        url: str,
        secret: Secret,
        *,
        timeout_s: float = 0.1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
        )
        self._secret, self._timeout_s, self._clock = secret, timeout_s, clock
        self._breaker = CircuitBreaker(_BREAKER)
        self._keys: _Keys | None = None
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None

    async def get(self, name: str) -> Shared:
        """``name``: of the value, with all that makes it the right one."""
        if not self._breaker.admits(self._now()):
            return Shared("skipped")
        try:
            keys = await self._both_keys()
            place = _place(keys, name)
            async with asyncio.timeout(self._timeout_s):
                sealed = await self._redis.get(place)
        except asyncio.CancelledError:
            self._breaker.released()
            raise
        except (RedisError, OSError, TimeoutError, StorageError) as error:
            self._failed(error)
            return Shared("failed")
        self._breaker.succeeded(self._now())
        return self._opened(keys, place, sealed)

    def put(self, name: str, value: bytes, *, ttl_s: float) -> bool:
        """On its way as soon as there is time; whether it is."""
        if len(value) > MAX_VALUE_BYTES or self._breaker.state(self._now()) is BreakerState.OPEN:
            return False
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_forever(), name="second level")
        try:
            self._waiting.put_nowait(_Waiting(name, value, self._clock() + ttl_s))
        except asyncio.QueueFull:
            return False
        return True

    async def written(self) -> None:
        """All that was put has been sent, or given up."""
        await self._waiting.join()

    async def aclose(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._redis.aclose()

    async def _write_forever(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < WRITE_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                if self._breaker.admits(self._now()):
                    await self._write(batch)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            keys = await self._both_keys()
            now = self._clock()
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(False) as pipe:
                for one in batch:
                    place, left = _place(keys, one.name), round((one.until - now) * 1000)
                    if left > 0:
                        pipe.set(place, _sealed(keys, place, one), px=left)
                await pipe.execute()
        except asyncio.CancelledError:
            self._breaker.released()
            raise
        except (RedisError, OSError, TimeoutError, StorageError) as error:
            self._failed(error)
        else:
            self._breaker.succeeded(self._now())

    async def _both_keys(self) -> _Keys:
        if self._keys is None:
            secret = await self._secret()
            names, values = (_derived(secret, use) for use in (b"names", b"values"))
            self._keys = _Keys(names, AESGCM(values))
        return self._keys

    def _opened(self, keys: _Keys, place: bytes, sealed: bytes | str | None) -> Shared:
        if not isinstance(sealed, bytes):
            return Shared("miss")
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            plain = keys.values.decrypt(nonce, rest, place)
        except (InvalidTag, ValueError):
            return Shared("refused")
        left = _UNTIL.unpack_from(plain)[0] - self._clock()
        return Shared("hit", plain[_UNTIL.size :], left) if left > 0 else Shared("miss")

    def _failed(self, error: Exception) -> None:
        was = self._breaker.state(self._now())
        self._breaker.failed("timeout", self._now())
        if was is BreakerState.CLOSED and self._breaker.state(self._now()) is BreakerState.OPEN:
            log.warning("Redis does not answer, we do without (%s)", type(error).__name__)

    def _now(self) -> float:
        return time.monotonic()


def _place(keys: _Keys, name: str) -> bytes:
    """Names hold customers' words: nobody may guess them by trying."""
    return b"kefu:" + blake2b(name.encode(), key=keys.names, digest_size=16).hexdigest().encode()


def _sealed(keys: _Keys, place: bytes, one: _Waiting) -> bytes:
    nonce = token_bytes(_NONCE_BYTES)
    return nonce + keys.values.encrypt(nonce, _UNTIL.pack(one.until) + one.value, place)


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=use).derive(secret)
