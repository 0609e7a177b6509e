"""Messages that the sandbox sends to the service: in order per lane, lanes side by side.

A lane is whatever must stay in order (a chat). Every attempt is signed afresh.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from sandbox.peer import Sandbox

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0

State = Literal["pending", "delivered", "failed"]


@dataclass(slots=True, kw_only=True)
class Delivery:
    """``path`` is relative to the sandbox's target; ``headers`` gives those of one attempt."""

    id: str
    lane: str
    path: str
    body: bytes
    headers: Callable[[bytes], dict[str, str]]
    created_at: float
    state: State = "pending"
    attempts: int = 0
    copies: int = 1
    status: int | None = None
    error: str = ""
    delivered_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "message_id": self.id,
            "chat_id": self.lane,
            "state": self.state,
            "attempts": self.attempts,
            "copies": self.copies,
            "status": self.status,
            "error": self.error,
            "created_at": self.created_at,
            "delivered_at": self.delivered_at,
        }


class TooManyPending(Exception):
    """The service takes messages more slowly than they are said."""

    def __init__(self, pending: int) -> None:
        self.pending = pending
        super().__init__(f"{pending} messages are waiting for the service; let it catch up first")


class Deliverer:
    """Delivers for ``peer``, whose ``duplicate`` faults apply. ``start`` it on the event loop."""

    def __init__(self, sandbox: Sandbox, peer: str) -> None:
        self._sandbox, self._peer = sandbox, peer
        self._lanes: dict[str, deque[Delivery]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(sandbox.settings.delivery_concurrency)
        self._finished: deque[Delivery] = deque(maxlen=sandbox.settings.max_messages)
        self._client: httpx.AsyncClient | None = None
        self.pending = 0
        self.delivered = 0
        self.failed = 0

    async def start(self) -> None:
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(30.0, connect=5.0),
            limits=httpx.Limits(max_connections=512, max_keepalive_connections=64),
            trust_env=False,
        )

    async def stop(self) -> None:
        await self.clear()
        if self._client is not None:
            await self._client.aclose()

    async def clear(self) -> None:
        """Give up what is pending and forget what was delivered."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._workers.clear()
        self._lanes.clear()
        self._finished.clear()
        self.pending = self.delivered = self.failed = 0

    def room(self) -> int:
        return self._sandbox.settings.max_pending - self.pending

    def add(self, delivery: Delivery) -> None:
        """Raises TooManyPending."""
        if self.room() <= 0:
            raise TooManyPending(self.pending)
        self.pending += 1
        lane = self._lanes.get(delivery.lane)
        if lane is not None:
            lane.append(delivery)
            return
        self._lanes[delivery.lane] = deque([delivery])
        self._workers[delivery.lane] = asyncio.create_task(self._work(delivery.lane))

    def __iter__(self) -> Iterator[Delivery]:
        """Finished ones, then pending ones."""
        yield from self._finished
        for lane in self._lanes.values():
            yield from lane

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        while lane:
            await self._deliver(lane[0])
            self._finish(lane.popleft())
        del self._lanes[name], self._workers[name]

    def _finish(self, delivery: Delivery) -> None:
        delivery.body = b""
        self.pending -= 1
        self.delivered += delivery.state == "delivered"
        self.failed += delivery.state == "failed"
        self._finished.append(delivery)
        self._sandbox.changes.notify()

    async def _deliver(self, delivery: Delivery) -> None:
        delivery.copies = self._sandbox.faults.copies(self._peer)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._sandbox.settings.delivery_seconds
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            target = self._sandbox.target
            async with self._slots:
                tries = [self._attempt(delivery, target) for _ in range(delivery.copies)]
                accepted = any(await asyncio.gather(*tries))
            if accepted:
                delivery.state, delivery.delivered_at = "delivered", self._sandbox.clock()
                return
            if loop.time() + backoff > deadline:
                delivery.state = "failed"
                return
            await self._rest(backoff, target)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _rest(self, seconds: float, tried: str) -> None:
        """Back off, unless the service has moved meanwhile."""
        sandbox = self._sandbox
        await sandbox.target_changes.until(lambda: sandbox.target != tried, seconds)

    async def _attempt(self, delivery: Delivery, target: str) -> bool:
        assert self._client is not None, "not started"
        delivery.attempts += 1
        try:
            response = await self._client.post(
                target + delivery.path,
                content=delivery.body,
                headers={"content-type": "application/json", **delivery.headers(delivery.body)},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            delivery.status, delivery.error = None, f"{type(error).__name__}: {error}"
            return False
        delivery.status = response.status_code
        delivery.error = "" if response.is_success else response.text[:500]
        return response.is_success
