"""The knowledge of one process, put together: rows, the index that follows them, search, learning.

Part of the composition root; `engine.bootstrap` offers its names.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.errors import KnowledgeError
from engine.metrics import Metrics
from engine.settings import Settings
from knowledge.adapt import ModelShelf
from knowledge.answers import Answers
from knowledge.base import KnowledgeBase
from knowledge.documents import LoadReport, load_paths
from knowledge.embedding import Embedder, OpenAICompatibleEmbedder
from knowledge.feed import DatabaseSource
from knowledge.follower import IndexFollower
from knowledge.learning import Learning, LearningPolicy
from knowledge.model import RankingModel
from knowledge.rerank import Bounds, Reranker
from knowledge.retrieval import Retriever
from knowledge.segments.manifest import read_manifest
from knowledge.unknown import UnknownQuestions
from knowledge.vectors import describe
from storage import knowledge as rows
from storage.database import Database

log = logging.getLogger(__name__)
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
    models: ModelShelf
    model_stamp: tuple[int, int]
    reranker: Reranker | None = None

    async def is_untouched(self) -> bool:
        """Nothing was ever imported."""
        return not await self.base.database.read(rows.newest_revision)

    async def lag(self) -> int:
        """Revisions of the rows that searches do not see yet."""
        newest = await self.base.database.read(rows.newest_revision)
        return max(newest - self.follower.revision, 0)

    async def use_newest_model(self) -> bool:
        """Change over to a model that came into use since; whether there was one."""
        stamp = await asyncio.to_thread(self.models.stamp)
        if stamp == self.model_stamp:
            return False
        try:
            model = await asyncio.to_thread(self.models.current)
        except KnowledgeError:
            self.model_stamp = stamp  # said once; the old one stays until yet another is chosen
            raise
        await self.retriever.use_model(model)
        self.model_stamp = stamp
        return True

    async def aclose(self) -> None:
        await self.retriever.aclose()
        if self.reranker is not None:
            await self.reranker.aclose()
        if isinstance(self.embedder, OpenAICompatibleEmbedder):
            await asyncio.to_thread(self.embedder.close)


def build_knowledge(
    settings: Settings,
    database: Database,
    *,
    read_only: bool = False,
    metrics: Metrics | None = None,
    answers: Answers | None = None,
) -> Knowledge:
    """Over a started ``database``. Nothing of the index is read before the first search.

    ``read_only``: never write the index, even where nobody else does. ``answers``: where searches
    are remembered.
    """
    shelf = ModelShelf(settings.data_dir)
    # Looked at before the model is read: one that comes into use meanwhile is noticed later.
    stamp, model = shelf.stamp(), load_model(shelf)
    embedder = build_embedder(settings, model)
    folder = index_folder(settings)
    follower = IndexFollower(
        DatabaseSource(database),
        folder,
        embedder,
        settings.chroma_url or folder / CHROMA_FOLDER,
        read_only=read_only,
    )
    reranker = build_reranker(settings, metrics)
    retriever = Retriever(
        follower,
        model,
        top_k=settings.kb_top_k,
        answers=answers,
        refresh_s=settings.index_poll_s,
        reranker=reranker,
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
    return Knowledge(
        base, follower, retriever, learning, questions, embedder, shelf, stamp, reranker
    )


def index_folder(settings: Settings) -> Path:
    return settings.data_dir.expanduser() / INDEX_FOLDER


def load_model(shelf: ModelShelf) -> RankingModel:
    """The one in use, or the shipped one where that cannot be read."""
    try:
        return shelf.current()
    except KnowledgeError as error:
        log.error("the shipped model stands in: %s", error)
        return RankingModel.load(None)


@dataclass(frozen=True, slots=True)
class IndexState:
    """The rows, and what the index folder holds of them. ``embedder``: what stored vectors must
    agree with; ``stored``: what they are made by, None where there is no index yet."""

    entries: int
    newest: int
    revision: int
    indexed: int
    embedder: Mapping[str, Any]
    stored: Mapping[str, Any] | None
    model_version: int


def index_state(settings: Settings, database: Database) -> IndexState:
    """Without opening or changing anything. Raises KnowledgeError for what cannot be read."""
    source, shelf = DatabaseSource(database), ModelShelf(settings.data_dir)
    embedder = build_embedder(settings, shelf.current())
    try:
        manifest = read_manifest(index_folder(settings), {})
        return IndexState(
            entries=source.count(),
            newest=source.newest_revision(),
            revision=manifest.revision if manifest else 0,
            indexed=sum(part.size for part in manifest.parts) if manifest else 0,
            embedder=describe(embedder),
            stored=manifest.embedder if manifest else None,
            model_version=shelf.version(),
        )
    finally:
        if isinstance(embedder, OpenAICompatibleEmbedder):
            embedder.close()


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


def build_reranker(settings: Settings, metrics: Metrics | None = None) -> Reranker | None:
    if not settings.rerank_url:
        return None

    def observe(outcome: str, seconds: float) -> None:
        if metrics is not None:
            metrics.rerank_seconds.labels(outcome).observe(seconds)

    key = settings.rerank_api_key
    return Reranker(
        settings.rerank_url,
        settings.rerank_model,
        api_key=key.get_secret_value() if key else "",
        timeout_s=settings.rerank_timeout_s,
        bounds=Bounds(settings.answer_threshold, settings.clarify_threshold),
        observe=observe,
        cache_size=settings.retrieval_cache_size,
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
