"""Orders that need no person: found or processed, and delivered; what fails is a designer's.

What is made is made for one version of an order. Whatever changes the order meanwhile, what the
customer wants, a cancellation, a person who delivers, leaves the work without its order: it is
stopped, and done anew where the order still wants it. A process that dies leaves an order that is
at work and due: it is begun again, so often at most, since the picture itself may be what kills.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection

from domain.errors import InvalidInput, PeerError
from domain.orders import OrderStatus, Workflow
from domain.pictures import PictureFacts
from domain.text import fold
from engine.leases import STOP_GRACE_S, LeaseRunner
from engine.metrics import Metrics
from engine.orders import words
from engine.orders.desk import OrderDesk
from engine.orders.pictures import Looks
from graphs.order_work import run
from storage.orders import OrderRow
from tools.pictures.workflow import Outcome, WorkflowOrder, Workshop

log = logging.getLogger(__name__)
ACTOR = "runner"
AT_ONCE = 1
"""A picture of 50 million pixels in work is 200 MB and more, and a whole core."""
RESTING_AT_ONCE = 32
MAX_INTERRUPTIONS = 3
EXPIRED = "报价已过期"
S = OrderStatus
_WORK, _REST = "work", "rest"
_LANES = {
    _WORK: frozenset({S.CONFIRMED, S.REWORK, S.WORKING}),
    _REST: frozenset(S) - {S.CONFIRMED, S.REWORK, S.WORKING},
}
_INTERRUPTED = {"by": words.MACHINE, "result": "interrupted", "reason": "处理被中断"}
_NOT_SOUGHT = re.compile(
    r"[\W_]+|一?[张幅个份]|的?(?:原图|高清图?|大图|无水印|图片?|照片|素材)|请|麻烦|想要?|需要|有没有"
    r"|能不能|可以|帮我?|给我|我|你|您|找到?|搜一?下?|看看|看|一下|这种|这样|类似|有|吗|呢|吧|的|要"
)


@dataclass(frozen=True, slots=True)
class _Made:
    """``deliverables``: sha256 of what is in the store by now."""

    outcome: Outcome
    deliverables: tuple[str, ...] = ()


class OrderRunner(LeaseRunner[int]):
    """``look``: facts of a picture that is in the store, or is put there. ``at_once``: orders in
    work in this process."""

    def __init__(
        self,
        desk: OrderDesk,
        shop: Workshop,
        look: Looks,
        metrics: Metrics,
        *,
        owner: str,
        alone: bool,
        lease_s: float,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            "order",
            desk.database,
            desk.book,
            ((_WORK, at_once), (_REST, RESTING_AT_ONCE)),
            owner=owner,
            alone=alone,
            lease_s=lease_s,
            clock=clock,
        )
        self._desk, self._book, self._shop, self._look_at = desk, desk.book, shop, look
        self._metrics = metrics
        self._making: dict[int, tuple[int, asyncio.Task[_Made]]] = {}
        self._warming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self._warming = asyncio.create_task(self._warm(), name="picture library")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await super().stop(grace_s)

    async def _warm(self) -> None:
        """The first look at a large library takes longer than an order may."""
        if self._shop.library is None:
            return
        try:
            await self._shop.library.find(None)
        except Exception:
            log.exception("the picture library cannot be looked through")

    async def _look(self) -> None:
        await self._stop_outdated()
        await super()._look()

    async def _stop_outdated(self) -> None:
        """Nobody wants what is made for an order that has changed."""
        making = dict(self._making)
        if not making:
            return
        now = await self._database.read(lambda c: {at: self._book.get(c, at) for at in making})
        for order_id, (version, task) in making.items():
            row = now[order_id]
            if row is None or row.version != version:
                task.cancel()

    async def _take(self, now: float, *, waits: bool) -> None:
        for lane, statuses in _LANES.items() if waits else ():
            room = self._room(lane)
            if room <= 0:
                continue
            claim = partial(
                self._book.claim_due,
                owner=self._owner,
                now=now,
                lease_s=self._lease_s,
                limit=room,
                statuses=statuses,
            )
            for row in await self._database.write(claim):
                do = self._work if lane == _WORK else self._rest
                self._begin(lane, (row.id,), partial(do, row))

    # What does not want work ---------------------------------------------------------------

    async def _rest(self, row: OrderRow) -> None:
        if row.status is not S.QUOTED:
            await self._nothing_due(row)
            return
        try:
            await self._desk.cancel(row.id, EXPIRED, actor=ACTOR, version=row.version, tell=False)
        except InvalidInput:
            await self._give_back(row)
            return
        self._count(row, "expired")
        log.info("order %d: its quote has expired", row.id)

    async def _nothing_due(self, row: OrderRow) -> None:
        def unit(connection: Connection) -> None:
            now = self._book.get(connection, row.id)
            if now is not None and now.version == row.version:
                self._book.look_again(connection, row.id, self._owner, due_at=None)
            else:
                self._book.give_back(connection, row.id, self._owner)

        await self._database.write(unit, key=f"order:{row.id}")

    async def _give_back(self, row: OrderRow) -> None:
        """As it is by now it is claimed again, if it is due."""
        await self._database.write(
            lambda c: self._book.give_back(c, row.id, self._owner), key=f"order:{row.id}"
        )

    # Work ----------------------------------------------------------------------------------

    async def _work(self, claimed: OrderRow) -> None:
        if claimed.workflow is Workflow.DESIGN:
            await self._nothing_due(claimed)
            return
        order = await self._begun(claimed)
        while order is not None:
            began = time.perf_counter()
            made = await self._made(order)
            if made is not None and await self._settled(order, made):
                self._ended(order, made, time.perf_counter() - began)
                return
            log.info("order %d has changed: what was made for it is dropped", order.id)
            self._count(order, "outdated")
            order = await self._anew(order)
        await self._give_back(claimed)

    def _ended(self, order: OrderRow, made: _Made, took: float) -> None:
        self._count(order, made.outcome.kind)
        self._metrics.order_seconds.labels(order.workflow).observe(took)
        said = f": {made.outcome.reason}" if made.outcome.reason else ""
        log.info("order %d, %s after %.1f s%s", order.id, made.outcome.kind, took, said)

    async def _anew(self, order: OrderRow) -> OrderRow | None:
        """What it has become, where it is still for us to work on; who has begun it again after
        our lease ran out has noted so."""
        now = await self._database.read(lambda c: self._book.get(c, order.id))
        if now is None or now.version == order.version or now.status is not S.WORKING:
            return None
        return now if now.tried == order.tried else None

    async def _begun(self, order: OrderRow) -> OrderRow | None:
        """The order at work, still due and held by us; None if it has changed."""

        def unit(connection: Connection) -> OrderRow | None:
            now = self._clock()
            if order.status is S.WORKING:
                return self._book.note_tried(
                    connection, order, _INTERRUPTED, actor=ACTOR, now=now, due_at=now
                )
            return self._book.set_status(
                connection,
                order,
                S.WORKING,
                actor=ACTOR,
                now=now,
                due_at=now,
                lease=(self._owner, now + self._lease_s),
            )

        return await self._database.write(unit, key=f"order:{order.id}")

    async def _made(self, order: OrderRow) -> _Made | None:
        """None where the order has changed before it was done."""
        making = asyncio.create_task(self._make(order), name=f"order {order.id} is made")
        self._making[order.id] = (order.version, making)
        try:
            await asyncio.wait({making})
        finally:
            self._making.pop(order.id, None)
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
        return None if making.cancelled() else making.result()

    async def _make(self, order: OrderRow) -> _Made:
        if _interruptions(order) >= MAX_INTERRUPTIONS:
            return _given_up(f"处理 {MAX_INTERRUPTIONS} 次都被中断")
        try:
            facts = await self._facts(order)
        except (InvalidInput, PeerError) as error:
            return _given_up(f"客户的图片取不到:{error.reason}")
        wanted = WorkflowOrder(
            order.workflow,
            order.service,
            tuple(order.requirement.splitlines()),
            facts,
            words=() if facts else words_sought(order.requirement),
        )
        outcome = await run(wanted, self._shop)
        return await self._kept(order, outcome) if outcome.kind == "delivered" else _Made(outcome)

    async def _facts(self, order: OrderRow) -> tuple[PictureFacts, ...]:
        sources = [f"picture:{one}" for one in order.pictures] or list(order.images)
        return tuple([await self._look_at(source, read_text=False) for source in sources])

    async def _kept(self, order: OrderRow, outcome: Outcome) -> _Made:
        """Its pictures in the store. The same as before is nothing new for the customer."""
        try:
            facts = [await self._look_at(one, read_text=False) for one in outcome.pictures]
        except (InvalidInput, PeerError) as error:
            return _given_up(f"成品不能保存:{error.reason}", outcome.tried)
        made = tuple(dict.fromkeys(one.sha256 for one in facts))
        if order.deliverables and set(made) <= set(order.deliverables):
            return _given_up("重做的结果和上次交付的一样", outcome.tried)
        return _Made(outcome, made)

    async def _settled(self, order: OrderRow, made: _Made) -> bool:
        """False if the order has changed: neither delivered nor given up."""
        outcome, version = made.outcome, order.version
        try:
            if outcome.kind == "designer":
                tried, reason = outcome.tried, outcome.reason
                await self._desk.give_up(order.id, tried, reason, actor=ACTOR, version=version)
            else:
                said = "\n".join(outcome.said)
                await self._desk.deliver(
                    order.id, made.deliverables, actor=ACTOR, note=said, version=version
                )
        except InvalidInput as error:
            if error.status != 409:
                raise
            return False
        return True

    def _count(self, order: OrderRow, outcome: str) -> None:
        self._metrics.orders.labels(order.workflow, outcome).inc()


def words_sought(requirement: str) -> tuple[str, ...]:
    """What of a customer's words names what is on the picture that they look for."""
    parts = [part for part in _NOT_SOUGHT.split(fold(requirement)) if part]
    return tuple(dict.fromkeys(part for part in parts if len(part) > 1)) or tuple(parts[:1])


def _given_up(reason: str, tried: Sequence[Mapping[str, Any]] = ()) -> _Made:
    return _Made(Outcome("designer", tried=tuple(map(dict, tried)), reason=reason))


def _interruptions(order: OrderRow) -> int:
    """Without an end since its work began last."""
    last = takewhile(lambda one: one.get("result") == "interrupted", reversed(order.tried))
    return sum(1 for _ in last)
