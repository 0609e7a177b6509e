"""What goes on beside the conversations so that the knowledge stays in order and grows.

Unknown questions are gathered into clusters, acts of learning that a crash left half-way are
finished, a newly adapted model is taken into use, entries that answered somebody are counted, and
gauges are set. No turn waits for any of
it, and what fails is logged, counted and tried again.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from domain.decisions import Retrieval
from domain.errors import KefuError, KnowledgeError, StorageError
from domain.spans import Value, span
from engine.knowledge import Knowledge
from engine.metrics import Metrics
from graphs.context import Searches
from storage.turns import TurnCommit

log = logging.getLogger(__name__)

TICK_S = 5.0
"""Between two looks at gauges and counts."""
LINGER_S = 0.5
"""An unknown question waits so long for company before it is gathered."""
MAX_BATCHES = 50
"""Of one sweep; the next one goes on."""
MAX_COUNTED = 10_000
"""Entries whose use is remembered until it is written; should the database be away, no more."""
STOP_S = 5.0
_SEARCH: dict[str, Value] = {"gen_ai.operation.name": "retrieval"}


class Upkeep:
    """One a process; any number of processes may do this on one database.

    `note` it each committed turn; ``stop`` it before its knowledge is closed.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        metrics: Metrics,
        *,
        sweep_s: float,
        tick_s: float = TICK_S,
        linger_s: float = LINGER_S,
    ) -> None:
        self._knowledge, self._metrics = knowledge, metrics
        self._sweep_s, self._tick_s, self._linger_s = sweep_s, min(tick_s, sweep_s), linger_s
        self._used: Counter[str] = Counter()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, commit: TurnCommit) -> None:
        """Of an answer's evidence and of unknown questions; returns at once."""
        if commit.unknown_question is not None:
            self._metrics.unknown_questions.inc()
            self._asked.set()
        if commit.reply is None or commit.outcome != "solved":
            return
        for entry_id in commit.reply.evidence_ids:
            if entry_id in self._used or len(self._used) < MAX_COUNTED:
                self._used[entry_id] += 1

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="knowledge upkeep")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._step("count", self._count_used)

    async def measure(self) -> None:
        """Set the gauges."""
        knowledge, metrics = self._knowledge, self._metrics
        for state, number in (await knowledge.questions.counts()).items():
            metrics.question_clusters.labels(state).set(number)
        for state, number in (await knowledge.learning.counts()).items():
            metrics.suggestions.labels(state).set(number)
        metrics.index_lag.set(await knowledge.lag())
        metrics.index_entries.set(knowledge.follower.corpus.size)

    async def _run(self) -> None:
        swept = -self._sweep_s
        while True:
            due = time.monotonic() - swept >= self._sweep_s
            if due:
                await self._step("repair", self._repair)
            if due or self._asked.is_set():
                swept = time.monotonic()
                self._asked.clear()
                await self._step("sweep", self._sweep)
            await self._step("model", self._follow_model)
            await self._step("count", self._count_used)
            await self._step("measure", self.measure)
            await self._rest()

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._tick_s):
                await self._asked.wait()
                await asyncio.sleep(self._linger_s)

    async def _step(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except KefuError as error:
            self._metrics.knowledge_failures.labels(name).inc()
            log.warning("upkeep of knowledge, %s: %s", name, error)
        except Exception:
            self._metrics.knowledge_failures.labels(name).inc()
            log.exception("upkeep of knowledge, %s failed", name)

    async def _follow_model(self) -> None:
        if await self._knowledge.use_newest_model():
            log.info("searches use the newest model")

    async def _repair(self) -> None:
        done = await self._knowledge.learning.repair()
        if done:
            log.info("%d acts of learning were finished", done)

    async def _sweep(self) -> None:
        for _ in range(MAX_BATCHES):
            if not (await self._knowledge.questions.sweep()).more:
                return

    async def _count_used(self) -> None:
        """An entry that answered several times since is in several writes, each adding one."""
        counted, self._used = self._used, Counter()
        while counted:
            ids = list(counted)
            try:
                await self._knowledge.base.used(ids)
            except KefuError:
                self._used.update(counted)
                raise
            counted = counted - Counter(ids)
            await self._knowledge.learning.useful(ids)


class MeasuredSearch:
    """A search that is timed, and counted where it fails: with a KnowledgeError, whatever kept the
    index from being read, so that a person gets the question."""

    def __init__(self, search: Searches, metrics: Metrics) -> None:
        self._search, self._metrics = search, metrics

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        started = time.perf_counter()
        try:
            with span("search knowledge", _SEARCH) as seen:
                found = await self._search.search(
                    query, context=context, category=category, top_k=top_k
                )
                seen.note(
                    {
                        "kefu.search.confidence": found.confidence,
                        "kefu.search.exact": found.exact,
                        "kefu.search.entries": [item.id for item in found.evidence],
                    }
                )
                return found
        except KnowledgeError:
            self._metrics.knowledge_failures.labels("search").inc()
            raise
        except (OSError, StorageError, SQLAlchemyError) as error:
            self._metrics.knowledge_failures.labels("search").inc()
            raise KnowledgeError("knowledge", f"{type(error).__name__}: {error}") from error
        finally:
            self._metrics.search_seconds.observe(time.perf_counter() - started)
