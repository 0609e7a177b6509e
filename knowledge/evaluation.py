"""Figures of a retrieval: what was asked, what should come, what came."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.decisions import Retrieval


@dataclass(frozen=True, slots=True)
class Judged:
    """``gold``: id of the entry that answers the query; None where none does."""

    gold: str | None
    result: Retrieval


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates in 0..1. ``precision`` and ``coverage`` are those of answering at the threshold:
    the share of answers that are right, and the share of all queries that get one."""

    queries: int
    recall_at_1: float
    recall_at_3: float
    mrr_at_10: float
    auroc: float
    precision: float
    coverage: float
    calibration_error: float


def figures(judged: Sequence[Judged], threshold: float = 0.75) -> Figures:
    inside = [item for item in judged if item.gold is not None]
    ranks = np.array([_rank(item) for item in inside], dtype=np.float64)
    confidence = np.array([item.result.confidence for item in judged], dtype=np.float64)
    right = np.array([item.gold is not None and _rank(item) == 1.0 for item in judged], dtype=bool)
    scope = np.array([item.gold is not None for item in judged], dtype=bool)
    answered = confidence >= threshold
    return Figures(
        queries=len(judged),
        recall_at_1=_mean(ranks == 1),
        recall_at_3=_mean(ranks <= 3),
        mrr_at_10=_mean(np.where(ranks <= 10, 1.0 / ranks, 0.0)),
        auroc=auroc(confidence[scope], confidence[~scope]),
        precision=_mean(right[answered]),
        coverage=_mean(answered),
        calibration_error=_calibration_error(confidence, right),
    )


def _rank(item: Judged) -> float:
    ids = [evidence.id for evidence in item.result.evidence]
    return ids.index(item.gold) + 1.0 if item.gold in ids else np.inf


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if values.size else 0.0


def auroc(inside: NDArray[Any], outside: NDArray[Any]) -> float:
    """Chance that a query in scope has more confidence than one out of scope."""
    first, second = np.asarray(inside), np.sort(np.asarray(outside))
    if not first.size or not second.size:
        return 0.5
    below = np.searchsorted(second, first, side="left")
    not_above = np.searchsorted(second, first, side="right")
    return float((below + not_above).mean() / (2 * second.size))


def _calibration_error(confidence: NDArray[Any], right: NDArray[Any]) -> float:
    """Expected calibration error over ten bins of confidence."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [
        abs(confidence[bins == number].mean() - right[bins == number].mean())
        * (bins == number).sum()
        for number in np.unique(bins)
    ]
    return float(sum(gaps) / max(len(confidence), 1))
