"""What the composition root makes of the settings of knowledge."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigurationError
from engine.knowledge import Knowledge, build_knowledge, embedding_batch
from engine.settings import Settings, load_settings
from knowledge.documents import make_entry
from knowledge.learning import Suggestion
from storage.database import Database
from tests.api.cli.embeddings import DIMENSIONS, embeddings_server

SAID = (
    ("能带狗进店吗", "可以带狗进店，请牵好绳子。"),
    ("发票几天寄出", "发票在三个工作日内寄出。"),
    ("雨天送货吗", "下雨照常送货，暴雨除外。"),
)


def settings_for(folder: Path, **changes: Any) -> Settings:
    return load_settings(env_files=None, data_dir=folder, **changes)


@contextlib.asynccontextmanager
async def opened(settings: Settings, database: Database) -> AsyncIterator[Knowledge]:
    knowledge = await asyncio.to_thread(build_knowledge, settings, database)
    try:
        yield knowledge
    finally:
        await knowledge.aclose()


@pytest.mark.parametrize(
    ("url", "batch"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", 10),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", 10),
        ("https://w1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1", 10),
        ("https://qianfan.baidubce.com/v2", 16),
        ("http://127.0.0.1:8000/v1", 64),
    ],
)
def test_a_call_holds_no_more_texts_than_the_provider_takes(url: str, batch: int) -> None:
    assert embedding_batch(url) == batch


@pytest.mark.parametrize(("configured", "largest"), [(0, 64), (7, 7)])
async def test_the_configured_batch_beats_the_known_one(
    database: Database, tmp_path: Path, configured: int, largest: int
) -> None:
    entries = [make_entry(f"问题{n}", f"回答{n}", source="a.md") for n in range(100)]
    with embeddings_server() as server:
        settings = settings_for(
            tmp_path,
            embedding_url=server.url,
            embedding_model="m",
            embedding_dimensions=DIMENSIONS,
            embedding_batch=configured,
        )
        async with opened(settings, database) as knowledge:
            await knowledge.base.import_entries(entries)
            await asyncio.to_thread(knowledge.follower.sync)
            assert await knowledge.lag() == 0
    assert max(server.sizes) == largest
    assert len(server.texts) == 200


async def test_an_embedding_server_that_is_away_leaves_the_index_behind_and_says_so(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, embedding_url="http://127.0.0.1:1/v1", embedding_model="m")
    async with opened(settings, database) as knowledge:
        await knowledge.base.import_entries([make_entry("几点开门", "九点", source="a.md")])
        with pytest.raises(Exception, match="the embedding server is away"):
            await knowledge.retriever.search("几点开门呀")
        assert await knowledge.lag() == 1


async def test_the_thresholds_of_learning_are_settings(database: Database, tmp_path: Path) -> None:
    async def observed(number: int, **changes: float) -> Suggestion:
        async with opened(settings_for(tmp_path / str(number), **changes), database) as knowledge:
            await knowledge.retriever.warm()
            return await knowledge.learning.observe(
                *SAID[number],
                source="agent",
                confidence=0.75,
                conversation_id=f"c{number}",
                answered_by="小王",
            )

    waits = await observed(0)
    enters = await observed(1, learn_auto_threshold=0.05, learn_review_threshold=0.01)
    dropped = await observed(2, learn_auto_threshold=1.0, learn_review_threshold=0.999)
    assert (waits.confidence, waits.state) == (enters.confidence, "pending")
    assert (enters.state, dropped.state) == ("approved", "dropped")


def test_a_review_threshold_above_the_other_is_refused_and_an_unset_one_gives_way() -> None:
    with pytest.raises(ConfigurationError, match="KEFU_LEARN_REVIEW_THRESHOLD"):
        load_settings(env_files=None, learn_auto_threshold=0.6, learn_review_threshold=0.7)
    settings = load_settings(env_files=None, learn_auto_threshold=0.6)
    assert settings.learn_review_threshold == 0.6
