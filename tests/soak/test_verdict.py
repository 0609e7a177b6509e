"""The rule by which a series of the soak counts as flat."""

import math
import random

import pytest

from tests.soak.report import LIMITS, series, verdict_table
from tests.soak.sampling import MIB, Sample, percentile
from tests.soak.traffic import Answered
from tests.soak.verdict import Limit, judge, slope

RUN = 1_200.0
TIMES = [5.0 * number for number in range(241)]


def verdict(values: list[float], limit: Limit) -> bool:
    return judge("x", "", list(zip(TIMES, values, strict=True)), limit, run=RUN).flat


def test_noise_around_a_level_is_flat() -> None:
    chance = random.Random(1)
    assert verdict([100 + chance.gauss(0, 4) for _ in TIMES], Limit(share=0.05))


def test_a_rise_that_ends_with_the_warm_up_is_flat() -> None:
    assert verdict([200 - 100 * math.exp(-at / 60) for at in TIMES], Limit(share=0.05))


def test_a_slow_steady_leak_under_noise_is_not_flat() -> None:
    """A mebibyte a minute on 250: 20 in the run, where 15 are allowed."""
    chance = random.Random(2)
    values = [250 + at / 60 + chance.gauss(0, 6) for at in TIMES]
    assert not verdict(values, Limit(share=0.06, amount=12))


def test_one_bad_minute_does_not_bend_the_line() -> None:
    values = [50.0 if not 600 <= at <= 660 else 5_000.0 for at in TIMES]
    assert verdict(values, Limit(share=0.1))


def test_what_falls_is_flat_and_what_exceeds_its_most_is_not() -> None:
    assert verdict([300 - at / 10 for at in TIMES], Limit(share=0.01))
    assert not verdict([2.0] * 240 + [3.0], Limit(share=0.5, most=2))


def test_too_short_a_run_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="3 samples"):
        judge("x", "", [(at, 1.0) for at in (0.0, 400.0, 800.0, 1_200.0)], Limit(), run=RUN)


def test_the_slope_is_the_median_of_all_slopes() -> None:
    """(1-0)/1, (2-0)/2, (9-0)/3, (2-1)/1, (9-1)/2, (9-2)/1: the median of 1 1 3 1 4 7 is 2."""
    assert slope([(0, 0), (1, 1), (2, 2), (3, 9)]) == 2.0
    assert slope([(1, 5)]) == 0.0


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(100)], 0.95) == 95.0
    assert percentile([], 0.5) is None


def sample(at: float, messages: int, database: int) -> Sample:
    return Sample(
        at=at,
        rss=300 * MIB,
        uss=250 * MIB,
        children=0,
        open_files=100,
        threads=20,
        database=database,
        wal=4 * MIB,
        other_files=5 * MIB,
        messages=messages,
        checkpoints=20,
        conversations=10,
        most_checkpoints=2,
        checkpoint_bytes=60 * 1024,
        cpu_percent=20.0,
        load=1.0,
        turns=3,
        turn_p50=0.01,
        turn_p95=0.05,
    )


def test_each_limit_judges_a_series_and_a_file_is_measured_by_the_message() -> None:
    samples = [sample(at, int(at * 20), int(at * 20) * 4_096) for at in TIMES]
    waits = [Answered(at, 0.03) for at in TIMES]
    found = series(samples, waits, RUN)
    assert set(found) == set(LIMITS)
    verdicts = [judge(n, u, found[n], limit, run=RUN) for n, (u, limit) in LIMITS.items()]
    assert all(one.flat for one in verdicts)
    assert {value for _, value in found["database, bytes per message"]} == {4.0}
    assert verdict_table(verdicts).count("| flat |") == len(LIMITS)
