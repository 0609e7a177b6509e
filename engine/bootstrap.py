"""The composition root: the one place that builds clients and puts the parts together."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from domain.desk import Mode
from domain.errors import ConfigurationError, KefuError, KnowledgeError
from domain.lru import ByteLru
from domain.pricing import PriceBook
from domain.risk import RiskPolicy
from domain.rules import RuleSet
from engine import collector
from engine.caches import Caches, build_caches
from engine.campaigns.build import Campaigns, build_campaigns
from engine.campaigns.build import heard as heard_of_campaigns
from engine.channels import CallbackChannel, RobotChannel, StaffChannel, WebhookChannel
from engine.clients.build import Access, build_access
from engine.context import context_policy
from engine.customers.build import Customers, build_customers
from engine.deliverables import Deliverables
from engine.delivery import Channel, Deliverer
from engine.desk.build import build_desk
from engine.desk.campus import CampusDesk
from engine.desk.desk import Desk
from engine.desk.watch import DeskWatch
from engine.desk_turns import TurnDesk
from engine.dispatch_steps import DispatchPolicy, DispatchSteps, DispatchWords
from engine.dispatching import DispatchRunner
from engine.engine import Engine
from engine.figures.build import Figures, build_figures
from engine.figures.parts import Outside
from engine.knowledge import SAMPLES as SAMPLES
from engine.knowledge import Knowledge as Knowledge
from engine.knowledge import build_knowledge as build_knowledge
from engine.knowledge import import_samples as import_samples
from engine.leases import LeaseRunner
from engine.metrics import Metrics
from engine.model_calls import CallsBesideTurns
from engine.notices import NOTICE_CHANNELS, build_notices
from engine.notices import PATIENCE_S as NOTICE_PATIENCE_S
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.keeping import PictureKeeping
from engine.orders.links import PictureLinks
from engine.orders.pictures import PictureDesk
from engine.orders.turns import TurnOrders
from engine.orders.work import OrderRunner
from engine.policy import EnginePolicy
from engine.prices import Prices
from engine.protection.keys import adopt, field_keys
from engine.protection.sweep import Protection, retention_days
from engine.qingjian import QingjianChannel, QingjianLink
from engine.reviews.build import build_record_keeping, build_reviews, recording
from engine.reviews.keeping import RecordKeeping
from engine.reviews.records import RecordTurn
from engine.reviews.reviews import Reviews
from engine.rules.book import RuleBook
from engine.rules.build import build_rules, mood_policy
from engine.rules.dry_run import DryRuns
from engine.rules.turns import TurnRules
from engine.settings import Settings
from engine.settling import Settling
from engine.tasks.acting import ActingPolicy
from engine.tasks.desk import TaskDesk
from engine.tasks.turns import TurnTasks
from engine.tasks.work import TaskPolicy, TaskWork
from engine.tool_desk import ToolDesk
from engine.tracing import NO_TRACING, Tracing, build_tracing, silence_langchain
from engine.turns import Heard, Turns
from engine.upkeep import MeasuredSearch, Upkeep
from engine.waiting import WaitingRoom
from engine.wakeups import Wakeups
from engine.wechat.build import Wechat, build_wechat, hold_s
from engine.wecom.build import KF_PATIENCE_S, Wecom, build_wecom, join_kf, staff_app
from engine.wecom.member_channel import PATIENCE_S as MEMBERS_PATIENCE_S
from engine.workshop import build_keeping, build_links, build_workshop, picture_fetcher
from graphs.classifier.model import IntentClassifier
from graphs.context import Searches, Services
from graphs.conversation import build_conversation_graph
from graphs.desk import DeskTalk
from graphs.order_words import OrderWords
from graphs.templates import Templates
from knowledge.lock import FolderLock
from storage import history, outbox
from storage.checkpoints import RowCheckpointSaver
from storage.database import Database
from storage.kf import CHANNEL as KF
from storage.line import Line
from storage.migrate import migrate
from storage.orders import OrderBook
from storage.tasks import CALLBACK_CHANNEL, TaskBook
from storage.turns import TurnCommit
from tools.catalog import catalogue
from tools.catalog.handing_over import TUHUI
from tools.models.gateway import ModelGateway
from tools.models.ledger import start_of_day
from tools.models.prices import parse_prices
from tools.models.providers import ProviderConfig, provider_config
from tools.notify.client import StaffNotifier
from tools.pictures.decoding import Limits
from tools.pictures.intake import Pictures
from tools.pictures.ocr import Measurer, TextReader
from tools.pictures.store import PictureStore
from tools.pictures.vision import MAX_TOKENS, Vision
from tools.qingjian.mapping import load_mapping
from tools.qingjian.protocol import CHANNEL as QINGJIAN
from tools.qingyunke.client import Qingyunke
from tools.registry import ToolRegistry
from tools.tianwang.client import CallbackClient
from tools.tuhui.client import TuhuiClient
from tools.webhook.client import WebhookClient
from tools.wechat.messages import CHANNEL as WECHAT
from tools.wecom.app_inbox import CHANNEL as MEMBERS
from tools.wecom.robot import GroupRobot

log = logging.getLogger(__name__)
VISION = "vision"
"""As calls of the vision model are recorded."""
QINGJIAN_PATIENCE_S = 7_200.0
"""It runs on somebody's desk: an answer may wait for the end of a lunch break."""
_DEFAULTS = resources.files("engine") / "defaults"


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


