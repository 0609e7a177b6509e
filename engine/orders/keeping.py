"""Pictures that nobody needs any more are forgotten: their rows, then their files."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from domain.errors import KefuError
from storage import pictures as rows
from storage.database import Database
from tools.pictures.store import PictureStore

log = logging.getLogger(__name__)
EVERY_S = 3_600.0
FIRST_AFTER_S = 60.0
"""A start has other things to do."""
BATCH = 100
"""In one transaction, between which messages are written."""


class PictureKeeping:
    """One a process; any number may do this on one database. ``keep_s``: since a picture's last
    use; what an open order needs, or one that was changed since, stays longer."""

    def __init__(
        self,
        database: Database,
        store: PictureStore,
        *,
        keep_s: float,
        every_s: float = EVERY_S,
        first_after_s: float = FIRST_AFTER_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._store, self.keep_s = database, store, keep_s
        self._every_s, self._first_after_s, self._clock = every_s, first_after_s, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="keeping pictures")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def tidy(self) -> tuple[int, int]:
        """How many pictures were forgotten, and how many files without one were removed."""
        before = self._clock() - self.keep_s
        forgotten = await self._forget(before)
        strays = await self._remove_strays(before)
        if forgotten or strays:
            log.info("%d pictures were forgotten, %d files without one", forgotten, strays)
        return forgotten, strays

    async def _forget(self, before: float) -> int:
        needed = await self._database.read(lambda c: rows.needed(c, since=before))
        total = 0
        place: rows.Place | None = ("", "")
        while place is not None:
            unit = partial(rows.forget_unused, before=before, keep=needed, after=place, limit=BATCH)
            batch, place = await self._database.write(unit)
            for sha256 in batch:
                await self._store.remove(sha256, before=before)
            total += len(batch)
            if batch and place is not None:
                log.info("forgetting pictures: %d so far", total)
        return total

    async def _remove_strays(self, before: float) -> int:
        """Files that a crash left, or whose row another process has forgotten."""
        removed = 0
        old = await self._store.older(before)
        for at in range(0, len(old), BATCH):
            some = old[at : at + BATCH]
            known = await self._database.read(partial(rows.known, sha256s=some))
            for sha256 in some:
                if sha256 not in known:
                    removed += await self._store.remove(sha256, before=before)
        return removed

    async def _run(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            try:
                await self.tidy()
            except (KefuError, OSError) as error:
                log.warning("pictures cannot be forgotten now: %s", error)
            except Exception:
                log.exception("forgetting pictures failed")
            await asyncio.sleep(self._every_s)
