"""An order runner over real pictures, and doors at which its work can be made to wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from domain.orders import OrderStatus, Workflow
from domain.pictures import PictureFacts
from engine.metrics import Metrics
from engine.orders.desk import DeskPolicy
from engine.orders.pictures import Looks
from engine.orders.work import OrderRunner
from storage import pictures as rows
from storage.database import Database
from storage.orders import OrderRow
from tests.engine.orders.desk import CHANNELS, NOW, Bench
from tests.engine.orders.unread import NoReader
from tools.pictures.fetch import PictureFetcher
from tools.pictures.intake import Pictures
from tools.pictures.provider import ImagesClient
from tools.pictures.store import PictureStore
from tools.pictures.workflow import Workshop

S = OrderStatus
LEASE_S = 30.0


@dataclass
class Door:
    """Open, or shut: who comes is then noted, and waits. Shutting it once lets the next pass."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.way.set()

    def shut(self) -> None:
        self.reached.clear()
        self.way.clear()

    async def passed(self) -> None:
        self.reached.set()
        await self.way.wait()


@dataclass
class Works:
    bench: Bench
    store: PictureStore
    pictures: Pictures
    http: httpx.AsyncClient
    shop: Workshop
    reading: Door = field(default_factory=Door)
    """Before a customer's picture is read."""
    keeping: Door = field(default_factory=Door)
    """Before what was made is stored."""
    metrics: Metrics = field(default_factory=Metrics)
    runners: list[OrderRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read: Callable[[str], Awaitable[bytes]] = self._read
        self.look: Looks = self._look

    @property
    def database(self) -> Database:
        return self.bench.database

    async def sent(self, data: bytes) -> str:
        """A picture that a customer has sent; its sha256."""
        return (await self.pictures.look(data, read_text=False)).sha256

    async def order(self, data: bytes | None, *said: str, **changes: Any) -> dict[str, Any]:
        """Confirmed, and due."""
        values: dict[str, Any] = {
            "status": S.CONFIRMED,
            "workflow": Workflow.PROCESS,
            "service": "process",
            "pictures": (await self.sent(data),) if data is not None else (),
            "images": (),
            "due_at": NOW,
        }
        return await self.bench.order("\n".join(said), **values | changes)

    def runner(
        self, owner: str = "p1", *, clock: Callable[[], float] = lambda: NOW, alone: bool = True
    ) -> OrderRunner:
        runner = OrderRunner(
            self.bench.desk,
            replace(self.shop, read=self.read),
            self.look,
            self.metrics,
            owner=owner,
            alone=alone,
            lease_s=LEASE_S,
            clock=clock,
        )
        self.runners.append(runner)
        return runner

    async def started(self) -> OrderRunner:
        runner = self.runner()
        self.bench.desk.on_due = runner.wake
        await runner.start()
        return runner

    async def _read(self, sha256: str) -> bytes:
        await self.reading.passed()
        return await self.store.read(sha256)

    async def _look(
        self, source: str | bytes, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts:
        if isinstance(source, bytes):
            await self.keeping.passed()
        return await self.pictures.look(source, read_text=read_text, deadline_s=deadline_s)

    async def row(self, order: dict[str, Any]) -> OrderRow:
        found = await self.database.read(lambda c: self.bench.desk.book.get(c, order["id"]))
        assert found is not None
        return found

    async def until(
        self, order: dict[str, Any], *statuses: OrderStatus, seconds: float = 60.0
    ) -> OrderRow:
        async with asyncio.timeout(seconds):
            while (row := await self.row(order)).status not in statuses:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.01)
        return row

    async def quiet(self) -> None:
        """Nothing is due, and nothing is worked on."""
        async with asyncio.timeout(60):
            while await self.bench.rows(  # noqa: ASYNC110 - rows tell nobody
                "SELECT 1 FROM image_tasks WHERE due_at IS NOT NULL OR lease_until > 0"
            ):
                await asyncio.sleep(0.01)

    async def known(self, sha256: str) -> PictureFacts | None:
        return await self.database.read(lambda c: rows.get_facts(c, sha256))

    def counted(self, outcome: str, workflow: str = "process") -> float:
        name = "kefu_orders_worked_total"
        labels = {"workflow": workflow, "outcome": outcome}
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def working(
    database: Database,
    folder: Path,
    *,
    dispatching: bool = True,
    images_url: str = "",
    **shop: Any,
) -> AsyncIterator[Works]:
    store = PictureStore(folder / "pictures")
    async with httpx.AsyncClient(trust_env=False) as http:
        fetcher = PictureFetcher(http, store, allow_private=True)
        pictures = Pictures(database, store, fetcher, NoReader())
        if images_url:
            shop["images"] = ImagesClient(images_url, "sk-test", "m", http, fetcher.fetch)
        policy = DeskPolicy(
            channels=CHANNELS,
            dispatching=dispatching,
            picture_url=lambda sha256: f"https://kefu.example/pictures/{sha256}",
            known_pictures=lambda sha256: store.path(sha256).is_file(),
        )
        bench = Bench(database, policy)
        await bench.customer_writes()
        works = Works(bench, store, pictures, http, Workshop(store.read, **shop))
        try:
            yield works
        finally:
            for runner in works.runners:
                await runner.stop(grace_s=0.0)
            await pictures.aclose()
