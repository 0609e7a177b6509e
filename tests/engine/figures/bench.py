"""Figures over a real database, with a clock of the test's and a machine that is as it says."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import text

from domain.alerts import AlertName, rules_of
from engine.figures.alerts import Alerts
from engine.figures.machine import Machine, Readings
from engine.figures.parts import Outside
from engine.figures.stats import Stats
from engine.figures.watch import FigureWatch
from storage.database import Database
from storage.tasks import TaskBook
from tools.models.breaker import BreakerState
from tools.models.ledger import ProviderSnapshot

BEIJING = timezone(timedelta(hours=8))
NOON = 1_780_027_200.0
"""2026-05-29 12:00 in Beijing."""
THRESHOLDS = dict.fromkeys(AlertName, 0.0) | {
    AlertName.CPU_HIGH: 80.0,
    AlertName.MEMORY_HIGH: 85.0,
    AlertName.DISK_HIGH: 90.0,
    AlertName.RESPONSE_SLOW: 5_000.0,
    AlertName.TOKEN_HIGH: 1_000_000.0,
    AlertName.ANSWERS_LATE: 10.0,
    AlertName.QUEUE_AGE: 60.0,
    AlertName.OUTBOX_AGE: 300.0,
    AlertName.QUOTA_LOW: 90.0,
}


class SetMachine(Machine):
    """As busy as the test says."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.readings = Readings(10.0, 20.0, 30.0, 1_000_000)

    def _read(self) -> Readings:
        return self.readings


def provider(
    name: str, *, state: BreakerState = BreakerState.CLOSED, budget: int | None = None
) -> ProviderSnapshot:
    return ProviderSnapshot(name, "m", state, {}, 0, "", None, 0, 0, 0, budget, 0.0, "")


class Bench:
    """``other``: of a second process, with a database of its own over the same rows."""

    def __init__(self, database: Database) -> None:
        self.database, self.now = database, NOON
        self.clock: Callable[[], float] = lambda: self.now
        self.machine = SetMachine()
        self.providers: list[ProviderSnapshot] = []
        self.queues: list[str] = []
        self.outside = Outside(lambda: self.providers, lambda: True)
        self.stats = Stats(
            database,
            self.machine,
            self.outside,
            zone=BEIJING,
            rates={"USD": 7.0},
            clock=lambda: self.clock(),
        )
        self.alerts = self.judging(database)
        self.watch = self.process("p1", database, self.alerts, self.machine)

    def judging(
        self, database: Database, thresholds: dict[AlertName, float] | None = None
    ) -> Alerts:
        levels = thresholds or THRESHOLDS
        return Alerts(
            database,
            rules_of(lambda name: levels[name], for_s=60, calm_s=120),
            self.outside,
            book=TaskBook(BEIJING, callbacks=False),
            channels={"staff"},
            on_queues=self._woken,
            clock=lambda: self.clock(),
        )

    def process(
        self, owner: str, database: Database, alerts: Alerts | None, machine: Machine
    ) -> FigureWatch:
        return FigureWatch(
            database,
            machine,
            self.outside,
            alerts,
            owner=owner,
            alone=False,
            zone=BEIJING,
            every_s=15,
            clock=lambda: self.clock(),
        )

    def _woken(self, queues: Sequence[str]) -> None:
        self.queues += queues

    async def looks(self, times: int, *watches: FigureWatch) -> None:
        """So often, every 15 seconds, each of ``watches`` in turn."""
        for _ in range(times):
            self.now += 15
            for watch in watches or (self.watch,):
                await watch.look()

    async def notices(self) -> list[dict[str, Any]]:
        found = await self.database.read(
            lambda c: c.execute(
                text("SELECT payload FROM outbox WHERE kind = 'notice' ORDER BY id")
            ).all()
        )
        return [json.loads(row[0]) for row in found]

    async def state(self, name: AlertName) -> str:
        found = {one["name"]: one["state"] for one in await self.alerts.standing()}
        return str(found[name])
