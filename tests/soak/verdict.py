"""Flat or not: what a series of samples says about the hours that were not measured.

A series is flat if its line through the samples after the warm-up, drawn out over the whole run,
rises by no more than a share of the median or an amount, whichever is more. The line is Theil and
Sen's: the median of the slopes between all pairs of samples, which one slow minute does not bend.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

WARM_UP_SHARE = 0.25
"""Of the run: code is loaded, caches fill, the databases' page caches too."""
MIN_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a series may rise over the whole run: ``share`` of its median, or ``amount``.
    ``most``: that no sample may exceed at all."""

    share: float = 0.0
    amount: float = 0.0
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rise``: over the whole run, by the line; ``allowed``: what it may be."""

    name: str
    unit: str
    first: float
    median: float
    last: float
    highest: float
    rise: float
    allowed: float
    flat: bool


def judge(
    name: str,
    unit: str,
    samples: Sequence[tuple[float, float]],
    limit: Limit,
    *,
    run: float,
) -> Verdict:
    """``samples``: (seconds since the start, value); ``run``: seconds of the whole run.

    Raises ValueError where too few samples come after the warm-up.
    """
    warm = [(at, value) for at, value in samples if at >= WARM_UP_SHARE * run]
    if len(warm) < MIN_SAMPLES:
        raise ValueError(f"{name}: {len(warm)} samples after the warm-up")
    values = [value for _, value in warm]
    median = statistics.median(values)
    rise = slope(warm) * run
    allowed = max(limit.share * median, limit.amount)
    within = limit.most is None or max(values) <= limit.most
    return Verdict(
        name,
        unit,
        values[0],
        median,
        values[-1],
        max(values),
        rise,
        allowed,
        rise <= allowed and within,
    )


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Per second; 0.0 for samples of one moment."""
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(sorted(samples), 2)
        if later[0] > earlier[0]
    ]
    return statistics.median(slopes) if slopes else 0.0
