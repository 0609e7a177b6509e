"""The one place that builds clients and puts the parts together."""

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx

from domain.desk import Mode
from engine.bootstrap.assembly import TaskParts, assemble_engine, engine_policy, task_policy
from engine.bootstrap.channels import build_channels, build_dispatching, build_qingjian
from engine.bootstrap.databases import lock_data_folder, open_database
from engine.bootstrap.kefu import Kefu
from engine.bootstrap.services import (
    build_chatter,
    build_models,
    build_pictures,
    build_services,
    build_templates,
    build_vision,
    default_file,
    picture_limits,
    picture_store,
    tokens_today,
)
from engine.caches import build_caches
from engine.campaigns.build import build_campaigns
from engine.campaigns.build import heard as heard_of_campaigns
from engine.clients.build import build_access
from engine.customers.build import build_customers
from engine.deliverables import Deliverables
from engine.desk.build import build_desk
from engine.desk.campus import CampusDesk
from engine.desk.watch import DeskWatch
from engine.desk_turns import TurnDesk
from engine.dispatch_steps import DispatchPolicy, DispatchWords
from engine.figures.build import build_figures
from engine.figures.parts import Outside
from engine.knowledge import build_knowledge
from engine.metrics import Metrics
from engine.notices import build_notices
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.pictures import PictureDesk
from engine.orders.turns import TurnOrders
from engine.orders.work import OrderRunner
from engine.prices import Prices
from engine.protection.sweep import Protection, retention_days
from engine.reviews.build import build_record_keeping, build_reviews, recording
from engine.rules.build import build_rules
from engine.rules.dry_run import DryRuns
from engine.rules.turns import TurnRules
from engine.settings import Settings
from engine.settling import Settling
from engine.tasks.work import TaskWork
from engine.tool_desk import ToolDesk
from engine.tracing import build_tracing
from engine.upkeep import MeasuredSearch, Upkeep
from engine.wakeups import Wakeups
from engine.wechat.build import build_wechat
from engine.wecom.build import build_wecom, join_kf, staff_app
from engine.workshop import build_keeping, build_links, build_workshop, picture_fetcher
from graphs.order_words import OrderWords
from knowledge.lock import FolderLock
from storage.line import Line
from storage.orders import OrderBook
from storage.turns import TurnCommit
from tools.catalog import catalogue
from tools.catalog.handing_over import TUHUI
from tools.pictures.ocr import Measurer
from tools.registry import ToolRegistry


def build(settings: Settings, *, worker: bool = False) -> Kefu:
    """``worker``: it works, whatever the settings say of a process that listens. Raises
    ConfigurationError where a setting or one of its files cannot be used."""
    lock = lock_data_folder(settings)
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
    models = build_models(settings, tokens_today=tokens_today(settings, database))
    search = MeasuredSearch(knowledge.retriever, metrics)
    registry = ToolRegistry(catalogue())
    picture_http = httpx.AsyncClient(trust_env=False)  # a proxy would connect past our wall
    measurer = Measurer(picture_limits(settings), idle_s=settings.ocr_idle_s)
    store = picture_store(settings, measurer)
    vision = build_vision(settings, database, metrics, store)
    pictures = build_pictures(settings, database, picture_http, store, measurer, vision)
    picture_desk = PictureDesk(store, pictures.look, deadline_s=settings.picture_read_s)
    prices = Prices(settings.price_book_file, default_file(None, "price_book.yaml"), metrics)
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
