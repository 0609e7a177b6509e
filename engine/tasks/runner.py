"""What tasks want by themselves: their time, their expiry, another attempt of their action."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from domain.errors import TaskTaken
from domain.tasks import PRIORITY_ORDER, TaskPriority, TaskStatus, TriggerKind
from engine.metrics import Metrics
from engine.tasks.acting import Acting
from storage.tasks import TaskRow
from tools.perform import Act, perform

log = logging.getLogger(__name__)
POLL_S = 0.5
"""Between two looks at what is due; one indexed question, whatever number of timers waits."""
AT_ONCE = {TaskStatus.PENDING: 200, TaskStatus.TRIGGERED: 64}
"""Tasks in work: firing and expiring are short, calls of tools may be long and must not hold up
timers, so each has its own measure. No more is taken under a lease than is worked on."""
TELL_WITHIN_S = 2.0
"""While more timers are due than are in work, what they brought into the outbox waits so long at
most for its wake-up: deliveries would take the time in which the timers are to fire."""
MOOR_EVERY_S = 10.0
"""Between two looks for tasks that were set to pending by hand."""
Unit = Callable[[Connection], tuple[str, ...]]
"""Writes what became of a task; returns queues of the outbox to wake."""
_RANKS = {str(priority): rank for priority, rank in PRIORITY_ORDER.items()}


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
        self._running: dict[TaskStatus, dict[str, asyncio.Task[None]]] = {
            status: {} for status in AT_ONCE
        }
        self._behind: set[TaskStatus] = set()
        self._untold: list[str] = []
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
        running = {task for lane in self._running.values() for task in lane.values()}
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._tell()
        await self._database.write(lambda c: self._book.release(c, self._owner))

    def due(self, at: float) -> None:
        """Something wants attention at ``at``; said by this process, others find it by polling."""
        if at <= self._clock() + POLL_S:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, at - self._clock()), self._wake.set)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("looking for due tasks failed; again in %.1f s", POLL_S)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Start what is due, as much as there is room for."""
        now = self._clock()
        await self._moor(now)
        await self._renew(now)
        due_at = await self._database.read(lambda c: self._book.next_due(c, now=now))
        if due_at is not None and due_at > now:
            self.due(due_at)
        waits = due_at is not None and due_at <= now
        self._behind = {s for s in AT_ONCE if waits and await self._take(s, now)}
        if TaskStatus.PENDING not in self._behind:
            self._tell()

    async def _take(self, status: TaskStatus, now: float) -> bool:
        """Whether there may be more than there is room for."""
        lane = self._running[status]
        room = AT_ONCE[status] - len(lane)
        rows: list[TaskRow] = []
        if room > 0:
            rows = await self._database.write(
                lambda c: self._book.claim_due(
                    c, status, owner=self._owner, now=now, lease_s=self._lease_s, limit=room
                )
            )
        for group in _in_order(rows, status):
            task = asyncio.create_task(self._work(lane, group), name=f"task {group[0].task_id}")
            lane |= {row.task_id: task for row in group}
        return len(rows) == room

    async def _moor(self, now: float) -> None:
        if now >= self._next_moor:
            self._next_moor = now + MOOR_EVERY_S
            adrift = await self._database.read(lambda c: self._book.is_adrift(c))
            if adrift:
                await self._database.write(lambda c: self._book.moor(c, now=now))

    async def _renew(self, now: float) -> None:
        held = [task_id for lane in self._running.values() for task_id in lane]
        if held and now >= self._next_renewal:
            self._next_renewal, until = now + self._lease_s / 3, now + self._lease_s
            await self._database.write(
                lambda c: self._book.renew(c, self._owner, held, until=until)
            )

    async def _work(self, lane: dict[str, asyncio.Task[None]], group: Sequence[TaskRow]) -> None:
        try:
            begun = [(row, await self._begin(row)) for row in group]
            for row, written in begun:
                if written is not None:
                    await self._finish(row, written)
        finally:
            for row in group:
                del lane[row.task_id]
            # Room for more; and what a timer leaves to be called is due now.
            self._wake.set()

    async def _begin(self, row: TaskRow) -> asyncio.Future[tuple[str, ...]] | None:
        """Units of one customer are committed in the order in which they are handed over."""
        try:
            unit = await self._unit(row)
        except Exception:
            log.exception("task %s: its action cannot be prepared", row.task_id)
            return None
        return self._database.write(unit, key=row.customer_id or row.task_id)

    async def _finish(self, row: TaskRow, written: asyncio.Future[tuple[str, ...]]) -> None:
        try:
            self._note(await written)
        except TaskTaken:
            log.debug("task %s was fired elsewhere", row.task_id)
        except Exception:
            # Its lease runs out, and it is due still.
            log.exception("task %s: bookkeeping failed", row.task_id)

    def _note(self, queues: Sequence[str]) -> None:
        if queues and not self._untold:
            asyncio.get_running_loop().call_later(TELL_WITHIN_S, self._tell)
        self._untold += queues
        if TaskStatus.PENDING not in self._behind:
            self._tell()

    def _tell(self) -> None:
        if self._untold:
            queues, self._untold = self._untold, []
            self._on_queues(queues)

    async def _unit(self, row: TaskRow) -> Unit:
        """What is to be written, once the tool has been called where one is to be called."""
        now = self._clock()
        if row.status == TaskStatus.TRIGGERED:
            return await self._act_again(row, now)
        if row.triggered_at is not None:  # it had fired, and was set to pending by hand
            return self._moored(row, now)
        if row.trigger_type != TriggerKind.TIME_REACH:
            hours = f"{row.timeout_hours:g}"
            return self._expired(row, f"{hours} 小时内没有等到触发条件", now)
        late = now - (row.due_at or now)
        if late > self._late_s:
            return self._expired(row, f"已过时间 {late:.0f} 秒,超过允许的迟到", now)
        return await self._fire(row, now)

    def _moored(self, row: TaskRow, now: float) -> Unit:
        def unit(connection: Connection) -> tuple[str, ...]:
            self._book.moor_one(connection, row, now=now)
            return ()

        return unit

    def _expired(self, row: TaskRow, reason: str, now: float) -> Unit:
        def unit(connection: Connection) -> tuple[str, ...]:
            ended = self._book.expire(connection, row, error=reason, now=now)
            return ended.queues if ended else ()

        return unit

    async def _fire(self, row: TaskRow, now: float) -> Unit:
        acting = self._acting
        fired = acting.fired_by_time(row, await acting.recipient(row), now)
        self._metrics.timer_lag.observe(max(0.0, now - (row.due_at or now)))
        act = Act(deferred=True)
        if not fired.deferred:
            act = await perform(acting.registry, fired.tool, fired.arguments, fired.call)
        return lambda c: acting.commit_firing(c, fired, act, now=self._clock())

    async def _act_again(self, row: TaskRow, now: float) -> Unit:
        acting = self._acting
        fired = acting.again(row, await acting.recipient(row), now)
        act = await perform(acting.registry, fired.tool, fired.arguments, fired.call)
        return lambda c: acting.commit_act(c, row, act, now=self._clock())


def _in_order(rows: Iterable[TaskRow], status: TaskStatus) -> list[list[TaskRow]]:
    """What may go on side by side. A customer's timers fire in order: those of one time by their
    priority, as tasks that one message fires."""
    groups: dict[str, list[TaskRow]] = {}
    for row in sorted(rows, key=_urgency):
        timed = status is TaskStatus.PENDING and row.customer_id
        groups.setdefault(f"customer {timed}" if timed else row.task_id, []).append(row)
    return list(groups.values())


def _urgency(row: TaskRow) -> tuple[float, int, float, str]:
    rank = _RANKS.get(row.priority, _RANKS[TaskPriority.NORMAL])
    return row.due_at or 0.0, rank, row.created_ts, row.task_id
