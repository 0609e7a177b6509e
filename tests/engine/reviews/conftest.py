"""Reviews over a running process whose knowledge a test can change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from domain.decisions import Evidence, Retrieval
from domain.desk import Agent, AgentRole
from engine.metrics import Metrics
from engine.model_calls import CallsBesideTurns
from engine.orders.turns import TurnOrders
from engine.regressions.files import Regressions
from engine.reviews.reviews import ReviewPolicy, Reviews
from graphs.context import Services
from knowledge.base import KnowledgeBase
from knowledge.learning import Learning
from tests.engine.processes import Process

AGENT = Agent("xiaowang", "小王", AgentRole.AGENT, scopes=("api",))
VIEWER = replace(AGENT, id="kanke", role=AgentRole.VIEWER)
STRANGER = replace(AGENT, id="bieren", scopes=("webhook", "api:another"))
DAY_S = 86_400.0


@dataclass
class Known:
    """What the base says now; without an answer it is not sure of anything."""

    answer: str = ""
    entry: str = "k_new"
    asked: list[str] = field(default_factory=list)
    refreshed: int = 0

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        self.asked.append(query)
        if not self.answer:
            return Retrieval(query, 0.1)
        found = Evidence(self.entry, query, self.answer, "new.md#1", score=1.0)
        return Retrieval(query, 0.9, (found,), exact=True)

    async def refresh(self) -> None:
        self.refreshed += 1


@pytest.fixture
def known() -> Known:
    return Known("现在的答案。")


@pytest.fixture
def pictures() -> dict[str, bytes]:
    """By the address that a customer's message has."""
    return {}


@pytest.fixture
def reviews(process: Process, known: Known, tmp_path: Path, pictures: dict[str, bytes]) -> Reviews:
    return reviews_of(process, known, tmp_path / "regressions", pictures)


def reviews_of(
    process: Process,
    known: Known,
    folder: Path,
    pictures: Mapping[str, bytes] | None = None,
    *,
    changed: bool = True,
) -> Reviews:
    """``changed``: the base says what ``known`` says; else what it said in the turns."""

    def services() -> Services:
        return replace(process.services, retriever=known) if changed else process.services

    async def picture(source: str) -> bytes | None:
        return (pictures or {}).get(source)

    return Reviews(
        process.database,
        services,
        Learning(process.database, KnowledgeBase(process.database), known.search),
        Regressions(folder),
        ReviewPolicy(keep_s=7 * DAY_S),
        orders=TurnOrders(process.orders),
        refresh=known.refresh,
        keep_calls=CallsBesideTurns(process.database, Metrics()).keep,
        picture=picture,
    )
