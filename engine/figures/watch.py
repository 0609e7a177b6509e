"""The clock of the figures: each process says how it is; one of them, by a lease, puts old figures
together and judges the alerts."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import tzinfo

from sqlalchemy import Connection

from domain.figures import day_start
from engine.figures.alerts import FORGET_S, FRESH_S, Alerts
from engine.figures.machine import Machine
from engine.figures.parts import Outside
from storage import alerts, figures, processes, watches
from storage.database import Database
from storage.processes import Process

log = logging.getLogger(__name__)
NAME = "figures"
FOLD_EVERY_S = 60.0
KEEP_EVENTS_S = 90 * 86_400.0


class FigureWatch:
    """``owner`` names this process; ``alone``: no other one works on this database. ``alerts``
    None: nothing is judged."""

    def __init__(
        self,
        database: Database,
        machine: Machine,
        outside: Outside,
        judged: Alerts | None,
        *,
        owner: str,
        alone: bool,
        zone: tzinfo,
        every_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._machine, self._outside = database, machine, outside
        self._alerts, self._owner, self._alone, self._zone = judged, owner, alone, zone
        self._every_s, self._clock = min(every_s, FRESH_S / 3), clock
        self._started = clock()
        self._folded = 0.0
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._alone:
            await self._database.write(lambda c: processes.take_over(c, self._owner))
        self._loop = asyncio.create_task(self._run(), name="figure watch")

    async def stop(self) -> None:
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None

        def leave(connection: Connection) -> None:
            processes.gone(connection, self._owner)
            watches.let_go(connection, NAME, self._owner)

        with contextlib.suppress(Exception):  # without the database it will be missed instead
            await self._database.write(leave)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("looking at the figures failed; again in %.1f s", self._every_s)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Say how this process is, and do what is one process's to do."""
        readings = (await self._machine.read()).shown()
        readings["providers_open"] = [one.name for one in self._outside.stands() if one.open]
        now = self._clock()
        me = Process(self._owner, socket.gethostname(), os.getpid(), self._started, now, readings)
        lease_s = 3 * self._every_s

        def unit(connection: Connection) -> bool:
            processes.seen(connection, me)
            return watches.hold(connection, NAME, self._owner, now=now, lease_s=lease_s)

        if not await self._database.write(unit):
            return
        if now - self._folded >= FOLD_EVERY_S:
            self._folded = now
            await self._database.write(lambda c: self._tidy(c, now))
        if self._alerts is not None:
            await self._alerts.check()

    def _tidy(self, connection: Connection, now: float) -> None:
        figures.fold(connection, now=now, day_start=lambda at: day_start(at, self._zone))
        processes.forget(connection, before=now - FORGET_S)
        alerts.prune(connection, before=now - KEEP_EVENTS_S)
