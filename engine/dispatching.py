"""Dispatches under way: what is due is taken under a lease and brought as far as it goes."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from engine.dispatch_steps import DispatchPolicy as DispatchPolicy
from engine.dispatch_steps import DispatchSteps, LostHold
from engine.dispatch_steps import DispatchWords as DispatchWords
from engine.leases import LeaseRunner
from storage.dispatches import DispatchRow

log = logging.getLogger(__name__)
LANE = "steps"
AT_ONCE = 16


class DispatchRunner(LeaseRunner[int]):
    """``on_queues`` is told of queues of the outbox that got something."""

    def __init__(
        self,
        steps: DispatchSteps,
        *,
        owner: str,
        alone: bool,
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            "dispatch",
            steps.database,
            steps.book,
            ((LANE, AT_ONCE),),
            owner=owner,
            alone=alone,
            lease_s=steps.policy.lease_s,
            clock=clock,
        )
        self._steps, self._book, self._on_queues = steps, steps.book, on_queues

    async def heard(self, tuhui_task: str) -> bool:
        """Tuhui, or somebody in its name, says that there is news of its task. Nothing of what was
        said is believed: the task is looked at at once. False if nobody waits for news of it."""
        known = await self._database.write(
            lambda c: self._book.hasten(c, tuhui_task, now=self._clock())
        )
        self.wake()
        return known

    async def _take(self, now: float, *, waits: bool) -> None:
        room = self._room(LANE)
        if not waits or room <= 0:
            return
        rows = await self._database.write(
            lambda c: self._book.claim_due(
                c, owner=self._owner, now=now, lease_s=self._lease_s, limit=room
            )
        )
        for row in rows:
            self._begin(LANE, (row.id,), partial(self._work, row))

    async def _work(self, row: DispatchRow) -> None:
        """As many steps as can be made now."""
        left: DispatchRow | None = row
        fresh = False
        try:
            while left is not None:
                moved = await self._steps.advance(left, fresh=fresh)
                self._on_queues(moved.queues)
                left, fresh = moved.row, moved.fresh
        except LostHold:
            log.info("dispatch %d went another way", row.id)
