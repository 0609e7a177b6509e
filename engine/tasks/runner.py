"""What tasks want by themselves: their time, their expiry, another attempt of their action."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from domain.errors import TaskTaken
from domain.tasks import PRIORITY_ORDER, TaskPriority, TaskStatus, TriggerKind
from engine.leases import STOP_GRACE_S, LeaseRunner
from engine.metrics import Metrics
from engine.tasks.acting import Acting
from storage.tasks import TaskRow
from tools.perform import Act, perform

log = logging.getLogger(__name__)
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


class TaskRunner(LeaseRunner[str]):
    """``late_s``: seconds after its time in which time_reach still fires. ``on_queues`` is told of
    queues of the outbox that got something."""

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
        super().__init__(
            "task",
            acting.database,
            acting.book,
            AT_ONCE.items(),
            owner=owner,
            alone=alone,
            lease_s=lease_s,
            clock=clock,
        )
        self._acting, self._metrics, self._book = acting, metrics, acting.book
        self._late_s, self._on_queues = late_s, on_queues
        self._behind: set[TaskStatus] = set()
        self._untold: list[str] = []
        self._next_moor = 0.0

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        await super().stop(grace_s)
        self._tell()

    async def _look(self) -> None:
        await self._moor(self._clock())
        await super()._look()

    async def _take(self, now: float, *, waits: bool) -> None:
        self._behind = {s for s in AT_ONCE if waits and await self._take_of(s, now)}
        if TaskStatus.PENDING not in self._behind:
            self._tell()

    async def _take_of(self, status: TaskStatus, now: float) -> bool:
        """Whether there may be more than there is room for."""
        room = self._room(status)
        rows: list[TaskRow] = []
        if room > 0:
            rows = await self._database.write(
                lambda c: self._book.claim_due(
                    c, status, owner=self._owner, now=now, lease_s=self._lease_s, limit=room
                )
            )
        for group in _in_order(rows, status):
            self._begin(status, [row.task_id for row in group], partial(self._work, group))
        return len(rows) == room

    async def _moor(self, now: float) -> None:
        if now >= self._next_moor:
            self._next_moor = now + MOOR_EVERY_S
            adrift = await self._database.read(lambda c: self._book.is_adrift(c))
            if adrift:
                await self._database.write(lambda c: self._book.moor(c, now=now))

    async def _work(self, group: Sequence[TaskRow]) -> None:
        begun = [(row, await self._prepared(row)) for row in group]
        for row, written in begun:
            if written is not None:
                await self._finish(row, written)

    async def _prepared(self, row: TaskRow) -> asyncio.Future[tuple[str, ...]] | None:
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
