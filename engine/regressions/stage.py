"""The engine on which scripts are played: the graph, prices and words of the service, a database
of its own that is gone afterwards, and no channel: nobody outside hears of anything.

Part of the composition root.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from domain.errors import KnowledgeError
from engine.bootstrap import (
    EngineParts,
    Kefu,
    assemble_engine,
    build_knowledge,
    build_models,
    build_pictures,
    build_services,
    engine_policy,
    import_samples,
    open_database,
    picture_limits,
    picture_store,
)
from engine.knowledge import Knowledge
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.quoting import requoting
from engine.orders.turns import TurnOrders
from engine.regressions.replay import Commits, Replayer, Report
from engine.regressions.script import ReadScript
from engine.settings import Settings
from engine.studio import opened_database
from graphs.context import Services
from graphs.order_words import OrderWords
from storage.database import Database
from storage.orders import OrderBook
from storage.tasks import TaskBook
from tools.pictures.intake import Pictures
from tools.pictures.ocr import Measurer
from tools.pictures.store import PictureStore

SWEEP_S = 3_600.0
_EMPTY = (
    "没有可用的知识：先用 kefu kb import 导入（数据库由新版本升级后先启动一次 kefu serve），"
    "或加 --samples 用示例知识"
)


@contextlib.asynccontextmanager
async def replaying(settings: Settings, services: Services) -> AsyncIterator[Replayer]:
    """``services``: as the service has them; what in them would reach others is left out."""
    with tempfile.TemporaryDirectory(prefix="kefu-replay-") as folder:
        own = settings.model_copy(update={"data_dir": Path(folder), "database_url": None})
        database = await asyncio.to_thread(open_database, own)
        try:
            async with _pictures(own, database) as (pictures, store):
                alone = replace(services, pictures=pictures, chatter=None)
                commits = Commits()
                parts = _engine(own, database, alone, commits)
                await parts.engine.start()
                try:
                    yield Replayer(parts.engine, database, store, commits)
                finally:
                    await parts.engine.stop(grace_s=2.0)
        finally:
            await asyncio.to_thread(database.close)


@contextlib.asynccontextmanager
async def _pictures(
    settings: Settings, database: Database
) -> AsyncIterator[tuple[Pictures, PictureStore]]:
    measurer = Measurer(picture_limits(settings), idle_s=settings.ocr_idle_s)
    store = picture_store(settings, measurer)
    async with httpx.AsyncClient(trust_env=False) as http:
        pictures = build_pictures(settings, database, http, store, measurer, None)
        try:
            yield pictures, store
        finally:
            await pictures.aclose()


def _engine(
    settings: Settings, database: Database, services: Services, commits: Commits
) -> EngineParts:
    orders = OrderDesk(
        database,
        OrderBook(),
        tasks=TaskBook(settings.zone(), callbacks=False),
        requote=requoting(services.price_book),
        words=OrderWords(services.templates),
        policy=DeskPolicy(dispatching=bool(settings.tuhui_url)),
    )
    return assemble_engine(
        database,
        services,
        {},
        replace(engine_policy(settings), sweep_s=SWEEP_S, debounce_sync_s=0.0),
        owner="replay",
        alone=True,
        on_commit=commits.told,
        orders=TurnOrders(orders),
    )


@contextlib.asynccontextmanager
async def _knowledge(settings: Settings, *, samples: bool) -> AsyncIterator[Knowledge]:
    """That of the data folder, which is only read, also while a service uses it."""
    with tempfile.TemporaryDirectory(prefix="kefu-samples-") as folder:
        if samples:
            own = {"data_dir": Path(folder), "database_url": None, "chroma_url": ""}
            settings = settings.model_copy(update=own)
        database = await asyncio.to_thread(open_database if samples else opened_database, settings)
        if database is None:
            raise KnowledgeError(str(settings.data_dir), _EMPTY)
        try:
            knowledge = build_knowledge(settings, database, read_only=not samples)
            try:
                if samples:
                    await import_samples(knowledge.base)
                elif not await knowledge.base.categories():
                    raise KnowledgeError(str(settings.data_dir), _EMPTY)
                await knowledge.retriever.refresh()
                yield knowledge
            finally:
                await knowledge.aclose()
        finally:
            await asyncio.to_thread(database.close)


@contextlib.asynccontextmanager
async def replaying_alone(
    settings: Settings, *, samples: bool = False, models: bool = False
) -> AsyncIterator[Replayer]:
    """Without a service: with the configured knowledge, or that of the samples.

    ``models``: those that are configured are asked; otherwise knowledge answers by itself, the
    same way each time. Raises KnowledgeError where nothing is known.
    """
    async with _knowledge(settings, samples=samples) as knowledge:
        gateway = build_models(settings) if models else None
        services = build_services(settings, knowledge.retriever, gateway)
        try:
            async with replaying(settings, services) as replayer:
                yield replayer
        finally:
            if gateway is not None:
                await gateway.aclose()


async def replay_beside(
    kefu: Kefu, scripts: Sequence[ReadScript], *, models: bool = False
) -> Report:
    """In a running service, with what it knows now; its conversations are not touched."""
    if not scripts:
        return Report()
    await kefu.knowledge.retriever.refresh()
    services = kefu.services if models else replace(kefu.services, models=None)
    async with kefu.reviews.playing, replaying(kefu.settings, services) as replayer:
        return await replayer.play_all(scripts)
