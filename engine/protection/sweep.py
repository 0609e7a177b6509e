"""Data grows old: what is over is deleted, and what another key has sealed is sealed anew. One
process at a time does it, by a lease; each batch is a transaction of its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from domain.errors import KefuError
from engine.settings import Settings
from storage import protection, retention, watches
from storage.database import Database
from storage.protection import DONE, Step
from storage.retention import RULES, Old, Rule

log = logging.getLogger(__name__)
NAME = "protection"
EVERY_S = 3_600.0
FIRST_AFTER_S = 45.0
BATCH = 500
LEASE_S = 600.0
_BREATH_S = 0.05
"""Between two batches: conversations go on meanwhile."""
_DAY_S = 86_400.0


def retention_days(settings: Settings) -> dict[str, float]:
    """Days by kind; 0: for ever."""
    return {kind: getattr(settings, f"retention_{kind}_days") for kind in retention.KINDS}


class Protection:
    """One a process. ``owner`` names it; ``days``: by kind, 0 keeps for ever."""

    def __init__(
        self,
        database: Database,
        days: Mapping[str, float],
        *,
        owner: str,
        every_s: float = EVERY_S,
        first_after_s: float = FIRST_AFTER_S,
        batch: int = BATCH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._days, self._owner = database, dict(days), owner
        self._every_s, self._first_after_s = every_s, first_after_s
        self._batch, self._clock = batch, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="protection of data")

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self._database.write(lambda c: watches.let_go(c, NAME, self._owner))

    async def sweep(self) -> dict[str, int]:
        """Rows that were deleted, by table; empty where another process does it."""
        if not await self._holds():
            return {}
        if self._database.keys.ids:
            await self.reseal()
        deleted: dict[str, int] = {}
        for rule, before in self._due():
            if rows := await self._delete(rule, before):
                deleted[rule.table] = deleted.get(rule.table, 0) + rows
        return deleted

    async def old(self) -> list[Old]:
        """What `sweep` would delete."""
        return [
            await self._database.read(partial(retention.count, rule=rule, before=before))
            for rule, before in self._due()
        ]

    async def reseal(self, on_step: Callable[[Step], None] = lambda _: None) -> int:
        """Go on until every row is sealed with the first key; old keys are let go then. Returns
        how many values could not be read."""
        unreadable = changed = 0
        while True:
            step = await self._database.write(lambda c: protection.reseal(c, limit=self._batch))
            unreadable, changed = unreadable + step.unreadable, changed + step.changed
            on_step(step)
            if step.place != DONE:
                await self._breathe()
            elif changed and not unreadable:
                # Others may have written with the old key while the first rows were looked at.
                changed = 0
                await self._database.write(protection.begin_again)
            else:
                break
        if not unreadable:
            await self._database.write(protection.retire)
        return unreadable

    def _due(self) -> list[tuple[Rule, float]]:
        now = self._clock()
        kept = {kind: days for kind, days in self._days.items() if days > 0}
        return [(rule, now - kept[rule.kind] * _DAY_S) for rule in RULES if rule.kind in kept]

    async def _delete(self, rule: Rule, before: float) -> int:
        total = 0
        while True:
            rows = await self._database.write(
                lambda c: retention.delete(c, rule, before=before, limit=self._batch)
            )
            total += rows
            if rows < self._batch:
                return total
            await self._breathe()

    async def _breathe(self) -> None:
        await asyncio.sleep(_BREATH_S)
        await self._holds()

    async def _holds(self) -> bool:
        now = self._clock()
        return await self._database.write(
            lambda c: watches.hold(c, NAME, self._owner, now=now, lease_s=LEASE_S)
        )

    async def _run(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            try:
                deleted = await self.sweep()
                if deleted:
                    log.info("old rows were deleted: %s", deleted)
            except KefuError as error:
                log.warning("old rows cannot be deleted now: %s", error)
            except Exception:
                log.exception("deleting old rows failed")
            await asyncio.sleep(self._every_s)
