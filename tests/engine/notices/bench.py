"""The outbox's notices with places that a test plays."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from domain.errors import PeerError
from engine.delivery import Channel, Deliverer
from engine.metrics import Metrics
from engine.notices import NOTICE_CHANNELS, PATIENCE_S, STAFF, NoticeChannel, NoticeFan
from engine.settling import Settling
from storage import outbox
from storage.database import Database
from storage.effects import notice_channel
from storage.outbox import NewDelivery
from storage.paces import Pace
from storage.tasks import TaskBook
from tests.engine.processes import QUICK, ZONE
from tools.notify.protocol import StaffNotice
from tools.notify.targets import Kind, parse_targets

POLICY = replace(
    QUICK,
    outbox_backoff_base_s=0.01,
    outbox_backoff_max_s=0.02,
    patience_s=dict.fromkeys(NOTICE_CHANNELS, PATIENCE_S),
)
PAYLOAD = {
    "title": "需要人工介入",
    "text": "用户:小明",
    "priority": "high",
    "reason": "complaint",
}


@dataclass
class Place:
    """``fails``: what the next calls raise, in order; ``always``: what every call does."""

    read: list[StaffNotice] = field(default_factory=list)
    fails: list[PeerError] = field(default_factory=list)
    always: PeerError | None = None
    calls: int = 0

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        self.calls += 1
        if self.always is not None:
            raise self.always
        if self.fails:
            raise self.fails.pop(0)
        self.read.append(notice)

    @property
    def ids(self) -> list[str]:
        return [notice.notice_id for notice in self.read]


@dataclass
class Bench:
    """``places`` by the name that NOTIFICATION_CHANNEL gives them."""

    database: Database
    deliverer: Deliverer
    settling: Settling
    places: dict[str, Place]
    fan: NoticeFan

    async def notify(self, *keys: str, **changed: Any) -> None:
        """What a turn's commit does."""
        at = datetime.now(UTC).isoformat()
        new = [
            NewDelivery(
                key, f"notice:{key}", "notice", STAFF, "", "c_1", "t_1", {**PAYLOAD, **changed}
            )
            for key in keys
        ]
        await self.database.write(lambda c: outbox.add(c, new, at))
        for one in new:
            self.deliverer.wake(one.queue)

    async def rows(self, where: str = "1 = 1") -> list[tuple[Any, ...]]:
        sql = f"SELECT message_id, status, attempts, last_error FROM outbox WHERE {where}"
        return await self.database.read(
            lambda c: [tuple(row) for row in c.execute(text(f"{sql} ORDER BY id"))]
        )

    async def status(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self.rows()}

    async def until(self, done: Callable[[], Any], *, seconds: float = 60.0) -> None:
        ends = time.monotonic() + seconds
        while True:
            found = done()
            if await found if asyncio.iscoroutine(found) else found:
                return
            assert time.monotonic() < ends, "it did not happen in time"
            await asyncio.sleep(0.005)

    async def settled(self) -> None:
        async def nothing_pending() -> bool:
            return not await self.rows("status = 'pending'")

        await self.until(nothing_pending)


@contextlib.asynccontextmanager
async def notices_to(
    database: Database,
    named: str,
    *,
    rates: Mapping[str, Sequence[Pace]] | None = None,
    clock: Callable[[], float] = time.time,
    owner: str = "p1",
) -> AsyncIterator[Bench]:
    """``rates``: by name; else there are none."""
    targets = parse_targets(named)
    places = {target.name: Place() for target in targets}
    by_kind: dict[Kind, dict[str, Place]] = {}
    for target in targets:
        by_kind.setdefault(target.kind, {})[target.name] = places[target.name]
    fan = NoticeFan(targets)
    channels: dict[str, Channel] = {STAFF: fan}
    for kind, of_kind in by_kind.items():
        channels[notice_channel(kind)] = NoticeChannel(
            kind, of_kind, database, clock=clock, rates=rates or {"": ()}
        )
    settling = Settling(TaskBook(ZONE, callbacks=False), frozenset(channels))
    deliverer = Deliverer(
        database, channels, Metrics(), POLICY, owner=owner, settles=settling, clock=clock
    )
    try:
        yield Bench(database, deliverer, settling, places, fan)
    finally:
        await deliverer.stop(1.0)
