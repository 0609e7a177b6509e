"""Two machines: an index each, one database, and one Chroma server with the vectors."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.base import KnowledgeBase
from knowledge.documents import make_entry
from knowledge.feed import DatabaseSource
from knowledge.follower import IndexFollower
from knowledge.model import RankingModel
from knowledge.retrieval import Retriever
from storage.database import Database
from tests.knowledge.chroma_server import running_chroma

RETURNS = make_entry("能退货吗", "七天内可退。", source="faq.md")
INVOICE = make_entry("能开发票吗", "可以。", source="faq.md")


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_chroma(tmp_path_factory.mktemp("chroma")) as url:
        yield url


def follower_of(database: Database, folder: Path, server_url: str) -> IndexFollower:
    """Of a machine of its own, which asks the server for every vector."""
    encoder = RankingModel.load().encoder
    return IndexFollower(DatabaseSource(database), folder, encoder, server_url, exact_vectors=0)


async def test_two_machines_on_one_database_and_one_server_find_the_same_and_do_no_harm(
    database: Database, server_url: str, tmp_path: Path
) -> None:
    base, model = KnowledgeBase(database), RankingModel.load()
    followers = [follower_of(database, tmp_path / name, server_url) for name in ("one", "two")]
    one, two = (Retriever(follower, model, refresh_s=60.0) for follower in followers)
    try:
        await base.import_entries([RETURNS, INVOICE])
        for retriever, follower in zip((one, two), followers, strict=True):
            await retriever.refresh()
            await asyncio.to_thread(follower.drain)
            assert follower.is_writer
            assert (await best(retriever, "东西能退货不")) == RETURNS.id
        await base.remove([RETURNS.id], by="小王")
        await one.refresh()
        await asyncio.to_thread(followers[0].drain)
        assert await best(one, "东西能退货不") != RETURNS.id
        assert await best(two, "发票能开不") == INVOICE.id
        await two.refresh()
        assert await best(two, "东西能退货不") != RETURNS.id
        assert await best(two, "发票能开不") == INVOICE.id
    finally:
        await one.aclose()
        await two.aclose()


async def best(retriever: Retriever, query: str) -> str:
    found = (await retriever.search(query)).evidence
    return found[0].id if found else ""
