"""A re-ranking model's second opinion: where it is asked, and what it may change."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from domain.decisions import Retrieval
from domain.errors import PeerError
from knowledge.documents import Entry, make_entry
from knowledge.rerank import (
    CANDIDATES,
    FAILURES,
    REST_S,
    Bounds,
    Reranker,
    endpoint,
    judge,
    scores_of,
)
from tests.http_server import Handler, serving
from tests.knowledge.conftest import Samples, Searching

KEY = "sk-not-to-be-seen"
BOUNDS = Bounds()


# The rules


@pytest.mark.parametrize(
    ("scores", "local", "order", "confidence"),
    [
        # Sure of ours: the mean of both.
        ((0.9, 0.1), (0.7, 0.2), (0, 1), 0.8),
        # Not sure enough, or with another one just behind: as it was.
        ((0.7, 0.1), (0.7, 0.2), (0, 1), 0.7),
        ((0.9, 0.88), (0.7, 0.2), (0, 1), 0.7),
        # Low scores lower nothing.
        ((0.05, 0.01), (0.7, 0.2), (0, 1), 0.7),
        ((0.9, 0.1), (0.88, 0.2), (0, 1), 0.89),
        ((0.81, 0.1), (0.88, 0.2), (0, 1), 0.88),
        # From a hand-over to a question back, and never to an answer.
        ((1.0, 0.0), (0.54, 0.2), (0, 1), 0.55),
        ((0.8, 0.0), (0.28, 0.2), (0, 1), 0.54),
        # Another one first: what both its score and the local rank support.
        ((0.1, 0.99), (0.88, 0.3), (1, 0), 0.3),
        ((0.1, 0.25), (0.88, 0.8), (1, 0), 0.25),
        # Hardly ahead is a tie.
        ((0.60, 0.64), (0.7, 0.69), (0, 1), 0.7),
        ((0.5, 0.2, 0.4), (0.7, 0.2, 0.1), (0, 2, 1), 0.7),
        ((0.95,), (0.7,), (0,), 0.825),
    ],
)
def test_a_models_scores_move_a_confidence_by_these_rules(
    scores: Sequence[float], local: Sequence[float], order: tuple[int, ...], confidence: float
) -> None:
    verdict = judge(scores, local, BOUNDS)
    assert verdict.order == order
    assert verdict.confidence == pytest.approx(confidence)


def test_a_disagreeing_model_never_makes_an_answer_of_a_question_back() -> None:
    shares = [number / 20 for number in range(21)]
    for local in (0.56, 0.7, 0.74):
        for score in shares:
            for behind in shares:
                verdict = judge((0.0, score), (local, local * behind), BOUNDS)
                assert verdict.order[0] == 0 or verdict.confidence <= local


@pytest.mark.parametrize(
    ("confidence", "matters"),
    [(0.27, False), (0.28, True), (0.7, True), (0.89, True), (0.9, False)],
)
def test_only_middling_confidences_are_worth_a_call(confidence: float, matters: bool) -> None:
    assert BOUNDS.matters(confidence) is matters


ITEMS = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
PLAIN = [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.2}]


@pytest.mark.parametrize(
    "payload",
    [
        {"results": ITEMS},
        {"data": ITEMS, "model": "m"},
        {"output": {"results": ITEMS}, "request_id": "r"},
        ITEMS,
        PLAIN,
        {"results": PLAIN},
    ],
)
def test_what_providers_call_things_makes_no_difference(payload: object) -> None:
    assert scores_of(payload, 2) == (0.2, 0.9)


def test_logits_become_shares_and_what_is_left_out_has_none() -> None:
    found = scores_of([{"index": 0, "score": -4.0}, {"index": 2, "score": 3.0}], 3)
    assert found == pytest.approx((0.018, 0.0, 0.953), abs=1e-3)


GARBAGE = [
    "no",
    {"results": "no"},
    {"results": []},
    {"results": [1, 2]},
    {"error": "quota"},
    [{"index": 2, "score": 0.5}],
    [{"index": -1, "score": 0.5}],
    [{"index": True, "score": 0.5}],
    [{"index": "0", "score": 0.5}],
    [{"index": 0, "score": "high"}],
    [{"index": 0, "score": None}],
    [{"index": 0}],
    [{"score": 0.5}],
    [{"index": 0, "score": 0.5}, {"index": 0, "score": 0.6}],
    [{"index": 0, "score": float("nan")}],
]


@pytest.mark.parametrize("payload", GARBAGE, ids=str)
def test_what_is_no_answer_is_refused(payload: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        scores_of(payload, 2)


@pytest.mark.parametrize(
    ("url", "posted_to"),
    [
        ("http://h/v1", "http://h/v1/rerank"),
        ("http://h/v1/", "http://h/v1/rerank"),
        ("http://h/v1/rerank", "http://h/v1/rerank"),
        ("http://h/compatible-api/v1/reranks", "http://h/compatible-api/v1/reranks"),
    ],
)
def test_the_url_may_name_the_endpoint_itself(url: str, posted_to: str) -> None:
    assert endpoint(url) == posted_to


# Over HTTP


class Model:
    """A re-ranking server on loopback. ``score`` gives a document's score; ``answer`` replaces the
    whole answer with a status and a body; with ``free`` not set it keeps everyone waiting."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.score: Callable[[int, str], float] = lambda number, _: 0.5 / (number + 1)
        self.answer: Callable[[dict[str, Any]], tuple[int, bytes] | None] = lambda _: None
        self.free = threading.Event()
        self.free.set()

    def reply(self, body: dict[str, Any], key: str) -> tuple[int, bytes]:
        self.asked.append(body)
        self.keys.append(key)
        self.free.wait(30.0)
        documents = body["texts" if "texts" in body else "documents"]
        results = [
            {"index": number, "relevance_score": self.score(number, text)}
            for number, text in enumerate(documents)
        ]
        return self.answer(body) or (200, json.dumps({"results": results}).encode())


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model("")

    class Asked(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            self.reply(*model.reply(body, self.headers.get("Authorization", "")))

    with serving(Asked) as url:
        model.url = f"{url}/v1"
        yield model
        model.free.set()


class Asking:
    """Searches of the samples with and without the model."""

    def __init__(self, plain: Searching, asking: Searching, reranker: Reranker) -> None:
        self.plain, self.asking, self.reranker = plain.retriever, asking.retriever, reranker
        self.outcomes: list[str] = []
        self.now = 0.0


@pytest.fixture
async def asking(
    model: Model, samples: Searching, opened_samples: Samples, tmp_path: Path
) -> AsyncIterator[Asking]:
    reranker = Reranker(
        model.url,
        "reranker",
        api_key=KEY,
        timeout_s=5.0,
        observe=lambda outcome, _: opened.outcomes.append(outcome),
        clock=lambda: opened.now,
    )
    async with opened_samples(tmp_path / "asking", reranker=reranker) as other:
        opened = Asking(samples, other, reranker)
        yield opened
    await reranker.aclose()


WORDINGS = (
    "能用数字人民币付款吗", "申请独立电表需要什么材料", "安装充电桩要行驶证吗", "多少钱",
    "卫衣有货吗", "蓝牙连不上", "学生有没有优惠", "图片能不能做大一点", "什么时候发货",
    "退款多久到账", "能不能开专票", "充电桩装一台多少钱",
)  # fmt: skip


FAR = ("门店收不收数字人民币", "量子力学是什么", "商城取件码在哪里看呀", "")


async def between(asking: Asking, low: float, high: float) -> list[Retrieval]:
    """What searches without the model find with a confidence in the range."""
    found = [await asking.plain.search(query, top_k=CANDIDATES) for query in WORDINGS]
    chosen = [r for r in found if low <= r.confidence < high and not r.exact]
    assert chosen, "no wording has such a confidence with this model: choose others"
    return chosen


async def test_agreement_makes_an_answer_of_a_question_back(asking: Asking, model: Model) -> None:
    model.score = lambda number, _: 0.99 if number == 0 else 0.1
    for before in await between(asking, 0.55, 0.7):
        after = await asking.asking.search(before.query)
        assert [item.id for item in after.evidence[:1]] == [before.evidence[0].id]
        assert after.confidence == pytest.approx((before.confidence + 0.99) / 2, abs=1e-3)
        assert after.confidence >= 0.75
        assert len(after.evidence) == 3
    assert asking.outcomes == ["ok"] * len(model.asked)


async def test_another_order_comes_with_no_more_confidence_than_the_rank_supports(
    asking: Asking, model: Model
) -> None:
    model.score = lambda number, _: 0.97 if number == 1 else 0.2
    (before, *_) = await between(asking, 0.55, 0.75)
    explained = await asking.asking.explain(before.query, top_k=5)
    after = explained.retrieval
    assert [item.id for item in after.evidence[:2]] == [
        before.evidence[1].id,
        before.evidence[0].id,
    ]
    assert after.confidence == pytest.approx(before.evidence[1].score, abs=1e-3)
    scores = [item.score for item in after.evidence]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == after.confidence
    assert explained.reranked is not None
    assert explained.reranked.confidence == before.confidence
    assert explained.reranked.scores == (0.97, 0.2, 0.2, 0.2, 0.2)
    assert explained.as_dict()["reranked"]["confidence"] == before.confidence


async def test_the_model_sees_the_query_and_at_most_ten_documents(
    asking: Asking, model: Model
) -> None:
    (before, *_) = await between(asking, 0.3, 0.75)
    await asking.asking.search(before.query, top_k=1)
    (asked,) = model.asked
    assert (asked["model"], asked["query"]) == ("reranker", before.query)
    assert len(asked["documents"]) == asked["top_n"] == CANDIDATES
    best = before.evidence[0]
    assert asked["documents"][0].startswith(f"{best.question}\n{best.answer[:20]}")
    assert model.keys == [f"Bearer {KEY}"]


async def test_what_a_follow_up_leans_on_is_said_with_it(asking: Asking, model: Model) -> None:
    await asking.asking.search("多少钱", context=["卫衣有货吗"])
    assert [asked["query"] for asked in model.asked] == ["卫衣有货吗 多少钱"]


async def test_where_it_cannot_matter_the_model_is_not_asked(
    asking: Asking, model: Model, sample_entries: tuple[Entry, ...]
) -> None:
    exact = await asking.asking.search(sample_entries[0].question)
    assert exact.confidence >= 0.99
    queries = (*FAR, *WORDINGS)
    found = [await asking.plain.search(query) for query in queries]
    beyond = [before for before in found if not BOUNDS.matters(before.confidence)]
    assert beyond, "all wordings are of middling confidence with this model: choose others"
    for before in beyond:
        assert await asking.asking.search(before.query) == before
    assert model.asked == []


async def test_a_repeated_query_is_not_paid_for_twice(asking: Asking, model: Model) -> None:
    (before, *_) = await between(asking, 0.3, 0.75)
    first = await asking.asking.search(before.query)
    assert await asking.asking.search(before.query) == first
    assert len(model.asked) == 1


async def test_no_agreement_answers_one_wording_with_two_answers(
    model: Model, tmp_path: Path
) -> None:
    model.score = lambda number, _: 1.0 if number == 0 else 0.0
    reranker = Reranker(model.url, "m")
    searching = Searching(tmp_path, reranker=reranker)
    try:
        await searching.feed(
            [
                make_entry("几点开门", "九点。", source="a.md"),
                make_entry("几点开门", "八点。", source="b.md"),
            ]
        )
        assert (await searching.retriever.search("几点开门")).confidence <= 0.7
        assert len(model.asked) == 1
    finally:
        await searching.retriever.aclose()
        await reranker.aclose()


# Faults


def failing(status: int, body: bytes) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    return lambda _: (status, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (429, b"{}"), (401, b"{}"), (200, b"<html>"), (200, b'{"results": [{}]}'),
     (200, b""), (200, b"\xff\xfe\x00")],
)  # fmt: skip
async def test_a_failing_or_babbling_server_leaves_the_local_answer(
    asking: Asking, model: Model, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    model.answer = failing(status, body)
    (before, *_) = await between(asking, 0.3, 0.75)
    with caplog.at_level(logging.DEBUG):
        assert await asking.asking.search(before.query, top_k=CANDIDATES) == before
    assert asking.outcomes == ["failed"]
    assert "local order" in caplog.text
    assert KEY not in caplog.text
    with pytest.raises(PeerError) as caught:
        await asking.reranker.ask("问", ["答"])
    assert caught.value.status == (status if status != 200 else None)


async def test_a_slow_server_costs_no_more_than_the_time_out(
    model: Model, asking: Asking, opened_samples: Samples, tmp_path: Path
) -> None:
    outcomes: list[str] = []
    hasty = Reranker(model.url, "m", timeout_s=0.1, observe=lambda o, _: outcomes.append(o))
    model.free.clear()
    try:
        async with opened_samples(tmp_path / "hasty", reranker=hasty) as searching:
            (before, *_) = await between(asking, 0.3, 0.75)
            async with asyncio.timeout(60):
                found = await searching.retriever.search(before.query, top_k=CANDIDATES)
        assert found == before
        assert outcomes == ["timeout"]
    finally:
        model.free.set()
        await hasty.aclose()


async def test_a_server_that_is_away_leaves_the_local_answer(asking: Asking, model: Model) -> None:
    (before, *_) = await between(asking, 0.3, 0.75)
    away = Reranker("http://127.0.0.1:1/v1", "m")
    assert await away.scores(before.query, ["答"]) is None
    await away.aclose()
    assert await away.scores("关了以后", ["答"]) is None


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(
    asking: Asking, model: Model
) -> None:
    model.answer = failing(503, b"{}")
    for number in range(FAILURES + 2):
        assert await asking.reranker.scores(f"问{number}", ["答"]) is None
    assert len(model.asked) == FAILURES
    asking.now += REST_S + 1
    model.answer = lambda _: None
    assert await asking.reranker.scores("又问", ["答"]) == (0.5,)


async def test_a_server_that_wants_texts_is_asked_its_way_from_then_on(
    asking: Asking, model: Model
) -> None:
    model.answer = lambda body: None if "texts" in body else (422, b'{"error": "missing texts"}')
    assert await asking.reranker.scores("问", ["甲", "乙"]) == (0.5, 0.25)
    assert await asking.reranker.scores("再问", ["甲"]) == (0.5,)
    assert ["texts" in body for body in model.asked] == [False, True, True]
