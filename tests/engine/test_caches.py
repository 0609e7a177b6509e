"""Searches that are remembered: by one process and by several, never an outdated one."""

import random
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from domain.decisions import Retrieval
from engine.caches import SHARES, Caches, build_caches
from engine.metrics import Metrics
from engine.settings import Settings, load_settings
from knowledge.base import KnowledgeBase
from knowledge.documents import Entry
from knowledge.documents import make_entry as entry
from knowledge.feed import DatabaseSource
from knowledge.follower import IndexFollower
from knowledge.model import RankingModel
from knowledge.retrieval import Retriever
from storage.database import Database
from tests.databases import open_database
from tests.redis_server import RedisServer, running_redis

QUESTIONS = {
    "退货": ("能退货吗", "买来的东西想退掉行不行"),
    "发票": ("能开发票吗", "票据可以开一张给我么"),
    "运费": ("运费谁出", "寄回来的邮费算谁的"),
    "安装": ("充电桩怎么安装", "桩子装起来麻烦不麻烦"),
}
MODEL = RankingModel.load()


@pytest.fixture(scope="module")
def one_redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_server(one_redis: RedisServer) -> RedisServer:
    with one_redis.client() as client:
        client.flushall()
    return one_redis


@dataclass
class Searcher:
    """A process's searches, with its own folder and memory."""

    retriever: Retriever
    metrics: Metrics
    caches: Caches | None

    def looks(self, level: str, outcome: str) -> int:
        wanted = f'{{cache="knowledge",level="{level}",outcome="{outcome}"}}'
        for line in generate_latest(self.metrics.registry).decode().splitlines():
            if line.startswith("kefu_cache_requests_total") and wanted in line:
                return int(float(line.rpartition(" ")[2]))
        return 0


def settings_of(folder: Path, redis_url: str | None, **others: object) -> Settings:
    return load_settings(
        env_files=None, data_dir=folder, redis_url=redis_url, redis_timeout_s=5.0, **others
    )


@asynccontextmanager
async def searching(
    database: Database,
    folder: Path,
    *,
    redis_url: str | None = None,
    remembers: bool = True,
    cache_mb: int = 100,
) -> AsyncIterator[Searcher]:
    metrics = Metrics()
    settings = settings_of(folder, redis_url, cache_mb=cache_mb)
    caches = build_caches(settings, database, metrics) if remembers else None
    follower = IndexFollower(DatabaseSource(database), folder, MODEL.encoder, folder / "chroma")
    answers = caches.answers if caches else None
    retriever = Retriever(follower, MODEL, answers=answers, refresh_s=3_600.0)
    try:
        yield Searcher(retriever, metrics, caches)
    finally:
        await retriever.aclose()
        if caches is not None:
            await caches.aclose()


async def import_all(database: Database) -> KnowledgeBase:
    base = KnowledgeBase(database)
    await base.import_entries([answering(name, "可以。") for name in QUESTIONS])
    return base


def answering(name: str, answer: str) -> Entry:
    return entry(QUESTIONS[name][0], answer, source="faq.md")


async def sent(one: Searcher) -> None:
    assert one.caches is not None
    assert one.caches.second is not None
    await one.caches.second.written()


