"""Names of customers of customer service: asked for after their messages are stored, many at once,
and by nobody who waits for them."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from domain.errors import PeerError
from domain.messages import MAX_NAME_CHARS
from domain.text import one_line
from storage import kf_names
from storage.database import Database
from tools.wecom.kf import MAX_CUSTOMERS, KfClient

log = logging.getLogger(__name__)
SHARE_S = 1.0
"""Whoever writes within it is asked about in the same call."""
AGAIN_S = 86_400.0
"""After so long somebody without a name is asked about again."""
FAILED_S = 60.0
_MAX_KEPT = 20_000


class KfNames:
    def __init__(
        self,
        client: KfClient,
        database: Database,
        *,
        share_s: float = SHARE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._database = client, database
        self._share_s, self._clock = share_s, clock
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._open: OrderedDict[str, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="names of kf customers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def heard_of(self, customer: str) -> None:
        """They have written; returns at once."""
        now = self._clock()
        if now - self._asked.get(customer, 0.0) < AGAIN_S:
            return
        self._asked[customer] = now
        self._asked.move_to_end(customer)
        self._open[customer] = None
        for kept in (self._asked, self._open):
            while len(kept) > _MAX_KEPT:
                kept.popitem(last=False)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._share_s)
            while self._open:
                await self._next()

    async def _next(self) -> None:
        count = min(MAX_CUSTOMERS, len(self._open))
        customers = [self._open.popitem(last=False)[0] for _ in range(count)]
        try:
            await self._ask(customers)
        except PeerError as error:
            log.warning("names of %d customers are not known: %s", len(customers), error)
            self._forget(customers)
        except Exception:
            log.exception("names of %d customers are not kept", len(customers))
            self._forget(customers)

    def _forget(self, customers: list[str]) -> None:
        """Asked about again with a later message, but not with each."""
        again_from = self._clock() - AGAIN_S + FAILED_S
        self._asked |= dict.fromkeys(customers, again_from)

    async def _ask(self, customers: list[str]) -> None:
        unnamed = await self._database.read(lambda c: kf_names.unnamed(c, customers))
        if not unnamed:
            return
        for one in await self._client.customers(tuple(unnamed)):
            shown = one_line(one.nickname)[:MAX_NAME_CHARS]
            if shown and one.external_userid in unnamed:
                await self._name(one.external_userid, shown)

    async def _name(self, customer: str, shown: str) -> None:
        await self._database.write(lambda c: kf_names.name(c, customer, shown))
