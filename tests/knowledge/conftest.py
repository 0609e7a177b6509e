"""Index folders and retrievers that close themselves."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from knowledge.documents import Entry, load_paths
from knowledge.embedding import HashedNgramEmbedder
from knowledge.index import KnowledgeIndex
from knowledge.retrieval import Retriever

SAMPLES = Path(__file__).parents[2] / "knowledge" / "samples"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[KnowledgeIndex]:
    opened = KnowledgeIndex(tmp_path / "index", HashedNgramEmbedder(256))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sample_entries() -> tuple[Entry, ...]:
    report = load_paths([SAMPLES])
    assert not report.failures
    return report.entries


@pytest.fixture(scope="session")
def sample_index(
    tmp_path_factory: pytest.TempPathFactory, sample_entries: tuple[Entry, ...]
) -> Iterator[KnowledgeIndex]:
    opened = KnowledgeIndex(tmp_path_factory.mktemp("samples"), HashedNgramEmbedder())
    opened.import_entries(sample_entries)
    yield opened
    opened.close()


@pytest.fixture
async def retriever(sample_index: KnowledgeIndex) -> AsyncIterator[Retriever]:
    opened = Retriever(sample_index, cache_size=0)
    yield opened
    await opened.aclose()
