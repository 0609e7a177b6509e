"""Figures of a retrieval: what was asked, what should come, what came."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.decisions import Retrieval
from knowledge.answers import Ask
from knowledge.documents import Entry, Progress
from knowledge.embedding import Embedder
from knowledge.fitting import corpus_of
from knowledge.model import RankingModel
from knowledge.retrieval import sight_of

TOP_K = 10
BINS = 10
PRECISION_MIN_ANSWERS = 10
"""Coverage at a precision is not read off fewer answers than this."""


@dataclass(frozen=True, slots=True)
class Question:
    """``gold``: id of the entry that answers; None where none does."""

    text: str
    gold: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    gold: str | None
    result: Retrieval
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bin:
    """Of the questions with a confidence from ``low`` to the next bin: how many, how sure, how
    many of them right."""

    low: float
    questions: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates in 0..1, times in milliseconds.

    ``precision``: share of the answers at the answering threshold that are right; ``coverage``:
    share of all questions that get one, ``answered_inside`` of those in scope. ``false_answers``:
    share of the questions out of scope that get an answer; ``wrong_handoffs``: share of those in
    scope whose right entry came first and that go to a person all the same.
    ``coverage_90``: the greatest share that could be answered with 90 % right.
    """

    questions: int
    inside: int
    recall_at_1: float
    recall_at_3: float
    mrr_at_10: float
    auroc: float
    precision: float
    coverage: float
    answered_inside: float
    false_answers: float
    wrong_handoffs: float
    coverage_90: float
    coverage_80: float
    calibration_error: float
    p50_ms: float
    p99_ms: float
    bins: tuple[Bin, ...]


def ask_all(
    model: RankingModel,
    entries: Sequence[Entry],
    questions: Iterable[Question],
    *,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> list[Judged]:
    """Every question against a base of exactly ``entries``, as a service would search it."""
    judged: list[Judged] = []
    asked = list(questions)
    by = embedder or model.encoder
    with corpus_of(entries, by) as corpus:
        sight = sight_of(corpus, by, model)
        for done, question in enumerate(asked, start=1):
            began = time.perf_counter()
            found = sight.search(Ask(question.text, (), None, TOP_K)).retrieval
            judged.append(Judged(question.gold, found, time.perf_counter() - began))
            if progress is not None:
                progress(done, len(asked))
    return judged


def figures(
    judged: Sequence[Judged], *, answer_at: float = 0.75, hand_over_below: float = 0.55
) -> Figures:
    ranks = np.array([_rank(item) for item in judged], dtype=np.float64)
    confidence = np.array([item.result.confidence for item in judged], dtype=np.float64)
    scope = np.array([item.gold is not None for item in judged], dtype=bool)
    right = scope & (ranks == 1.0)
    answered = confidence >= answer_at
    inside = ranks[scope]
    times = np.array([item.seconds for item in judged]) * 1e3
    return Figures(
        questions=len(judged),
        inside=int(scope.sum()),
        recall_at_1=_mean(inside == 1),
        recall_at_3=_mean(inside <= 3),
        mrr_at_10=_mean(np.where(inside <= 10, 1.0 / inside, 0.0)),
        auroc=auroc(confidence[scope], confidence[~scope]),
        precision=_mean(right[answered]),
        coverage=_mean(answered),
        answered_inside=_mean(answered[scope]),
        false_answers=_mean(answered[~scope]),
        wrong_handoffs=_mean((confidence < hand_over_below)[right]) * _mean(right[scope]),
        coverage_90=coverage_at(0.9, confidence, right),
        coverage_80=coverage_at(0.8, confidence, right),
        calibration_error=_calibration_error(confidence, right),
        p50_ms=float(np.percentile(times, 50)) if times.size else 0.0,
        p99_ms=float(np.percentile(times, 99)) if times.size else 0.0,
        bins=tuple(_bins(confidence, right)),
    )


def _rank(item: Judged) -> float:
    ids = [evidence.id for evidence in item.result.evidence]
    return ids.index(item.gold) + 1.0 if item.gold in ids else np.inf


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if values.size else 0.0


def coverage_at(precision: float, confidence: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """Greatest share of the questions whose answers, surest first, are right that often."""
    order = np.argsort(-confidence, kind="stable")
    so_far = np.cumsum(right[order]) / np.arange(1, order.size + 1)
    enough = np.flatnonzero(
        (so_far >= precision) & (np.arange(1, order.size + 1) >= PRECISION_MIN_ANSWERS)
    )
    return float(enough[-1] + 1) / order.size if enough.size else 0.0


def auroc(inside: NDArray[Any], outside: NDArray[Any]) -> float:
    """Chance that a query in scope has more confidence than one out of scope."""
    first, second = np.asarray(inside), np.sort(np.asarray(outside))
    if not first.size or not second.size:
        return 0.5
    below = np.searchsorted(second, first, side="left")
    not_above = np.searchsorted(second, first, side="right")
    return float((below + not_above).mean() / (2 * second.size))


def _bins(confidence: NDArray[Any], right: NDArray[np.bool_]) -> Iterable[Bin]:
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for place in np.unique(number):
        inside = number == place
        yield Bin(
            float(place) / BINS,
            int(inside.sum()),
            _mean(confidence[inside]),
            _mean(right[inside]),
        )


def _calibration_error(confidence: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of confidence."""
    gaps = [abs(part.confidence - part.right) * part.questions for part in _bins(confidence, right)]
    return float(sum(gaps) / max(len(confidence), 1))
