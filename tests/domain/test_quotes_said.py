"""What the customer reads is the quote: to the cent, through the real nodes and wordings."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decisions import CustomerFacts, Retrieval
from domain.negotiation import counter_offer
from domain.pricing import PriceBook
from domain.risk import RiskPolicy
from domain.rules import RuleSet
from graphs.classifier.model import IntentClassifier
from graphs.context import Services, TurnContext
from graphs.nodes.price_estimate import price_estimate
from graphs.nodes.reply import reply
from graphs.templates import Templates

DEFAULTS = Path(__file__).parents[2] / "engine/defaults"
_LINE = re.compile(r"^· \S+ (-?\d+(?:\.\d\d)?)元\(.+\)$", re.MULTILINE)
_TOTAL = re.compile(
    r"^合计：([\d.]+)元$|^([\d.]+)元起，|就按 ([\d.]+)元|可以到 ([\d.]+)元"
    r"|^([\d.]+)元(?:起)? 已经是",
    re.MULTILINE,
)


class NothingToSearch:
    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        return Retrieval(query)


def _default(name: str) -> str:
    return (DEFAULTS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> Services:
    return Services(
        classifier=IntentClassifier.load(),
        rules=RuleSet.parse(_default("rules.yaml")),
        retriever=NothingToSearch(),
        price_book=PriceBook.parse(_default("price_book.yaml")),
        templates=Templates.parse(_default("templates.yaml")),
        risk_policy=RiskPolicy(),
    )


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def _fen(written: str) -> int:
    yuan, _, cents = written.partition(".")
    whole = int(yuan) * 100
    return whole - int(cents or 0) if yuan.startswith("-") else whole + int(cents or 0)


def _said(content: str) -> tuple[list[int], int]:
    totals = [found for match in _TOTAL.finditer(content) for found in match.groups() if found]
    assert len(totals) == 1, content
    return [_fen(match[1]) for match in _LINE.finditer(content)], _fen(totals[0])


async def _turn(state: dict[str, Any], context: TurnContext, text: str, picture: bool) -> None:
    """One turn's price and its reply; ``state`` keeps what the graph would keep."""
    bargains = bool(state.get("open_quote")) and counter_offer(text) is not None
    state["classification"] = {
        "text": text,
        "intent": "price",
        "confidence": 0.9,
        "entities": {},
        "images": ["https://shop.test/1.jpg"] if picture else [],
        "bargains": bargains,
    }
    state["risk"] = {"outcome": "accept", "reasons": ["quoted"], "missing": [], "approval": []}
    state |= await price_estimate(state, context)  # type: ignore[arg-type]
    if state["quote"] is not None and (state["bargain"] or {}).get("kind") != "person":
        state |= await reply(state, context)  # type: ignore[arg-type]
    else:
        state["decision"] = None


_SERVICES = ["抠图", "高清修复", "修图", "转矢量图", "改字", "找原图", "做一张海报", "设计logo"]
_DETAILS = [
    *("3张", "二十张", "100张", "很复杂", "头发丝", "字很多", "大概80个字", "加急", "很模糊"),
    *("，", "多少钱", "这张图"),
]
_REQUESTS = st.tuples(
    st.sampled_from(_SERVICES), st.lists(st.sampled_from(_DETAILS), max_size=5).map("".join)
).map(" ".join)
_HAGGLING = st.one_of(
    st.sampled_from(
        ["便宜点", "太贵了", "打个九五折", "抹个零", "最低多少", "半价行吗", "便宜2块"]
    ),
    st.integers(1, 3_000).map(lambda yuan: f"{yuan}块行吗"),
    st.integers(1, 9_999).map(lambda fen: f"{fen / 100:.2f}元做不做"),
)


@settings(max_examples=600, deadline=None)
@given(
    request=_REQUESTS,
    picture=st.booleans(),
    level=st.sampled_from(["white", "gray", "black"]),
    haggling=st.lists(_HAGGLING, max_size=4),
    seed=st.text("abc", max_size=3),
)
def test_every_reply_says_the_quote_and_nothing_under_the_floor(
    services: Services,
    runner: asyncio.Runner,
    request: str,
    picture: bool,
    level: str,
    haggling: list[str],
    seed: str,
) -> None:
    async def talk() -> None:
        context = TurnContext(services, turn_id=seed, customer=CustomerFacts(level=level))
        state: dict[str, Any] = {}
        for text in (request, *haggling):
            await _turn(state, context, text, picture)
            if not state["decision"]:
                # The talk has gone to a person, which is never how it begins.
                assert text is not request
                return
            amounts, total = _said(state["decision"]["content"])
            quote = state["quote"]
            assert amounts == [item["amount"] for item in quote["items"]]
            assert total == quote["total"] == sum(amounts) >= quote["floor"]
            assert quote == state["open_quote"]

    runner.run(talk())
