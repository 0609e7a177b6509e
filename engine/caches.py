"""What a process remembers, and how a remembered thing is never an outdated one.

Each is kept under a version that its reader has from where the truth is: a search's result under
the state of the knowledge that the process searches, a conversation's state under the id of the
checkpoint that came with the claim, a customer's facts under the row that came with it. A cache
that is empty, full or away costs time and changes nothing.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from sqlalchemy import Connection

from domain.errors import StorageError
from domain.lru import ByteLru, Found
from engine.metrics import Metrics
from engine.second_level import SecondLevel
from engine.settings import Settings
from knowledge.answers import Answers, Ask, Explanation, packed, unpacked
from storage import tokens
from storage.customers import REMEMBERED
from storage.database import Database
from storage.knowledge import mark_of

log = logging.getLogger(__name__)
KNOWLEDGE, CONTEXT, CUSTOMERS = "knowledge", "context", "customers"
SHARES = {KNOWLEDGE: 0.6, CONTEXT: 0.3, CUSTOMERS: 0.1}
_SECRET = "cache:secret"  # noqa: S105 - the row's name
Count = Callable[[str, str], None]
"""Told the level (l1, l2) and the outcome of each look."""
Mark = Callable[[int], Awaitable[str]]
"""What tells a revision of the knowledge from the same number elsewhere; empty: nothing does."""


class SharedAnswers:
    """`Answers`, with a second level where there is one."""

    def __init__(
        self,
        lru: ByteLru[tuple[str, Ask], Explanation],
        second: SecondLevel | None,
        mark: Mark,
        *,
        count: Count,
        ttl_s: float,
    ) -> None:
        self._lru, self._second, self._mark = lru, second, mark
        self._count, self._ttl_s = count, ttl_s
        self._marks: dict[str, str] = {}

    def known(self, stamp: str, ask: Ask) -> Explanation | None:
        return self._lru.get((stamp, ask))

    async def elsewhere(self, stamp: str, ask: Ask) -> Explanation | None:
        if self._second is None:
            return None
        mark = await self._mark_of(stamp)
        if not mark:
            return None
        shared = await self._second.get(_name(stamp, mark, ask))
        found, outcome = None, shared.outcome
        if outcome == "hit":
            try:
                found = unpacked(shared.value, ask.query)
            except (ValueError, KeyError, TypeError) as error:
                log.warning("a shared search result is not used: %s", type(error).__name__)
                outcome = "refused"
        self._count("l2", outcome)
        if found is not None:
            self._lru.put((stamp, ask), found, ttl_s=shared.left_s)
        return found

    def keep(self, stamp: str, ask: Ask, found: Explanation) -> None:
        self._lru.put((stamp, ask), found)
        mark = self._marks.get(stamp)
        if self._second is not None and mark:
            self._second.put(_name(stamp, mark, ask), packed(found), ttl_s=self._ttl_s)

    def forget(self) -> None:
        self._lru.clear()
        self._marks = {}

    async def _mark_of(self, stamp: str) -> str:
        mark = self._marks.get(stamp)
        if mark is None:
            try:
                mark = await self._mark(int(stamp.partition("-")[0]))
            except StorageError as error:
                log.warning("what is shared of searches is not used: %s", error)
                return ""
            self._marks[stamp] = mark
        return mark


def _name(stamp: str, mark: str, ask: Ask) -> str:
    return f"{KNOWLEDGE}|{stamp}|{mark}|{ask!r}"


@dataclass(frozen=True, slots=True)
class Caches:
    """``answers``: None where no search is to be remembered."""

    answers: Answers | None
    context: ByteLru[str, CheckpointTuple]
    second: SecondLevel | None = None

    async def aclose(self) -> None:
        if self.second is not None:
            await self.second.aclose()


def build_caches(settings: Settings, database: Database, metrics: Metrics) -> Caches:
    """Over a started ``database``, whose rows hold what the second level is sealed with."""
    second = build_second_level(settings, database)

    def lru(cache: str, ttl_s: float, max_entries: int | None = None) -> ByteLru[Any, Any]:
        def count(found: Found) -> None:
            metrics.cache_requests.labels(cache, "l1", found).inc()

        share = int(SHARES[cache] * settings.cache_mb * 1_048_576)
        made: ByteLru[Any, Any] = ByteLru(share, ttl_s=ttl_s, max_entries=max_entries, count=count)
        metrics.cache_bytes.labels(cache).set_function(lambda: made.bytes)
        return made

    answers = None
    if settings.cache_mb and settings.retrieval_cache_size:
        answers = SharedAnswers(
            lru(KNOWLEDGE, settings.cache_knowledge_s, settings.retrieval_cache_size),
            second,
            lambda revision: database.read(lambda c: mark_of(c, revision)),
            count=lambda level, outcome: metrics.cache_requests.labels(
                KNOWLEDGE, level, outcome
            ).inc(),
            ttl_s=settings.cache_knowledge_s,
        )
    customers = lru(CUSTOMERS, settings.cache_customer_s)
    database.engine.update_execution_options(**{REMEMBERED: customers})
    return Caches(answers, lru(CONTEXT, settings.cache_context_s), second)


def build_second_level(settings: Settings, database: Database) -> SecondLevel | None:
    """None where no Redis is configured."""
    if settings.redis_url is None:
        return None

    async def secret() -> bytes:
        return bytes.fromhex(await database.write(_shared_secret))

    url = settings.redis_url.get_secret_value()
    return SecondLevel(url, secret, timeout_s=settings.redis_timeout_s)


def _shared_secret(connection: Connection) -> str:
    """Drawn by the first process that asks; who reads it reads all that it seals, in the rows."""
    return tokens.keep_first(connection, _SECRET, token_hex(32), now=time.time())
