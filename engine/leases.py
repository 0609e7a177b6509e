"""Rows that want something by themselves: what is due is taken under a lease and worked on.

Rows are the truth: a process that dies loses its leases by time, and what it held is due again.
"""

import abc
import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from storage.database import Database

log = logging.getLogger(__name__)
POLL_S = 0.5
"""Between two looks at what is due; one indexed question, whatever number of rows waits."""
STOP_GRACE_S = 10.0

K = TypeVar("K", int, str)
K_contra = TypeVar("K_contra", int, str, contravariant=True)


class Book(Protocol[K_contra]):
    """Rows with a time at which they are due, and a lease."""

    def next_due(self, connection: Connection, *, now: float) -> float | None: ...

    def renew(
        self, connection: Connection, owner: str, ids: Sequence[K_contra], /, *, until: float
    ) -> None: ...

    def release(self, connection: Connection, owner: str | None = None) -> None: ...


class LeaseRunner(abc.ABC, Generic[K]):
    """One a process, for each kind of rows. ``what``: one of those rows, in logs. ``at_once``: how
    many are in work, by lane: what is short need not wait for what is long. ``alone``: no other
    process works on this database, so leases found at the start are dead."""

    def __init__(
        self,
        what: str,
        database: Database,
        book: Book[K],
        at_once: Iterable[tuple[str, int]],
        *,
        owner: str,
        alone: bool,
        lease_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.what, self._database = what, database
        self.on_due_elsewhere: Callable[[], None] = lambda: None
        """Told instead where this process leaves those rows to others: it is never started."""
        self._leases: Book[K] = book
        self._owner, self._alone, self._lease_s = owner, alone, lease_s
        self._clock = clock
        self._at_once = dict(at_once)
        self._running: dict[str, dict[K, asyncio.Task[None]]] = {lane: {} for lane in self._at_once}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._next_renewal = 0.0

    @abc.abstractmethod
    async def _take(self, now: float, *, waits: bool) -> None:
        """Claim what there is room for, and begin it. ``waits``: something is due."""

    async def start(self) -> None:
        if self._alone:
            await self._database.write(lambda c: self._leases.release(c))
        self._loop = asyncio.create_task(self._run(), name=f"due {self.what}s")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Finish what is being done; what is left is due again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        running = {task for lane in self._running.values() for task in lane.values()}
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._database.write(lambda c: self._leases.release(c, self._owner))

    def wake(self) -> None:
        """Something is due; said by this process, others find it by polling."""
        self._wake.set()
        if self._loop is None:
            self.on_due_elsewhere()

    def due(self, at: float) -> None:
        """Something wants attention at ``at``; a later look finds what is far off."""
        now = self._clock()
        if self._loop is None:
            self.on_due_elsewhere()
        elif at <= now + POLL_S:
            asyncio.get_running_loop().call_later(max(0.0, at - now), self._wake.set)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("looking for due %ss failed; again in %.1f s", self.what, POLL_S)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        now = self._clock()
        await self._renew(now)
        due_at = await self._database.read(lambda c: self._leases.next_due(c, now=now))
        if due_at is not None and due_at > now:
            self.due(due_at)
        await self._take(now, waits=due_at is not None and due_at <= now)

    async def _renew(self, now: float) -> None:
        held = [key for lane in self._running.values() for key in lane]
        if held and now >= self._next_renewal:
            self._next_renewal, until = now + self._lease_s / 3, now + self._lease_s
            await self._database.write(
                lambda c: self._leases.renew(c, self._owner, held, until=until)
            )

    def _room(self, lane: str) -> int:
        return self._at_once[lane] - len(self._running[lane])

    def _begin(self, lane: str, keys: Sequence[K], work: Callable[[], Awaitable[None]]) -> None:
        """``keys``: what one task works on."""
        task = asyncio.create_task(
            self._guarded(self._running[lane], keys, work), name=f"{self.what} {keys[0]}"
        )
        self._running[lane] |= dict.fromkeys(keys, task)

    async def _guarded(
        self,
        lane: dict[K, "asyncio.Task[None]"],
        keys: Sequence[K],
        work: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            await work()
        except Exception:
            # Their lease runs out, and they are due still.
            log.exception("%s %s: bookkeeping failed", self.what, keys[0])
        finally:
            for key in keys:
                if lane.get(key) is asyncio.current_task():  # it may be claimed anew
                    del lane[key]
            self._wake.set()
