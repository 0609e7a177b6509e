"""What goes on beside the conversations: customers age, and files of who was erased go."""

import asyncio
import logging
import time
from collections.abc import Callable

from domain.errors import KefuError
from engine.customers.desk import CustomerDesk
from storage import customer_erasures, customer_sweep
from storage.database import Database

log = logging.getLogger(__name__)
FIRST_AFTER_S = 20.0
BATCH = 200
"""In one transaction, between which messages are written."""


class CustomerKeeping:
    """One a process; any number may do this on one database."""

    def __init__(
        self,
        database: Database,
        desk: CustomerDesk,
        *,
        churn_days: float,
        every_s: float,
        first_after_s: float = FIRST_AFTER_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._desk, self._churn_days = database, desk, churn_days
        self._every_s, self._first_after_s, self._clock = every_s, first_after_s, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="keeping customers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def age(self) -> int:
        """How many contacts were brought up to date."""
        total, found = 0, BATCH
        while found == BATCH:
            found = await self._database.write(
                lambda c: customer_sweep.age(
                    c, now=self._clock(), churn_days=self._churn_days, limit=BATCH
                )
            )
            total += found
        return total

    async def finish(self) -> int:
        """Erasures of which a crash has left files."""
        left = await self._database.read(customer_erasures.unfinished)
        for erasure in left:
            await self._desk.remove_files(erasure)
        return len(left)

    async def _run(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            try:
                await self.age()
                await self.finish()
            except (KefuError, OSError) as error:
                log.warning("customers cannot be brought up to date now: %s", error)
            except Exception:
                log.exception("bringing customers up to date failed")
            await asyncio.sleep(self._every_s)
