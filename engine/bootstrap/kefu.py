"""Everything that runs in one process, started and stopped."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import KefuError
from engine import collector
from engine.caches import Caches
from engine.campaigns.build import Campaigns
from engine.clients.build import Access
from engine.customers.build import Customers
from engine.desk.campus import CampusDesk
from engine.desk.desk import Desk
from engine.desk.watch import DeskWatch
from engine.dispatching import DispatchRunner
from engine.engine import Engine
from engine.figures.build import Figures
from engine.knowledge import Knowledge, import_samples
from engine.leases import LeaseRunner
from engine.metrics import Metrics
from engine.orders.desk import OrderDesk
from engine.orders.keeping import PictureKeeping
from engine.orders.links import PictureLinks
from engine.orders.pictures import PictureDesk
from engine.orders.work import OrderRunner
from engine.prices import Prices
from engine.protection.sweep import Protection
from engine.qingjian import QingjianLink
from engine.reviews.keeping import RecordKeeping
from engine.reviews.reviews import Reviews
from engine.rules.book import RuleBook
from engine.rules.dry_run import DryRuns
from engine.settings import Settings
from engine.tasks.desk import TaskDesk
from engine.tasks.work import TaskWork
from engine.tool_desk import ToolDesk
from engine.tracing import NO_TRACING, Tracing
from engine.upkeep import Upkeep
from engine.wakeups import Wakeups
from engine.wechat.build import Wechat
from engine.wecom.build import Wecom
from graphs.context import Services
from knowledge.lock import FolderLock
from storage import outbox
from tools.models.gateway import ModelGateway
from tools.pictures.intake import Pictures
from tools.pictures.vision import Vision
from tools.qingjian.protocol import CHANNEL as QINGJIAN
from tools.registry import ToolRegistry

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Kefu:
    """Everything that runs in one process; build it with `build`, then `start` and `stop` it."""

    settings: Settings
    engine: Engine
    services: Services
    knowledge: Knowledge
    upkeep: Upkeep
    models: ModelGateway | None
    http: httpx.AsyncClient
    metrics: Metrics
    lock: FolderLock | None
    task_work: TaskWork
    tools: ToolRegistry
    tool_desk: ToolDesk
    qingjian: QingjianLink | None
    pictures: Pictures
    picture_http: httpx.AsyncClient
    orders: OrderDesk
    picture_desk: PictureDesk
    dispatching: DispatchRunner | None
    prices: Prices
    rules: RuleBook
    dry_runs: DryRuns
    vision: Vision | None
    order_runner: OrderRunner
    links: PictureLinks
    keeping: PictureKeeping | None
    campus_desk: CampusDesk
    reviews: Reviews
    record_keeping: RecordKeeping
    desk: Desk
    desk_watch: DeskWatch
    campaigns: Campaigns
    wakeups: Wakeups
    access: Access
    started_at: float = field(default_factory=time.time)
    draining: bool = False
    warming: "asyncio.Task[None] | None" = None
    protection: Protection | None = None
    wecom: Wecom | None = None
    wechat: Wechat | None = None
    caches: Caches | None = None
    tracing: Tracing = NO_TRACING
    customers: Customers = field(init=False)
    figures: Figures = field(init=False)

    @property
    def tasks(self) -> TaskDesk:
        return self.task_work.desk

    async def start(self, *, samples: bool = False) -> None:
        """``samples``: fill a database that never held knowledge with the sample bases."""
        if samples and await self.knowledge.is_untouched():
            log.info("sample knowledge: %d entries", await import_samples(self.knowledge.base))
        if self.wakeups.works:
            await self._start_work()
        else:
            await self._leave_work()
        await self.desk.start()
        await self.access.watch.start()
        await self.figures.watch.start()
        self.prices.start()
        self.rules.start()
        self.warming = asyncio.create_task(self._warm(), name="warm")

    async def _start_work(self) -> None:
        """What any process that answers customers does by itself."""
        runners = {runner.what: runner for runner in self._runners()}
        self.wakeups.on_due = lambda what: runners[what].wake() if what in runners else None
        await self.engine.start()
        await self.task_work.start()
        if self.dispatching is not None:
            await self.dispatching.start()
        await self.order_runner.start()
        await self.desk_watch.start()
        await self.campaigns.runner.start()
        if self.qingjian is not None:
            await self.qingjian.start(self.engine.receive, on_connected=self._qingjian_is_back)
        if self.wecom is not None:
            await self.wecom.start()

    async def _leave_work(self) -> None:
        """Other processes do that: they are told of it."""
        for runner in self._runners():
            runner.on_due_elsewhere = partial(self.wakeups.due, runner.what)
        await self.engine.start()
        if self.wecom is not None:
            await self.wecom.take_bells()

    def _runners(self) -> list[LeaseRunner[Any]]:
        pulled = self.wecom.puller if self.wecom is not None else None
        campaigns = self.campaigns.runner
        found = (self.task_work.runner, self.order_runner, self.dispatching, pulled, campaigns)
        return [runner for runner in found if runner is not None]

    def _qingjian_is_back(self) -> None:
        self.engine.database.write(lambda c: outbox.hasten(c, QINGJIAN))

    async def _warm(self) -> None:
        """What the first message would otherwise pay for; nobody waits for it."""
        try:
            await self.knowledge.retriever.warm()
        except (KefuError, OSError, SQLAlchemyError) as error:
            self.metrics.knowledge_failures.labels("warm").inc()
            log.error("knowledge is not available, questions go to people: %s", error)
        self.upkeep.start()
        if self.keeping is not None:
            self.keeping.start()
        self.record_keeping.start()
        if self.protection is not None:
            self.protection.start()
        self.customers.keeping.start()
        if self.models is not None:
            await self.models.warm()
        collector.hold_back()

    async def stop(self) -> None:
        """Graceful: running turns finish or are given back, deliveries stay in the outbox."""
        if self.warming is not None and not self.warming.done():
            self.warming.cancel()
            await asyncio.gather(self.warming, return_exceptions=True)
        await self.prices.stop()
        await self.rules.stop()
        if self.wecom is not None:
            await self.wecom.stop()
        if self.wechat is not None:
            await self.wechat.stop()
        if self.keeping is not None:
            await self.keeping.stop()
        await self.customers.keeping.stop()
        await self.record_keeping.stop()
        if self.protection is not None:
            await self.protection.stop()
        await self.campaigns.runner.stop()
        await self.figures.watch.stop()
        await self.access.watch.stop()
        await self.desk_watch.stop()
        await self.desk.stop()
        await self.order_runner.stop()
        if self.dispatching is not None:
            await self.dispatching.stop()
        await self.task_work.stop()
        await self.engine.stop()
        if self.qingjian is not None:
            await self.qingjian.stop()
        await self.upkeep.stop()
        await self.pictures.aclose()
        await self.picture_http.aclose()
        await self.knowledge.aclose()
        if self.models is not None:
            await self.models.aclose()
        if self.vision is not None:
            await self.vision.aclose()
        await self.http.aclose()
        if self.caches is not None:
            await self.caches.aclose()
        await self.tracing.aclose()
        await asyncio.to_thread(self.engine.database.close)
        if self.lock is not None:
            self.lock.release()
        collector.let_go()