def build(settings: Settings, *, worker: bool = False) -> Kefu:
    """``worker``: it works, whatever the settings say of a process that listens. Raises
    ConfigurationError where a setting or one of its files cannot be used."""
    lock = _lock_data_folder(settings)
    try:
        return _build(settings, lock, works=worker or settings.role == "all")
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _build(settings: Settings, lock: FolderLock | None, *, works: bool) -> Kefu:
    database = open_database(settings)
    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256, max_keepalive_connections=64))
    metrics = Metrics()
    caches = build_caches(settings, database, metrics)
    knowledge = build_knowledge(settings, database, metrics=metrics, answers=caches.answers)
    models = build_models(settings, tokens_today=_tokens_today(settings, database))
    search = MeasuredSearch(knowledge.retriever, metrics)
    registry = ToolRegistry(catalogue())
    picture_http = httpx.AsyncClient(trust_env=False)  # a proxy would connect past our wall
    measurer = Measurer(picture_limits(settings), idle_s=settings.ocr_idle_s)
    store = picture_store(settings, measurer)
    vision = build_vision(settings, database, metrics, store)
    pictures = build_pictures(settings, database, picture_http, store, measurer, vision)
    picture_desk = PictureDesk(store, pictures.look, deadline_s=settings.picture_read_s)
    prices = Prices(settings.price_book_file, _default(None, "price_book.yaml"), metrics)
    rules = build_rules(settings, database, registry, build_templates(settings), metrics)
    services = build_services(
        settings, search, models, registry, pictures, prices.book, rules.rules
    )
    services = replace(services, chatter=build_chatter(settings, http))
    links = build_links(settings)
    upkeep = Upkeep(knowledge, metrics, sweep_s=settings.learn_sweep_s)
    qingjian = build_qingjian(settings, database, metrics)
    picture = Deliverables(store, picture_fetcher(settings, picture_http, store).fetch)
    wecom = build_wecom(settings, database, http, metrics, picture=picture)
    channels = build_channels(settings, http, qingjian) | (wecom.channels if wecom else {})
    wechat = build_wechat(settings, database, http, metrics, picture=picture)
    channels |= wechat.channels if wechat else {}
    channels |= build_notices(settings, database, http, app=staff_app(settings, wecom))
    notices = wechat.order_notices() if wechat else None
    reach = frozenset(channels) | ({TUHUI} if settings.tuhui_url else frozenset())
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
    line = None if database.is_sqlite else Line(database.url)
    wakeups = Wakeups(line, owner=owner, works=works)
    work = TaskWork(
        database,
        registry,
        metrics,
        task_policy(settings, reach),
        owner=owner,
        alone=database.is_sqlite,
    )
    orders = OrderDesk(
        database,
        OrderBook(),
        tasks=work.book,
        requote=prices.requote,
        words=OrderWords(services.templates),
        policy=DeskPolicy(
            channels=frozenset(channels),
            dispatching=bool(settings.tuhui_url),
            picture_url=links.url,
            known_pictures=picture_desk.has,
            on_delivered=notices.delivered if notices else None,
        ),
    )
    turn_orders = TurnOrders(orders)
    desk = build_desk(settings, database, services.templates, channels, book=work.book)
    parts = assemble_engine(
        database,
        services,
        channels,
        engine_policy(settings),
        owner=owner,
        alone=database.is_sqlite,
        wakeups=wakeups,
        metrics=metrics,
        on_commit=_each(
            upkeep.note,
            _desk_told(desk.feed.wake),
            *((wechat.committed,) if wechat else ()),
            *((wecom.committed,) if wecom else ()),
        ),
        tasks=TaskParts(work.turns, Settling(work.book, frozenset(channels))),
        orders=turn_orders,
        desk=TurnDesk(
            database,
            desk.standing,
            settings.max_queue_length,
            settings.zone(),
            desk.policy.pooled,
        ),
        record=recording(settings),
        rules=TurnRules(
            database, work.book, metrics, zone=settings.zone(), channels=frozenset(channels)
        ),
        context=caches.context,
        heard=heard_of_campaigns,
    )
    work.on_queues = orders.on_queues = desk.on_queues = parts.wake_queues
    desk.on_conversations, parts.engine.on_talk = parts.engine.look, desk.feed.wake
    if wechat is not None:
        wechat.connect(parts.engine, services.templates, parts.wake_queues, pictures)
    if wecom is not None:
        join_kf(
            wecom,
            parts.engine,
            settings,
            services.templates,
            owner=owner,
            on_queues=parts.wake_queues,
            pictures=pictures,
        )
    tool_desk = ToolDesk(
        registry,
        database,
        book=work.book,
        zone=settings.zone(),
        channels=reach,
        on_queues=parts.wake_queues,
    )
    dispatching = build_dispatching(
        settings,
        http,
        orders,
        DispatchPolicy(
            frozenset(channels),
            DispatchWords(
                arranged=services.templates.render("dispatch_arranged", seed=""),
                waiting=services.templates.render("dispatch_waiting", seed=""),
            ),
            lease_s=max(settings.lease_s, 3 * settings.tuhui_timeout_s),
            sla_s=settings.tuhui_sla_s,
            wait_s=settings.tuhui_wait_s,
            skills={name: frozenset(kinds) for name, kinds in settings.tuhui_skills.items()},
        ),
        tasks=work.book,
        database=database,
        owner=owner,
        on_queues=parts.wake_queues,
    )
    order_runner = OrderRunner(
        orders,
        build_workshop(settings, http, picture_http, store),
        pictures.look,
        metrics,
        owner=owner,
        alone=database.is_sqlite,
        lease_s=settings.lease_s,
    )
    runners = [order_runner, *([dispatching] if dispatching is not None else [])]

    def wake_runners() -> None:
        for runner in runners:
            runner.wake()

    orders.on_due = wake_runners
    kefu = Kefu(
        settings,
        parts.engine,
        services,
        knowledge,
        upkeep,
        models,
        http,
        metrics,
        lock,
        work,
        registry,
        tool_desk,
        qingjian,
        pictures,
        picture_http,
        orders,
        picture_desk,
        dispatching,
        prices,
        rules,
        DryRuns(database, services.classifier, settings.zone()),
        vision,
        order_runner,
        links,
        build_keeping(settings, database, store),
        CampusDesk(desk),
        build_reviews(
            settings,
            database,
            lambda: kefu.services,
            knowledge,
            metrics,
            store,
            turn_orders,
        ),
        build_record_keeping(settings, database),
        desk,
        DeskWatch(desk, owner=owner, alone=database.is_sqlite),
        build_campaigns(
            settings,
            database,
            services.templates,
            frozenset(channels),
            metrics,
            book=work.book,
            owner=owner,
            on_queues=parts.wake_queues,
        ),
        wakeups=wakeups,
        access=build_access(
            settings,
            database,
            channels,
            book=work.book,
            owner=owner,
            on_queues=parts.wake_queues,
        ),
    )

    def take(**new: Any) -> None:
        kefu.services = replace(kefu.services, **new)
        parts.turns.use(kefu.services)

    prices.on_change = lambda book: take(price_book=book)
    rules.on_change = lambda found: take(rules=found)
    kefu.figures = build_figures(
        settings,
        database,
        metrics,
        Outside(
            lambda: models.snapshot() if models is not None else (),
            lambda: knowledge.retriever.sight is not None,
        ),
        book=work.book,
        channels=frozenset(channels),
        owner=owner,
        on_queues=parts.wake_queues,
    )
    kefu.protection = Protection(database, retention_days(settings), owner=owner)
    kefu.wecom, kefu.wechat, kefu.caches = wecom, wechat, caches
    kefu.tracing = build_tracing(settings, metrics)
    parts.turns.traces.tracing = parts.deliverer.tracing = kefu.tracing
    kefu.customers = build_customers(settings, database, store)
    return kefu


