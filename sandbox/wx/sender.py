"""Callbacks to the service: sent again when nobody answers, twice, or out of order.

What one looks like and how it is signed is each platform's own.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import Field, field_validator

from sandbox import wxcrypt
from sandbox.peer import Sandbox
from sandbox.wx.calls import JsonObject, Setting

_KEPT_ANSWER = 100_000
_ECHO_SECONDS = 1.0


class SendSettings(Setting):
    """``urls``: addresses, or paths at the sandbox's target; several take turns, as behind a
    balancer; none: nobody is told. ``deliveries``: how often at most one callback is sent.
    ``copies_rate``: share that is sent twice. ``jitter_s``: each waits up to that long, so that
    they overtake each other. ``reseal``: what is sent again is signed and encrypted again."""

    urls: tuple[str, ...] = Field(default=(), max_length=10)
    token: str = Field(pattern=r"^[A-Za-z0-9]{1,32}$")
    encoding_aes_key: str
    as_json: bool = False
    deliveries: int = Field(default=3, ge=1, le=10)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    copies_rate: float = Field(default=0.0, ge=0, le=1)
    jitter_s: float = Field(default=0.0, ge=0, le=60)
    reseal: bool = False

    @field_validator("encoding_aes_key")
    @classmethod
    def _is_a_key(cls, key: str) -> str:
        wxcrypt.aes_key(key)
        return key

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if any(not url.startswith(("/", "http://", "https://")) for url in urls):
            raise ValueError("addresses start with http:// or, at the target, with /")
        return urls

    def shown(self) -> JsonObject:
        return self.model_dump(exclude={"token", "encoding_aes_key"})


@dataclass(slots=True, kw_only=True)
class Callback:
    """``what``: its event or message type. ``on_end``: told the bodies of the answers, one of each
    copy that was answered."""

    number: int
    what: str
    plain: bytes
    created_at: float
    to: str = ""
    on_end: Callable[[Sequence[bytes]], None] | None = None
    state: Literal["pending", "delivered", "failed"] = "pending"
    attempts: int = 0
    statuses: list[int | str] = field(default_factory=list)

    def as_dict(self) -> JsonObject:
        return {
            "number": self.number,
            "what": self.what,
            "plain": self.plain.decode(),
            "state": self.state,
            "attempts": self.attempts,
            "statuses": self.statuses,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class Sealed:
    query: dict[str, str]
    body: bytes


Settings = TypeVar("Settings", bound=SendSettings)


class Sender(ABC, Generic[Settings]):
    """``start`` it on the event loop. The sandbox's ``duplicate`` faults for ``peer`` apply."""

    def __init__(self, sandbox: Sandbox, peer: str, settings: Settings) -> None:
        self._sandbox, self._peer = sandbox, peer
        self.settings = self._defaults = settings
        self._running: set[asyncio.Task[None]] = set()
        self._latest: deque[Callback] = deque(maxlen=sandbox.settings.max_messages)
        self._slots = asyncio.Semaphore(sandbox.settings.delivery_concurrency)
        self._client: httpx.AsyncClient | None = None
        self._number = self._turn = 0
        self.pending = self.delivered = self.failed = self.dropped = 0

    @abstractmethod
    def seal(self, callback: Callback) -> Sealed:
        """As one delivery has it."""

    @abstractmethod
    def pause_s(self, took: float) -> float:
        """How long to wait after a delivery without answer that took ``took`` seconds."""

    def is_taken(self, status: int) -> bool | None:
        """Whether an answer ends it well; None: it is sent again."""
        return status == 200

    async def start(self) -> None:
        limits = httpx.Limits(max_connections=512, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113

    async def stop(self) -> None:
        await self.clear()
        if self._client is not None:
            await self._client.aclose()

    async def clear(self) -> None:
        """As at the start, whatever was under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()
        self._latest.clear()
        self.settings = self._defaults
        self._number = self._turn = 0
        self.pending = self.delivered = self.failed = self.dropped = 0

    def begin(self, callback: Callback) -> bool:
        """False: nobody is to be told, or too many are waiting."""
        if not self.settings.urls:
            return False
        if self.pending >= self._sandbox.settings.max_pending:
            self.dropped += 1
            return False
        self._latest.append(callback)
        self.pending += 1
        task = asyncio.get_running_loop().create_task(self._deliver(callback))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def next_number(self) -> int:
        self._number += 1
        return self._number

    async def echoed(self, query: dict[str, str], expected: str) -> JsonObject:
        """The check of the address that saving it in the admin pages makes."""
        assert self._client is not None, "not started"
        try:
            address, params = _with_query(self._next_url(), query)
            answer = await self._client.get(address, params=params, timeout=_ECHO_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return {"ok": False, "status": None, "error": type(error).__name__}
        right = answer.status_code == 200 and answer.content == expected.encode()
        return {"ok": right, "status": answer.status_code, "expected": expected, "got": answer.text}

    def shown(self, limit: int = 100) -> JsonObject:
        latest = list(self._latest)[-limit:] if limit else []
        return {
            "pending": self.pending,
            "delivered": self.delivered,
            "failed": self.failed,
            "dropped": self.dropped,
            "callbacks": [callback.as_dict() for callback in latest],
        }

    # Sending it ----------------------------------------------------------------------------

    async def _deliver(self, callback: Callback) -> None:
        chance, settings = self._sandbox.chance, self.settings
        if settings.jitter_s:
            await asyncio.sleep(chance.random() * settings.jitter_s)
        copies = self._sandbox.faults.copies(self._peer)
        copies += chance.random() < settings.copies_rate
        answers = await asyncio.gather(*(self._copy(callback, settings) for _ in range(copies)))
        taken = [answer for answer in answers if answer is not None]
        callback.state = "delivered" if taken else "failed"
        self.pending -= 1
        self.delivered += bool(taken)
        self.failed += not taken
        if callback.on_end is not None:
            callback.on_end(taken)
        self._sandbox.changes.notify()

    async def _copy(self, callback: Callback, settings: Settings) -> bytes | None:
        loop, sealed = asyncio.get_running_loop(), self.seal(callback)
        began = loop.time()
        for delivery in range(settings.deliveries):
            if delivery:
                await asyncio.sleep(self.pause_s(loop.time() - began))
                sealed = self.seal(callback) if settings.reseal else sealed
            began = loop.time()
            async with self._slots:
                answer = await self._attempt(callback, sealed, settings)
            taken = None if answer is None else self.is_taken(answer.status_code)
            if answer is not None and taken is not None:
                return answer.content[:_KEPT_ANSWER] if taken else None
        return None

    async def _attempt(
        self, callback: Callback, sealed: Sealed, settings: Settings
    ) -> httpx.Response | None:
        assert self._client is not None, "not started"
        callback.attempts += 1
        kind = "application/json" if settings.as_json else "text/xml"
        try:
            address, params = _with_query(self._next_url(), sealed.query)
            async with asyncio.timeout(settings.timeout_s):
                answer = await self._client.post(
                    address, params=params, content=sealed.body, headers={"content-type": kind}
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            callback.statuses.append(type(error).__name__)
            return None
        callback.statuses.append(answer.status_code)
        return answer

    def _next_url(self) -> str:
        """Raises ValueError."""
        urls = self.settings.urls
        if not urls:
            raise ValueError("nobody is to be told any more")
        self._turn += 1
        url = urls[self._turn % len(urls)]
        return self._sandbox.target + url if url.startswith("/") else url


def _with_query(url: str, query: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """An address may have a query of its own; httpx would drop it."""
    parts = urlsplit(url)
    own = dict(parse_qsl(parts.query, keep_blank_values=True))
    return parts._replace(query="").geturl(), own | query