async def test_one_process_finds_what_another_has_found(
    database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    await import_all(database)
    async with (
        searching(database, tmp_path / "a", redis_url=redis_server.url) as a,
        searching(database, tmp_path / "b", redis_url=redis_server.url) as b,
    ):
        for one in (a, b):
            await one.retriever.refresh()
        query = QUESTIONS["退货"][1]
        first = await a.retriever.search(query)
        await sent(a)
        assert await b.retriever.search(query) == first
        assert await b.retriever.search(query, context=["你好"]) == first
        assert first.query == query
        assert (a.looks("l2", "miss"), b.looks("l2", "hit"), b.looks("l1", "hit")) == (1, 1, 1)


async def test_what_customers_ask_is_not_sent_in_the_clear(
    database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    await import_all(database)
    async with searching(database, tmp_path / "a", redis_url=redis_server.url) as a:
        await a.retriever.refresh()
        await a.retriever.search("我是张三，买来的东西想退掉行不行")
        await sent(a)
    stored = redis_server.stored()
    assert len(stored) == 1
    for word in ("张三", "退"):
        assert word.encode() not in b"".join([*stored, *stored.values()])


async def test_whatever_changes_where_two_processes_find_what_one_without_memory_finds(
    database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Edits, searches that are behind, and an emptied Redis, in an order that a seed draws."""
    base, chance = await import_all(database), random.Random(80)
    async with (
        searching(database, tmp_path / "a", redis_url=redis_server.url) as a,
        searching(database, tmp_path / "b", redis_url=redis_server.url) as b,
        searching(database, tmp_path / "c", remembers=False) as bare,
    ):
        for one in (a, b, bare):
            await one.retriever.refresh()
        queries = [question for both in QUESTIONS.values() for question in both]
        checked = 0
        for step in range(60):
            asked, act = chance.choice((a, b)), chance.random()
            if act < 0.25:
                await base.import_entries([answering(chance.choice([*QUESTIONS]), f"第{step}版。")])
            elif act < 0.3:
                with redis_server.client() as client:
                    client.flushall()
            elif act < 0.5:  # behind what is in the rows, and what it finds goes to Redis
                await asked.retriever.search(chance.choice(queries))
                await sent(asked)
            else:
                await asked.retriever.refresh()
                await bare.retriever.refresh()
                query = chance.choice(queries)
                found = await asked.retriever.search(query)
                _same(found, await bare.retriever.search(query))
                checked += 1
        assert checked > 20
        assert a.looks("l2", "hit") + b.looks("l2", "hit") > 0


def _same(found: Retrieval, expected: Retrieval) -> None:
    assert [item.answer for item in found.evidence] == [item.answer for item in expected.evidence]
    assert found.confidence == pytest.approx(expected.confidence, abs=0.02)


async def test_the_same_revision_of_a_base_that_was_put_back_is_another_one(
    redis_server: RedisServer, tmp_path: Path, sqlite_url: str
) -> None:
    """A backup brings the revision back, and the secret too: only what changed then differs."""
    query = QUESTIONS["退货"][1]
    with open_database(sqlite_url) as database:
        await import_all(database)
        async with searching(database, tmp_path / "z", redis_url=redis_server.url) as z:
            await z.retriever.refresh()
            await z.retriever.search(query)
    restored = shutil.copy(sqlite_url.removeprefix("sqlite:///"), tmp_path / "restored.db")
    answers = []
    for number, url in enumerate((sqlite_url, f"sqlite:///{restored}")):
        with open_database(url) as database:
            base = KnowledgeBase(database)
            await base.import_entries([answering("退货", f"第{number}种。")])
            async with searching(
                database, tmp_path / f"p{number}", redis_url=redis_server.url
            ) as one:
                await one.retriever.refresh()
                answers.append((await one.retriever.search(query)).evidence[0].answer)
                await sent(one)
                assert one.looks("l2", "hit") == 0
    assert answers == ["第0种。", "第1种。"]


async def test_without_redis_or_while_it_is_dead_searches_find_the_same(
    database: Database, tmp_path: Path
) -> None:
    await import_all(database)
    with running_redis() as server:
        dead = server.url
    async with (
        searching(database, tmp_path / "a", redis_url=dead) as a,
        searching(database, tmp_path / "b") as b,
    ):
        for both in QUESTIONS.values():
            for one in (a, b):
                await one.retriever.refresh()
            assert await a.retriever.search(both[1]) == await b.retriever.search(both[1])
        assert a.looks("l2", "failed") in (1, 2, 3)
        assert a.looks("l2", "failed") + a.looks("l2", "skipped") == len(QUESTIONS)


@pytest.mark.parametrize("off", ["cache_mb", "retrieval_cache_size"])
async def test_remembering_can_be_turned_off(database: Database, tmp_path: Path, off: str) -> None:
    caches = build_caches(settings_of(tmp_path, None, **{off: 0}), database, Metrics())
    assert caches.answers is None


async def test_searches_take_no_more_memory_than_allowed(
    database: Database, tmp_path: Path
) -> None:
    await import_all(database)
    async with searching(database, tmp_path / "a", cache_mb=1) as a:
        for number in range(600):
            await a.retriever.search(f"{QUESTIONS['安装'][1]} {number}")
        taken = a.metrics.registry.get_sample_value("kefu_cache_bytes", {"cache": "knowledge"})
    assert taken is not None
    assert 300_000 < taken <= SHARES["knowledge"] * 1_048_576
