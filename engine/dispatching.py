"""Dispatches under way: what is due is taken under a lease and brought as far as it goes."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from engine.dispatch_steps import DispatchPolicy as DispatchPolicy
from engine.dispatch_steps import DispatchSteps, LostHold
from engine.dispatch_steps import DispatchWords as DispatchWords
from storage.dispatches import DispatchRow

log = logging.getLogger(__name__)
POLL_S = 0.5
"""Between two looks at what is due; one indexed question, whatever number of tasks is watched."""
AT_ONCE = 16
STOP_GRACE_S = 10.0


class DispatchRunner:
    """One a process. ``on_queues`` is told of queues of the outbox that got something; ``alone``:
    no other process works on this database, so leases found at the start are dead."""

    def __init__(
        self,
        steps: DispatchSteps,
        *,
        owner: str,
        alone: bool,
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._steps, self._database, self._book = steps, steps.database, steps.book
        self._owner, self._alone = owner, alone
        self._lease_s = steps.policy.lease_s
        self._on_queues, self._clock = on_queues, clock
        self._running: dict[int, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._next_renewal = 0.0

    async def start(self) -> None:
        if self._alone:
            await self._database.write(lambda c: self._book.release(c))
        self._loop = asyncio.create_task(self._run(), name="dispatches")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Finish the steps that are being made; what is left is due again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        running = set(self._running.values())
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._database.write(lambda c: self._book.release(c, self._owner))

    def wake(self) -> None:
        """Something was wanted; said by this process, others find it by polling."""
        self._wake.set()

    async def heard(self, tuhui_task: str) -> bool:
        """Tuhui, or somebody in its name, says that there is news of its task. Nothing of what was
        said is believed: the task is looked at at once. False if nobody waits for news of it."""
        known = await self._database.write(
            lambda c: self._book.hasten(c, tuhui_task, now=self._clock())
        )
        self.wake()
        return known

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("looking for due dispatches failed; again in %.1f s", POLL_S)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        now = self._clock()
        await self._renew(now)
        due_at = await self._database.read(lambda c: self._book.next_due(c, now=now))
        if due_at is None or due_at > now + POLL_S:
            return
        if due_at > now:
            asyncio.get_running_loop().call_later(due_at - now, self._wake.set)
            return
        room = AT_ONCE - len(self._running)
        if room <= 0:
            return
        rows = await self._database.write(
            lambda c: self._book.claim_due(
                c, owner=self._owner, now=now, lease_s=self._lease_s, limit=room
            )
        )
        for row in rows:
            task = asyncio.create_task(self._work(row), name=f"dispatch {row.id}")
            self._running[row.id] = task

    async def _renew(self, now: float) -> None:
        if self._running and now >= self._next_renewal:
            self._next_renewal = now + self._lease_s / 3
            held, until = list(self._running), now + self._lease_s
            await self._database.write(
                lambda c: self._book.renew(c, self._owner, held, until=until)
            )

    async def _work(self, row: DispatchRow) -> None:
        """As many steps as can be made now."""
        left: DispatchRow | None = row
        fresh = False
        try:
            while left is not None:
                moved = await self._steps.advance(left, fresh=fresh)
                self._on_queues(moved.queues)
                left, fresh = moved.row, moved.fresh
        except LostHold:
            log.info("dispatch %d went another way", row.id)
        except Exception:
            # Its lease runs out, and it is due still.
            log.exception("dispatch %d: bookkeeping failed", row.id)
        finally:
            if self._running.get(row.id) is asyncio.current_task():  # it may be claimed anew
                del self._running[row.id]
            self._wake.set()
