"""The knowledge of one process, put together: rows, the index that follows them, search, learning.

Part of the composition root; `engine.bootstrap` offers its names.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from importlib import resources
from urllib.parse import urlsplit

from engine.settings import Settings
from knowledge.base import KnowledgeBase
from knowledge.documents import LoadReport, load_paths
from knowledge.embedding import Embedder, OpenAICompatibleEmbedder
from knowledge.feed import DatabaseSource
from knowledge.follower import IndexFollower
from knowledge.learning import Learning, LearningPolicy
from knowledge.model import RankingModel
from knowledge.retrieval import Retriever
from knowledge.unknown import UnknownQuestions
from storage import knowledge as rows
from storage.database import Database

SAMPLES = resources.files("knowledge") / "samples"
INDEX_FOLDER = "knowledge"
CHROMA_FOLDER = "chroma"
SAMPLE_EDITOR = "samples"

EMBEDDING_BATCHES = {
    "dashscope": 10,
    "aliyuncs.com": 10,
    "baidubce.com": 16,
    "googleapis.com": 100,
    "bigmodel.cn": 64,
    "siliconflow": 32,
}
"""Texts that providers take in one call, by a part of the host's name."""
DEFAULT_EMBEDDING_BATCH = 64


@dataclass(slots=True)
class Knowledge:
    """``retriever`` is the only reader in a service; closing it closes ``follower``.

    The database stays its owner's, and must outlive all of this.
    """

    base: KnowledgeBase
    follower: IndexFollower
    retriever: Retriever
    learning: Learning
    questions: UnknownQuestions
    embedder: Embedder

    async def is_untouched(self) -> bool:
        """Nothing was ever imported."""
        return not await self.base.database.read(rows.newest_revision)

    async def lag(self) -> int:
        """Revisions of the rows that searches do not see yet."""
        newest = await self.base.database.read(rows.newest_revision)
        return max(newest - self.follower.revision, 0)

    async def aclose(self) -> None:
        await self.retriever.aclose()
        if isinstance(self.embedder, OpenAICompatibleEmbedder):
            await asyncio.to_thread(self.embedder.close)


def build_knowledge(
    settings: Settings, database: Database, *, read_only: bool = False
) -> Knowledge:
    """Over a started ``database``. Nothing of the index is read before the first search.

    ``read_only``: never write the index, even where nobody else does.
    """
    model = RankingModel.load(None)
    embedder = build_embedder(settings, model)
    folder = settings.data_dir.expanduser() / INDEX_FOLDER
    follower = IndexFollower(
        DatabaseSource(database),
        folder,
        embedder,
        settings.chroma_url or folder / CHROMA_FOLDER,
        read_only=read_only,
    )
    retriever = Retriever(
        follower,
        model,
        top_k=settings.kb_top_k,
        cache_size=settings.retrieval_cache_size,
        refresh_s=settings.index_poll_s,
    )
    base = KnowledgeBase(database)
    questions = UnknownQuestions(
        database,
        max_open=settings.unknown_max_open,
        retention_days=settings.unknown_retention_days,
    )
    learning = Learning(
        database,
        base,
        retriever.search,
        questions=questions,
        policy=LearningPolicy(settings.learn_auto_threshold, settings.learn_review_threshold),
    )
    return Knowledge(base, follower, retriever, learning, questions, embedder)


def build_embedder(settings: Settings, model: RankingModel) -> Embedder:
    if not settings.embedding_url:
        return model.encoder
    key = settings.embedding_api_key
    return OpenAICompatibleEmbedder(
        settings.embedding_url,
        settings.embedding_model,
        settings.embedding_dimensions,
        api_key=key.get_secret_value() if key else "",
        batch_size=settings.embedding_batch or embedding_batch(settings.embedding_url),
    )


def embedding_batch(url: str) -> int:
    """How many texts the provider at ``url`` takes in one call."""
    host = urlsplit(url).hostname or ""
    known = (size for part, size in EMBEDDING_BATCHES.items() if part in host)
    return next(known, DEFAULT_EMBEDDING_BATCH)


async def import_samples(base: KnowledgeBase) -> int:
    """Import the three sample bases; returns the number of entries."""
    report = await asyncio.to_thread(_load_samples)
    await base.import_entries(report.entries, by=SAMPLE_EDITOR, note="示例知识")
    return len(report.entries)


def _load_samples() -> LoadReport:
    with contextlib.ExitStack() as stack:
        names = [item.name for item in SAMPLES.iterdir() if item.name.endswith(".md")]
        paths = [stack.enter_context(resources.as_file(SAMPLES / name)) for name in sorted(names)]
        return load_paths(paths)
