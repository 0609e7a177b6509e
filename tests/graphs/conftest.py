"""The real graph over real services: shipped rules, prices and wordings, the sample knowledge."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

import engine
from domain.decisions import CustomerFacts
from domain.messages import Attachment
from domain.pricing import PriceBook
from domain.risk import RiskPolicy
from domain.rules import RuleSet
from engine.bootstrap import build_knowledge, open_database
from engine.settings import load_settings
from graphs.classifier.model import IntentClassifier
from graphs.context import Services, TurnContext
from graphs.conversation import build_conversation_graph
from graphs.templates import Templates
from knowledge.retrieval import Retriever
from tests.service import sample_data

DEFAULTS = Path(engine.__file__).parent / "defaults"


class Customer:
    """One customer's conversation; ``context`` is that of the last turn."""

    def __init__(self, services: Services, facts: CustomerFacts | None = None) -> None:
        self.services, self.facts = services, facts or CustomerFacts("web:shop:u1", "王女士")
        self.saver = InMemorySaver()
        self.graph = build_conversation_graph(checkpointer=self.saver)
        self.context = TurnContext(services)
        self.turns = 0

    async def says(self, text: str, *, images: tuple[str, ...] = ()) -> dict[str, Any]:
        """The state after the turn."""
        self.turns += 1
        self.context = TurnContext(
            self.services,
            turn_id=f"t{self.turns}",
            conversation_id="c1",
            customer=self.facts,
            attachments=tuple(Attachment("image", url) for url in images),
            now=1_700_000_000.0,
        )
        return await self.graph.ainvoke(
            {"messages": [HumanMessage(text)]},
            {"configurable": {"thread_id": "c1"}},
            context=self.context,
            durability="exit",
        )

    def path(self) -> list[str]:
        """The nodes that the last turn passed."""
        return [name for name, _ in self.context.nodes]


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("graphs") / "samples"
    shutil.copytree(sample_data(), folder)
    settings = load_settings(env_files=None, data_dir=folder, database_url=None)
    database = open_database(settings)
    knowledge = build_knowledge(settings, database)
    yield build_services(knowledge.retriever)
    asyncio.run(knowledge.aclose())
    database.close()


def build_services(retriever: Retriever) -> Services:
    def default(name: str) -> str:
        return (DEFAULTS / name).read_text("utf-8")

    return Services(
        classifier=IntentClassifier.load(),
        rules=RuleSet.parse(default("rules.yaml")),
        retriever=retriever,
        price_book=PriceBook.parse(default("price_book.yaml")),
        templates=Templates.parse(default("templates.yaml")),
        risk_policy=RiskPolicy(),
    )


@pytest.fixture
def customer(services: Services) -> Customer:
    return Customer(services)
