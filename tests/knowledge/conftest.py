"""Searches over a list of entries, without a database, that close themselves."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.lru import ByteLru
from knowledge.answers import RememberedAnswers
from knowledge.documents import Entry, load_paths
from knowledge.embedding import Embedder
from knowledge.feed import Change
from knowledge.follower import IndexFollower
from knowledge.model import RankingModel
from knowledge.rerank import Reranker
from knowledge.retrieval import Retriever

SAMPLES = Path(__file__).parents[2] / "knowledge" / "samples"


class EntryList:
    """A source whose entries are replaced as a whole; what stays the same did not change."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._changes: list[Change] = []

    def replace(self, entries: Sequence[Entry]) -> None:
        wanted = {entry.id: entry for entry in entries}
        for entry_id in {*self._entries, *wanted}:
            if self._entries.get(entry_id) != wanted.get(entry_id):
                revision = len(self._changes) + 1
                self._changes.append(Change(revision, entry_id, wanted.get(entry_id)))
        self._entries = wanted

    def newest_revision(self) -> int:
        return len(self._changes)

    def count(self) -> int:
        return len(self._entries)

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        return self._changes[revision : revision + limit]

    def entries_after(self, entry_id: str, limit: int) -> list[Entry]:
        return [self._entries[key] for key in sorted(self._entries) if key > entry_id][:limit]


class Searching:
    """One retriever, and what it searches; ``embedder``: another one than the model's."""

    def __init__(
        self,
        folder: Path,
        *,
        embedder: Embedder | None = None,
        source: EntryList | None = None,
        remembered: int = 0,
        refresh_s: float = 60.0,
        reranker: Reranker | None = None,
    ) -> None:
        self.source = source or EntryList()
        model = RankingModel.load()
        self.follower = IndexFollower(
            self.source, folder, embedder or model.encoder, folder / "chroma"
        )
        answers = RememberedAnswers(ByteLru(1 << 20, ttl_s=3_600, max_entries=remembered))
        self.retriever = Retriever(
            self.follower, model, answers=answers, refresh_s=refresh_s, reranker=reranker
        )

    async def feed(self, entries: Sequence[Entry]) -> None:
        """The base holds exactly these from now on."""
        self.source.replace(entries)
        await self.retriever.refresh()


@pytest.fixture(scope="session")
def sample_entries() -> tuple[Entry, ...]:
    report = load_paths([SAMPLES])
    assert not report.failures
    return report.entries


Samples = Callable[..., AbstractAsyncContextManager[Searching]]


@pytest.fixture(scope="session")
def opened_samples(
    tmp_path_factory: pytest.TempPathFactory, sample_entries: tuple[Entry, ...]
) -> Samples:
    """Opens a search over the samples in the given folder, for the arguments of `Searching` but
    an embedder. Their index is made once and copied: that takes a second of processor time."""
    prepared = tmp_path_factory.mktemp("samples") / "index"

    @asynccontextmanager
    async def opened(folder: Path, **parts: Any) -> AsyncIterator[Searching]:
        if prepared.exists():
            shutil.copytree(prepared, folder)
        source = EntryList()
        source.replace(sample_entries)
        searching = Searching(folder, source=source, **parts)
        try:
            await searching.retriever.warm()
            yield searching
        finally:
            await searching.retriever.aclose()

    async def prepare() -> None:
        async with opened(prepared) as searching:
            await asyncio.to_thread(searching.follower.drain)

    asyncio.run(prepare())
    return opened


@pytest.fixture(scope="session")
def samples(
    opened_samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Searching]:
    """For tests that only search."""
    with asyncio.Runner() as runner:
        opened = opened_samples(tmp_path_factory.mktemp("searched") / "samples")
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def searching(tmp_path: Path) -> AsyncIterator[Searching]:
    opened = Searching(tmp_path / "searching")
    yield opened
    await opened.retriever.aclose()
