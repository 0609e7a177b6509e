"""All of tasks in one process: the desk, the watch, the runner."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.metrics import Metrics
from engine.tasks.acting import Acting, ActingPolicy
from engine.tasks.desk import TaskDesk
from engine.tasks.runner import TaskRunner
from engine.tasks.turns import TurnTasks
from engine.tasks.watch import TaskWatch
from storage.database import Database
from storage.tasks import TaskBook
from tools.registry import ToolRegistry

STOP_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """``callbacks``: Tianwang is told of ends. ``late_s``: see `TaskRunner`."""

    acting: ActingPolicy
    callbacks: bool
    late_s: float
    lease_s: float


class TaskWork:
    """``on_queues``: set before `start`; told of queues of the outbox that got something."""

    def __init__(
        self,
        database: Database,
        registry: ToolRegistry,
        metrics: Metrics,
        policy: TaskPolicy,
        *,
        owner: str,
        alone: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_queues: Callable[[Sequence[str]], None] = lambda _queues: None
        self.book = TaskBook(policy.acting.zone, callbacks=policy.callbacks)
        self.watch = TaskWatch(database, self.book)
        self._acting = Acting(database, registry, self.book, policy.acting)
        self.runner = TaskRunner(
            self._acting,
            metrics,
            owner=owner,
            alone=alone,
            late_s=policy.late_s,
            lease_s=policy.lease_s,
            on_queues=self._queues,
            clock=clock,
        )
        self.desk = TaskDesk(
            self._acting, metrics, on_due=self.runner.due, on_queues=self._queues, clock=clock
        )
        self.turns = TurnTasks(self._acting, self.watch, lambda: self.runner.due(clock()))
        self._database, self._metrics = database, metrics
        self._warming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.runner.start()
        self._warming = asyncio.create_task(self.watch.warm(), name="warm tasks")

    async def stop(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await self.runner.stop(STOP_GRACE_S)

    async def measure(self) -> None:
        """Set the gauges."""
        for status, number in (await self._database.read(self.book.counts)).items():
            self._metrics.tasks.labels(status).set(number)

    def _queues(self, queues: Sequence[str]) -> None:
        self.on_queues(queues)
