"""When an alert fires and when it is over."""

import pytest

from domain.alerts import (
    NEVER,
    AlertName,
    AlertRule,
    AlertState,
    Standing,
    Turn,
    judge,
    rules_of,
)

CPU = AlertRule(AlertName.CPU_HIGH, threshold=80, ends_at=72, for_s=60, calm_s=120)


def played(rule: AlertRule, *seen: tuple[float, float | None]) -> list[tuple[float, Turn]]:
    """What is told when the value is looked at: (second, value)."""
    standing, told = Standing(), []
    for at, value in seen:
        standing, turn = judge(rule, standing, value, at)
        if turn is not None:
            told.append((at, turn))
    return told


def test_a_peak_that_is_over_within_a_minute_fires_nothing() -> None:
    assert played(CPU, (0, 99), (30, 99), (59, 99), (60, 10), (90, 99), (149, 99)) == []


def test_it_fires_once_however_long_it_lasts() -> None:
    seen = [(15 * n, 99.0) for n in range(100)]
    assert played(CPU, *seen) == [(60, "firing")]


def test_a_value_at_the_threshold_is_not_over_it() -> None:
    assert played(CPU, *[(15 * n, 80.0) for n in range(20)]) == []


def test_a_value_that_swings_around_the_threshold_is_told_of_once() -> None:
    swings = [(15 * n, 81.0 if n % 2 else 75.0) for n in range(5, 60)]
    assert played(CPU, (0, 99), (60, 99), *swings) == [(60, "firing")]


def test_it_is_over_once_it_was_low_for_long_enough() -> None:
    low = [(60 + 15 * n, 40.0) for n in range(1, 20)]
    # First low at 75, two minutes of it at 195.
    assert played(CPU, (0, 99), (60, 99), *low) == [(60, "firing"), (195, "resolved")]


def test_low_values_with_a_high_one_between_begin_to_count_anew() -> None:
    seen = [(0, 99.0), (60, 99.0), (75, 40.0), (180, 90.0), (195, 40.0), (300, 40.0), (315, 40.0)]
    assert played(CPU, *seen) == [(60, "firing"), (315, "resolved")]


def test_no_news_is_not_good_news() -> None:
    unknown = [(60.0 + 15 * n, None) for n in range(1, 100)]
    assert played(CPU, (0, 99), (60, 99), *unknown) == [(60, "firing")]


def test_it_fires_again_after_it_was_over() -> None:
    again = [(1_000, 99.0), (1_060, 99.0)]
    low = [(61, 10.0), (181, 10.0)]
    told = played(CPU, (0, 99), (60, 99), *low, *again)
    assert told == [(60, "firing"), (181, "resolved"), (1_060, "firing")]


def test_a_standing_tells_since_when_it_is_so() -> None:
    standing, _ = judge(CPU, Standing(), 90, 100.0, "主机 a。")
    assert (standing.state, standing.since, standing.detail) == (
        AlertState.PENDING,
        100.0,
        "主机 a。",
    )
    standing, _ = judge(CPU, standing, 91, 160.0)
    assert (standing.state, standing.since, standing.fired, standing.fires) == (
        AlertState.FIRING,
        160.0,
        160.0,
        1,
    )


@pytest.mark.parametrize(
    ("name", "level", "ends_at", "for_s"),
    [
        (AlertName.CPU_HIGH, 80, 72, 60),  # a tenth below 80
        (AlertName.RESPONSE_SLOW, 5_000, 4_500, 60),
        (AlertName.TOKEN_HIGH, 1_000_000, 900_000, 0),  # 24 hours do not jump
        (AlertName.DEAD_LETTERS, 0, 0, 0),  # one is one too many, none is none
        (AlertName.CLIENT_OFFLINE, 2, 2, 0),
    ],
)
def test_measures_end_a_tenth_below_their_threshold_and_counts_at_it(
    name: AlertName, level: float, ends_at: float, for_s: float
) -> None:
    (rule,) = rules_of(lambda one: level if one is name else NEVER, for_s=60, calm_s=120)
    assert rule == AlertRule(name, level, ends_at, for_s, 120)


def test_a_rule_without_a_threshold_is_none() -> None:
    assert rules_of(lambda _: NEVER, for_s=60, calm_s=120) == ()
    assert len(rules_of(lambda _: 0.0, for_s=60, calm_s=120)) == len(AlertName)
