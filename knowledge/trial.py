"""A model tried on a base and its questions: figures, and what could be answered how rightly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from knowledge.documents import Entry, Progress
from knowledge.embedding import Embedder
from knowledge.evaluation import Bin, Figures, Judged, Question, ask_all, figures
from knowledge.model import RankingModel

WARM_UP = 50
"""Searches before those that are timed: the first ones pay for what a service has paid long ago."""
STEPS = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """``curve``: of the surest tenth of the questions, the surest two tenths and so on, the share
    that got the right answer."""

    entries: int
    figures: Figures
    curve: tuple[float, ...]


def try_model(
    model: RankingModel,
    entries: Sequence[Entry],
    questions: Sequence[Question],
    *,
    embedder: Embedder | None = None,
    answer_at: float = 0.75,
    hand_over_below: float = 0.55,
    progress: Progress | None = None,
) -> Trial:
    """Questions are asked one at a time. Raises KnowledgeError when an embedding server fails."""
    judged = ask_warm(model, entries, questions, embedder=embedder, progress=progress)
    found = figures(judged, answer_at=answer_at, hand_over_below=hand_over_below)
    return Trial(len(entries), found, coverage_curve(judged))


def ask_warm(
    model: RankingModel,
    entries: Sequence[Entry],
    questions: Sequence[Question],
    *,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> list[Judged]:
    warm = questions[:WARM_UP]
    asked = ask_all(model, entries, [*warm, *questions], embedder=embedder, progress=progress)
    return asked[len(warm) :]


def coverage_curve(judged: Sequence[Judged]) -> tuple[float, ...]:
    if not judged:
        return (0.0,) * STEPS
    confidence = np.array([item.result.confidence for item in judged])
    right = np.array([is_right(item) for item in judged])
    so_far = np.cumsum(right[np.argsort(-confidence, kind="stable")])
    sizes = [max(round(len(judged) * step / STEPS), 1) for step in range(1, STEPS + 1)]
    return tuple(float(so_far[size - 1] / size) for size in sizes)


def is_right(item: Judged) -> bool:
    first = item.result.evidence[:1]
    return item.gold is not None and bool(first) and first[0].id == item.gold


def figures_json(trial: Trial) -> dict[str, Any]:
    """By the names that people use. None where there was nothing to measure it on."""
    found = trial.figures
    both = 0 < found.inside < found.questions
    return {
        "entries": trial.entries,
        "questions": found.questions,
        "in_scope": found.inside,
        "recall@1": _if(found.inside, found.recall_at_1),
        "recall@3": _if(found.inside, found.recall_at_3),
        "mrr@10": _if(found.inside, found.mrr_at_10),
        "auroc": _if(both, found.auroc),
        "precision": _if(found.coverage, found.precision),
        "coverage": found.coverage,
        "answered_in_scope": _if(found.inside, found.answered_inside),
        "false_answer_rate": _if(found.questions - found.inside, found.false_answers),
        "wrong_handoff_rate": _if(found.inside, found.wrong_handoffs),
        "coverage@90": found.coverage_90,
        "coverage@80": found.coverage_80,
        "calibration_error": found.calibration_error,
        "p50_ms": found.p50_ms,
        "p99_ms": found.p99_ms,
        "bins": [_bin(part) for part in found.bins],
        "curve": list(trial.curve),
    }


def _if(measured: float | bool, value: float) -> float | None:
    return value if measured else None


def _bin(part: Bin) -> dict[str, float]:
    return {
        "from": part.low,
        "questions": part.questions,
        "confidence": part.confidence,
        "right": part.right,
    }