def _desk_told(wake: Callable[[], None]) -> Callable[[TurnCommit], None]:
    """Who looks on at the desk need not wait for the next look at the rows."""

    def tell(commit: TurnCommit) -> None:
        if commit.handoff is not None or commit.claim.mode != Mode.BOT:
            wake()

    return tell


def _each(*told: Callable[[TurnCommit], None]) -> Callable[[TurnCommit], None]:
    def tell(commit: TurnCommit) -> None:
        for one in told:
            one(commit)

    return tell


@dataclass(frozen=True, slots=True)
class EngineParts:
    engine: Engine
    turns: Turns
    deliverer: Deliverer

    def wake_queues(self, queues: Sequence[str]) -> None:
        self.engine.wake_queues(queues)


@dataclass(frozen=True, slots=True)
class TaskParts:
    """What of tasks the turns and the deliveries need."""

    turns: TurnTasks
    settling: Settling


def assemble_engine(
    database: Database,
    services: Services,
    channels: Mapping[str, Channel],
    policy: EnginePolicy,
    *,
    owner: str,
    alone: bool,
    wakeups: Wakeups | None = None,
    clock: Callable[[], float] = time.time,
    metrics: Metrics | None = None,
    on_commit: Callable[[TurnCommit], None] | None = None,
    tasks: TaskParts | None = None,
    orders: TurnOrders | None = None,
    desk: TurnDesk | None = None,
    record: RecordTurn | None = None,
    rules: TurnRules | None = None,
    context: ByteLru[str, CheckpointTuple] | None = None,
    heard: Heard | None = None,
) -> EngineParts:
    """The engine over a started database. ``owner`` names this process in leases; ``on_commit`` is
    told of each turn that was committed. ``desk``: None: customers are told no places.
    ``record``: what is kept of a run."""
    metrics, waiting = metrics or Metrics(), WaitingRoom()
    saver = RowCheckpointSaver(database, recent=context)
    deliverer = Deliverer(
        database,
        channels,
        metrics,
        policy,
        owner=owner,
        settles=tasks.settling if tasks else None,
        clock=clock,
    )

    wakeups = wakeups or Wakeups(None, owner=owner, works=True)
    turns = Turns(
        database,
        build_conversation_graph(checkpointer=saver),
        saver,
        services,
        waiting,
        metrics,
        policy,
        owner=owner,
        notices="staff" in channels,
        on_deliveries=lambda queues: engine.wake_queues(queues),
        on_commit=on_commit,
        on_answered=wakeups.answered,
        tasks=tasks.turns if tasks else None,
        orders=orders,
        record=record,
        rules=rules,
        heard=heard,
        desk=desk or TurnDesk(database),
        clock=clock,
    )
    engine = Engine(
        database,
        turns,
        deliverer,
        waiting,
        services.templates,
        metrics,
        policy,
        owner=owner,
        alone=alone,
        wakeups=wakeups,
        clock=clock,
    )
    return EngineParts(engine, turns, deliverer)


