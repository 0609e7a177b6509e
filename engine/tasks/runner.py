"""What tasks want by themselves: their time, their expiry, another attempt of their action."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from domain.errors import TaskTaken
from domain.tasks import TaskStatus, TriggerKind
from engine.metrics import Metrics
from engine.tasks.acting import Acting
from storage.tasks import TaskRow
from tools.perform import Act, perform

log = logging.getLogger(__name__)
POLL_S = 0.5
"""Between two looks at what is due; one indexed question, whatever number of timers waits."""
BATCH = 200
CONCURRENT = 64
MOOR_EVERY_S = 10.0
"""Between two looks for tasks that were set to pending by hand."""


class TaskRunner:
    """One a process. ``late_s``: seconds after its time in which time_reach still fires.

    ``on_queues`` is told of queues of the outbox that got something; ``alone``: no other process
    works on this database, so leases found at the start are dead.
    """

    def __init__(
        self,
        acting: Acting,
        metrics: Metrics,
        *,
        owner: str,
        alone: bool,
        late_s: float,
        lease_s: float,
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._acting, self._metrics = acting, metrics
        self._database, self._book = acting.database, acting.book
        self._owner, self._alone = owner, alone
        self._late_s, self._lease_s = late_s, lease_s
        self._on_queues, self._clock = on_queues, clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._next_moor = 0.0
        self._next_renewal = 0.0

    async def start(self) -> None:
        if self._alone:
            await self._database.write(lambda c: self._book.release(c))
        self._loop = asyncio.create_task(self._run(), name="tasks")

    async def stop(self, grace_s: float) -> None:
        """Finish what acts; what is not finished is due again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        running = set(self._running.values())
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._database.write(lambda c: self._book.release(c, self._owner))

    def due(self, at: float) -> None:
        """Something wants attention at ``at``; said by this process, others find it by polling."""
        if at <= self._clock() + POLL_S:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, at - self._clock()), self._wake.set)

    async def _run(self) -> None:
        while True:
            try:
                full = await self._look()
            except Exception:
                log.exception("looking for due tasks failed; again in %.1f s", POLL_S)
                full = False
            if full:
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> bool:
        """Start what is due; whether there may be more at once."""
        now = self._clock()
        await self._moor(now)
        await self._renew(now)
        due_at = await self._database.read(lambda c: self._book.next_due(c, now=now))
        if due_at is None or due_at > now:
            if due_at is not None:
                self.due(due_at)
            return False
        rows = await self._database.write(
            lambda c: self._book.claim_due(
                c, owner=self._owner, now=now, lease_s=self._lease_s, limit=BATCH
            )
        )
        for row in rows:
            self._running[row.task_id] = asyncio.create_task(
                self._work(row), name=f"task {row.task_id}"
            )
        if len(rows) == BATCH:
            await asyncio.wait(set(self._running.values()))
            return True
        return False

    async def _moor(self, now: float) -> None:
        if now >= self._next_moor:
            self._next_moor = now + MOOR_EVERY_S
            adrift = await self._database.read(lambda c: self._book.is_adrift(c))
            if adrift:
                await self._database.write(lambda c: self._book.moor(c, now=now))

    async def _renew(self, now: float) -> None:
        if self._running and now >= self._next_renewal:
            self._next_renewal = now + self._lease_s / 3
            held, until = list(self._running), now + self._lease_s
            await self._database.write(
                lambda c: self._book.renew(c, self._owner, held, until=until)
            )

    async def _work(self, row: TaskRow) -> None:
        try:
            async with self._slots:
                queues = await self._one(row)
            if queues:
                self._on_queues(queues)
        except TaskTaken:
            log.debug("task %s was fired elsewhere", row.task_id)
        except Exception:
            # Its lease runs out, and it is due still.
            log.exception("task %s: bookkeeping failed", row.task_id)
        finally:
            self._running.pop(row.task_id, None)

    async def _one(self, row: TaskRow) -> tuple[str, ...]:
        now = self._clock()
        if row.status == TaskStatus.TRIGGERED:
            return await self._act_again(row, now)
        if row.trigger_type != TriggerKind.TIME_REACH:
            hours = f"{row.timeout_hours:g}"
            return await self._expire(row, f"{hours} 小时内没有等到触发条件", now)
        late = now - (row.due_at or now)
        if late > self._late_s:
            return await self._expire(row, f"已过时间 {late:.0f} 秒,超过允许的迟到", now)
        return await self._fire(row, now)

    async def _expire(self, row: TaskRow, reason: str, now: float) -> tuple[str, ...]:
        ended = await self._database.write(
            lambda c: self._book.expire(c, row, error=reason, now=now)
        )
        return ended.queues if ended else ()

    async def _fire(self, row: TaskRow, now: float) -> tuple[str, ...]:
        acting = self._acting
        fired = acting.fired_by_time(row, await acting.recipient(row), now)
        self._metrics.timer_lag.observe(max(0.0, now - (row.due_at or now)))
        act = Act(deferred=True)
        if not fired.deferred:
            act = await perform(acting.registry, fired.tool, fired.arguments, fired.call)
        queues = await self._database.write(
            lambda c: acting.commit_firing(c, fired, act, now=self._clock())
        )
        if act.deferred:
            self._wake.set()
        return queues

    async def _act_again(self, row: TaskRow, now: float) -> tuple[str, ...]:
        acting = self._acting
        fired = acting.again(row, await acting.recipient(row), now)
        act = await perform(acting.registry, fired.tool, fired.arguments, fired.call)

        def unit(connection: Connection) -> tuple[str, ...]:
            return acting.commit_act(connection, row, act, now=self._clock())

        return await self._database.write(unit)
