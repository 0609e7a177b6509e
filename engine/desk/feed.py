"""The desk's events for many listeners of one process: one look at the rows serves them all."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice, takewhile

from domain.desk import Agent, in_scope, meets
from storage import desk_events
from storage.database import Database
from storage.desk_events import DeskEventRow

log = logging.getLogger(__name__)
POLL_S = 0.25
"""Between two looks at what other processes have written; what this one writes wakes it."""
AGAIN_S = 0.02
"""Until the next look at a gap in the numbers, which mostly is a commit under way."""
GAP_S = 5.0
"""Then a gap is passed whatever holds it: no transaction of ours stands still for longer."""
KEPT = 2_000
_AT_ONCE = 500


class Feed:
    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._kept: deque[DeskEventRow] = deque(maxlen=KEPT)
        self._begins = 0
        """Every event after this number is kept, until the first is dropped."""
        self.newest = 0
        self._news = asyncio.Event()
        self._wake = asyncio.Event()
        self._gap: tuple[int, float] | None = None
        self._loop: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._loop is not None

    async def start(self) -> None:
        self.newest = self._begins = await self._database.read(desk_events.newest)
        self._loop = asyncio.create_task(self._run(), name="desk events")

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        self._tell()

    def wake(self) -> None:
        """This process has written some."""
        self._wake.set()

    async def news(self, after: int, timeout_s: float) -> int:
        """The newest number, as soon as it is above ``after``, or after ``timeout_s``."""
        ends = asyncio.get_running_loop().time() + timeout_s
        while self.newest <= after and self.running:
            left = ends - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                break
        return self.newest

    async def head(self) -> int:
        """The newest number there is."""
        if self.running:
            return self.newest
        return await self._database.read(desk_events.newest)

    async def after(self, who: Agent, last: int, limit: int) -> list[DeskEventRow]:
        """What ``who`` may see of what came after number ``last``, oldest first."""
        if self.running and last >= self._first_kept():
            news = list(takewhile(lambda event: event.id > last, reversed(self._kept)))
            return list(islice((event for event in reversed(news) if sees(who, event)), limit))
        return await self._from_rows(who, last, limit)

    def _first_kept(self) -> int:
        full = len(self._kept) == KEPT
        return self._kept[0].id - 1 if full else self._begins

    async def _from_rows(self, who: Agent, last: int, limit: int) -> list[DeskEventRow]:
        """Read on while nothing of it is in scope, so that an empty answer means the end."""
        found: list[DeskEventRow] = []
        until = self.newest if self.running else None
        while len(found) < limit:
            read = partial(desk_events.after, last=last, limit=_AT_ONCE, passed=0)
            page = await self._database.read(read)
            events = [e for e in page.events if until is None or e.id <= until]
            found += [event for event in events if sees(who, event)]
            if len(events) < _AT_ONCE:
                break
            last = events[-1].id
        return found[:limit]

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("reading the desk's events failed; again in %.2f s", POLL_S)
            try:
                async with asyncio.timeout(AGAIN_S if self._gap else POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        while True:
            page = await self._database.read(
                lambda c: desk_events.after(c, self.newest, limit=_AT_ONCE, passed=self._passed())
            )
            if page.events:
                self._kept.extend(page.events)
                self.newest, self._gap = page.events[-1].id, None
                self._tell()
            if page.gap is not None:
                self._gap = self._gap or (page.gap, self._clock())
            else:
                self._gap = None
            if page.gap is not None or len(page.events) < _AT_ONCE:
                return

    def _passed(self) -> int | None:
        if self._gap is None:
            return None
        number, since = self._gap
        return 0 if self._clock() - since > GAP_S else number

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def sees(who: Agent, event: DeskEventRow) -> bool:
    """Presence is for those who may have something in common with that agent."""
    if event.conversation_id:
        return in_scope(who.scopes, event.channel, event.account)
    return event.agent == who.id or meets(who.scopes, event.data.get("scopes", ()))