def _lock_data_folder(settings: Settings) -> FolderLock | None:
    """On SQLite one process owns the data folder; PostgreSQL is made for many."""
    if not settings.database_dsn().startswith("sqlite"):
        return None
    try:
        return FolderLock(settings.data_dir.expanduser())
    except KnowledgeError as error:
        raise ConfigurationError(
            "KEFU_DATA_DIR",
            f"{str(settings.data_dir)!r}: {error.reason}",
            "a data folder that no other process uses, or DATABASE_URL=postgresql://…",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "KEFU_DATA_DIR",
            f"{str(settings.data_dir)!r}: {error.strerror}",
            "a folder that can be written",
        ) from error


def open_database(settings: Settings) -> Database:
    """The database, migrated and started. Raises ConfigurationError if it cannot be reached."""
    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///"):
        Path(dsn.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    keys = field_keys(settings)
    database = Database(dsn, synchronous=settings.sqlite_synchronous, keys=keys)
    try:
        migrate(database.engine)
        adopt(database.engine, keys)
    except ConfigurationError:
        database.close()
        raise
    except Exception as error:
        database.close()
        raise ConfigurationError(
            "DATABASE_URL",
            f"the database cannot be used ({type(error).__name__})",
            "a reachable server or a writable file",
        ) from error
    database.start()
    return database


def engine_policy(settings: Settings) -> EnginePolicy:
    return EnginePolicy(
        sync_deadline_s=settings.sync_deadline_s,
        turn_timeout_s=settings.turn_timeout_s,
        failure_limit=settings.turn_max_attempts,
        debounce_sync_s=settings.debounce_sync_s,
        debounce_async_s=settings.debounce_async_s,
        debounce_max_s=settings.debounce_max_s,
        debounce_channels=settings.debounce_channels,
        merge_limit=settings.merge_limit,
        lease_s=settings.lease_s,
        sweep_s=settings.sweep_s,
        checkpoints_per_thread=settings.checkpoints_per_thread,
        outbox_max_attempts=settings.outbox_max_attempts,
        outbox_backoff_base_s=settings.outbox_backoff_base_s,
        outbox_backoff_max_s=settings.outbox_backoff_max_s,
        approval_s=settings.approval_hours * 3_600,
        patience_s={
            CALLBACK_CHANNEL: settings.callback_hours * 3_600,
            QINGJIAN: QINGJIAN_PATIENCE_S,
            KF: KF_PATIENCE_S,
            MEMBERS: MEMBERS_PATIENCE_S,
            **dict.fromkeys(NOTICE_CHANNELS, NOTICE_PATIENCE_S),
        },
        passive_s=_passive(settings),
    )


def _passive(settings: Settings) -> dict[str, float]:
    if settings.wechat_token is None:
        return {}
    return {WECHAT: hold_s(settings, settings.wechat_reply_s)}


def task_policy(settings: Settings, channels: frozenset[str]) -> TaskPolicy:
    default = QINGJIAN if QINGJIAN in channels else ""
    acting = ActingPolicy(
        zone=settings.zone(),
        channels=channels,
        channel=settings.task_channel or default,
        account=settings.task_account,
        backoff_base_s=settings.task_backoff_base_s,
        backoff_max_s=settings.outbox_backoff_max_s,
    )
    return TaskPolicy(
        acting,
        callbacks=CALLBACK_CHANNEL in channels,
        late_s=settings.task_late_s,
        lease_s=settings.lease_s,
    )


def _tokens_today(settings: Settings, database: Database) -> dict[str, int]:
    """What earlier processes used of today's budgets."""
    if not settings.providers() and not settings.vision_model:
        return {}
    with database.engine.connect() as connection:
        return history.tokens_by_provider(connection, since=start_of_day(time.time()))


def build_models(
    settings: Settings, *, tokens_today: Mapping[str, int] | None = None
) -> ModelGateway | None:
    """None where no provider is configured."""
    configs = provider_configs(settings)
    if not configs:
        return None
    prices = parse_prices(_default(settings.model_price_file, "model_prices.yaml"))
    return ModelGateway(
        configs, prices, attempt_timeout=settings.model_timeout_s, tokens_today=tokens_today
    )


def build_chatter(settings: Settings, http: httpx.AsyncClient) -> Qingyunke | None:
    return Qingyunke(settings.qingyunke_url, http) if settings.qingyunke_url else None


def provider_configs(settings: Settings) -> list[ProviderConfig]:
    return [
        provider_config(
            provider.name,
            api_key=provider.api_key,
            base_url=provider.base_url or None,
            model=provider.model or None,
            timeout_s=settings.model_timeout_s,
            max_attempts=settings.model_attempts,
            daily_token_budget=settings.model_daily_tokens or None,
        )
        for provider in settings.providers()
    ]


def build_services(
    settings: Settings,
    retriever: Searches,
    models: ModelGateway | None,
    tools: ToolRegistry | None = None,
    pictures: Pictures | None = None,
    price_book: PriceBook | None = None,
    rules: RuleSet | None = None,
) -> Services:
    """``price_book``, ``rules``: None are those that the settings name."""
    silence_langchain()
    return Services(
        classifier=IntentClassifier.load(),
        rules=rules or RuleSet.parse(_default(settings.rules_file, "rules.yaml")),
        retriever=retriever,
        price_book=price_book
        or PriceBook.parse(_default(settings.price_book_file, "price_book.yaml")),
        templates=build_templates(settings),
        risk_policy=RiskPolicy(settings.answer_threshold, settings.clarify_threshold),
        models=models,
        model_deadline_s=settings.model_deadline_s,
        zone=settings.zone(),
        tools=tools or ToolRegistry(),
        pictures=pictures,
        picture_deadline_s=settings.picture_read_s,
        desk=DeskTalk(
            loop_s=settings.desk_loop_s,
            loop_limit=settings.desk_loop_limit,
            told_s=settings.desk_tell_s,
            firm_s=settings.desk_patience_s,
        ),
        mood=mood_policy(settings),
        talk=context_policy(settings),
    )


def build_templates(settings: Settings) -> Templates:
    defaults = Templates.parse(_default(None, "templates.yaml"))
    own = settings.templates_file
    return Templates.parse(own.read_text("utf-8"), defaults) if own else defaults


def _default(chosen: Path | None, name: str) -> str:
    return chosen.read_text("utf-8") if chosen else (_DEFAULTS / name).read_text("utf-8")


def picture_limits(settings: Settings) -> Limits:
    return Limits(settings.picture_max_bytes, settings.picture_max_pixels)


def picture_store(settings: Settings, measurer: Measurer) -> PictureStore:
    limits = picture_limits(settings)
    return PictureStore(
        settings.data_dir.expanduser() / "pictures",
        max_bytes=limits.max_bytes,
        max_pixels=limits.max_pixels,
        check=measurer.check,
    )


def build_vision(
    settings: Settings, database: Database, metrics: Metrics, store: PictureStore
) -> Vision | None:
    config = vision_config(settings)
    if config is None:
        return None
    gateway = ModelGateway(
        [config],
        parse_prices(_default(settings.model_price_file, "model_prices.yaml")),
        attempt_timeout=settings.vision_timeout_s,
        tokens_today=_tokens_today(settings, database),
    )
    return Vision(
        gateway,
        store.limits,
        timeout_s=settings.vision_timeout_s,
        on_calls=CallsBesideTurns(database, metrics).keep,
    )


def vision_config(settings: Settings) -> ProviderConfig | None:
    """None where no vision model is configured. Its budget is its own."""
    if not settings.vision_model:
        return None
    preset, key, url = "custom", settings.vision_api_key or SecretStr(""), settings.vision_url
    provider = settings.vision_provider()
    if not url and provider is not None:
        preset, url = provider.name, provider.base_url
        key = settings.vision_api_key or provider.api_key
    return provider_config(
        preset,
        name=VISION,
        api_key=key,
        base_url=url or None,
        model=settings.vision_model,
        timeout_s=settings.vision_timeout_s,
        max_attempts=settings.model_attempts,
        max_tokens=MAX_TOKENS,
        daily_token_budget=settings.model_daily_tokens or None,
    )


def build_pictures(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    store: PictureStore,
    measurer: Measurer,
    vision: Vision | None,
) -> Pictures:
    fetcher = picture_fetcher(settings, http, store)
    reader = TextReader(store.limits, max_waiting=settings.ocr_queue, idle_s=settings.ocr_idle_s)
    describe = vision.describe if vision is not None else None
    return Pictures(database, store, fetcher, reader, measurer=measurer, describe=describe)


def build_qingjian(settings: Settings, database: Database, metrics: Metrics) -> QingjianLink | None:
    if not settings.qingjian_url:
        return None
    mapping = load_mapping(settings.qingjian_mapping_file)
    return QingjianLink(settings.qingjian_url, mapping, database, metrics, zone=settings.zone())


def build_dispatching(
    settings: Settings,
    http: httpx.AsyncClient,
    orders: OrderDesk,
    policy: DispatchPolicy,
    *,
    tasks: TaskBook,
    database: Database,
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
) -> DispatchRunner | None:
    """None without Tuhui: designers' work goes to the human desk."""
    if not settings.tuhui_url:
        return None
    key = settings.tuhui_api_key.get_secret_value() if settings.tuhui_api_key else None
    client = TuhuiClient(settings.tuhui_url, key, http, settings.tuhui_timeout_s)
    steps = DispatchSteps(
        database, client, tasks, policy, on_step=orders.deeds.on_step, on_done=orders.deeds.on_done
    )
    runner = DispatchRunner(steps, owner=owner, alone=database.is_sqlite, on_queues=on_queues)
    orders.deeds.cancel_dispatch = steps.cancel
    return runner


def build_channels(
    settings: Settings, http: httpx.AsyncClient, qingjian: QingjianLink | None = None
) -> dict[str, Channel]:
    """Channels that can push; a channel that is not here keeps its answers for fetching."""
    channels: dict[str, Channel] = {}
    if qingjian is not None:
        channels[QINGJIAN] = QingjianChannel(qingjian)
    if settings.tianwang_callback_url:
        signs = settings.tianwang_callback_secret
        key = signs.get_secret_value() if signs else None
        client = CallbackClient(settings.tianwang_callback_url, key, http)
        channels[CALLBACK_CHANNEL] = CallbackChannel(client)
    if settings.webhook_url:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
        channels["webhook"] = WebhookChannel(WebhookClient(settings.webhook_url, secret, http))
    staff = staff_channel(settings, http) if settings.notification_enabled else None
    return channels | ({"staff": staff} if staff is not None else {})


def staff_channel(settings: Settings, http: httpx.AsyncClient) -> Channel | None:
    """Where NOTIFICATION_CHANNEL names nothing; what it names goes before."""
    if settings.wecom_robot_url is not None:
        return RobotChannel(GroupRobot(settings.wecom_robot_url.get_secret_value(), http))
    if settings.staff_notice_url is not None:
        return StaffChannel(StaffNotifier(settings.staff_notice_url.get_secret_value(), http))
    return None
