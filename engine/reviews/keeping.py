"""Steps of turns are forgotten when their time is over."""

import asyncio
import logging
import time
from collections.abc import Callable

from domain.errors import KefuError
from storage import reviews
from storage.database import Database

log = logging.getLogger(__name__)
EVERY_S = 900.0
FIRST_AFTER_S = 30.0
BATCH = 500
"""In one transaction, between which messages are written."""


class RecordKeeping:
    """One a process; any number may do this on one database."""

    def __init__(
        self,
        database: Database,
        *,
        keep_s: float,
        every_s: float = EVERY_S,
        first_after_s: float = FIRST_AFTER_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self.keep_s = database, keep_s
        self._every_s, self._first_after_s, self._clock = every_s, first_after_s, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="keeping turn records")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def tidy(self) -> int:
        """How many were forgotten."""
        before, total = self._clock() - self.keep_s, 0
        gone = BATCH
        while gone == BATCH:
            gone = await self._database.write(
                lambda c: reviews.forget_records(c, before=before, limit=BATCH)
            )
            total += gone
        return total

    async def _run(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            try:
                await self.tidy()
            except KefuError as error:
                log.warning("turn records cannot be forgotten now: %s", error)
            except Exception:
                log.exception("forgetting turn records failed")
            await asyncio.sleep(self._every_s)
