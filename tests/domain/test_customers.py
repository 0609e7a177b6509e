"""Score, level and state: each row of `customer_scores.md`, whose arithmetic is done here too."""

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.customers import (
    NEUTRAL,
    Counters,
    Happening,
    Level,
    Stage,
    State,
    after,
    as_bought,
    average_of,
    dealt,
    first_recent_day,
    has_churned,
    is_interested,
    is_positive,
    joined,
    level_of,
    standing,
    undealt,
)
from domain.tiers import BLACK_MESSAGES_PER_HOUR, is_over, limits_of

TABLES = (Path(__file__).parent / "customer_scores.md").read_text("utf-8")
counts = st.integers(0, 10**6)


def table(title: str) -> list[list[str]]:
    section = TABLES.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def worked_out(arithmetic: str) -> Fraction:
    """Sums of products: 40*0.6 + 30*1/3."""
    total = Fraction(0)
    for term in arithmetic.split("+"):
        value = Fraction(1)
        for factor in term.split("*"):
            over, _, under = factor.strip().partition("/")
            value *= Fraction(over) / Fraction(under or "1")
        total += value
    return total


def half_up(points: Fraction) -> int:
    exact = Decimal(points.numerator) / Decimal(points.denominator)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize("row", table("Scores"), ids=lambda row: row[0])
def test_a_score_is_what_its_row_works_out(row: list[str]) -> None:
    _, talks, messages, paid, average, arithmetic, score, level = row
    positive, judged = map(int, talks.split("/"))
    recent, all_messages = map(int, messages.split("/"))
    counters = Counters(all_messages, recent, positive, judged, int(paid) * 100, int(paid) > 0)
    found = standing(counters, int(average) * 100)
    assert half_up(worked_out(arithmetic)) == int(score)
    assert (found.score, found.level) == (int(score), level)


@pytest.mark.parametrize("row", table("States"), ids=lambda row: "-".join(row[:3]))
def test_a_state_moves_as_its_row_says(row: list[str]) -> None:
    state, before, happening, then, then_before, _ = row
    moved = after(Stage(State(state), State(before)), Happening(happening))
    assert moved == Stage(State(then), State(then_before))


@pytest.mark.parametrize("row", table("Merges"), ids=lambda row: row[0])
def test_one_person_stands_where_its_contacts_bring_it(row: list[str]) -> None:
    given_, state, before, _ = row
    stages = [_stage(part.strip()) for part in given_.split(",")]
    assert joined(stages) == joined(stages[::-1]) == Stage(State(state), State(before))


@pytest.mark.parametrize("row", table("Deals called off"), ids=lambda row: "-".join(row[:3]))
def test_nobody_is_called_a_buyer_who_is_none(row: list[str]) -> None:
    state, before, left, then, then_before, _ = row
    stage = undealt(Stage(State(state), State(before)), int(left))
    assert stage == Stage(State(then), State(then_before))


def _stage(text: str) -> Stage:
    gone = re.fullmatch(r"churn\((\w+)\)", text)
    if gone:
        return Stage(State.CHURN, State(gone[1]))
    return Stage(State(text), State(text))


def test_every_state_leads_to_churn_and_back_to_itself() -> None:
    for state in set(State) - {State.CHURN}:
        gone = after(Stage(state, state), Happening.SILENCE)
        assert gone.state is State.CHURN
        assert after(gone, Happening.RETURN) == Stage(state, state)


def test_the_table_of_states_leaves_no_step_forward_out() -> None:
    told = {(row[0], row[2]) for row in table("States")}
    impossible = {(one, "return") for one in ("new", "potential", "repurchase")}
    impossible |= {("deal", "first_deal"), ("new", "another_deal"), ("potential", "another_deal")}
    assert told | impossible == set(product(map(str, State), map(str, Happening)))


@given(counts, counts, counts, counts, counts, counts)
def test_a_score_is_always_within_its_bounds(
    messages: int, recent: int, positive: int, judged: int, paid: int, average: int
) -> None:
    counters = Counters(messages, recent, positive, judged, paid, 1)
    found = standing(counters, average)
    assert 0 <= found.score <= 100
    assert found.level is level_of(found.score, counters)


def test_a_level_that_a_person_decided_on_stands_whatever_the_score() -> None:
    found = standing(Counters(1, 1, 1, 1), 0, "black")
    assert (found.score, found.level) == (88, Level.BLACK)


def test_what_is_not_known_is_neutral_and_not_nothing() -> None:
    found = standing(Counters(), 0)
    assert (found.satisfaction, found.activity, found.value) == (NEUTRAL, NEUTRAL, NEUTRAL)


def test_a_rating_goes_before_what_the_agent_says_came_of_it() -> None:
    assert [is_positive(rating, "") for rating in (1, 3, 4, 5)] == [False, False, True, True]
    assert is_positive(5, "unsolved") is True
    assert is_positive(None, "solved") is True
    assert is_positive(None, "unsolved") is False
    assert is_positive(None, "") is None


def test_who_asks_a_price_or_more_than_three_times_is_interested() -> None:
    assert is_interested("price", 1)
    assert is_interested("find_image", 1)
    assert not is_interested("greeting", 3)
    assert is_interested("greeting", 4)


def test_the_last_thirty_days_include_today() -> None:
    assert first_recent_day(100) == 71


def test_who_is_silent_for_the_whole_time_is_gone() -> None:
    assert has_churned(90 * 86_400, 90)
    assert not has_churned(90 * 86_400 - 1, 90)


def test_deals_bring_somebody_at_least_as_far() -> None:
    new, gone = Stage(), Stage(State.CHURN, State.NEW)
    assert as_bought(new, 0) == new
    assert as_bought(new, 1) == Stage(State.DEAL, State.DEAL)
    assert as_bought(gone, 2) == Stage(State.CHURN, State.REPURCHASE)
    assert dealt(new, 1).state is State.DEAL
    assert dealt(new, 2).state is State.REPURCHASE


def test_levels_differ_in_what_they_allow() -> None:
    white, gray, black = (limits_of(level) for level in Level)
    assert (white.priority, gray.priority, black.priority) == ("high", "normal", "normal")
    assert (white.wording, gray.wording) == ("vip", "plain")
    assert all((gray.answers, gray.discounts, gray.dispatches, gray.campaigns))
    assert not any((black.answers, black.discounts, black.dispatches, black.campaigns))
    assert limits_of("unheard of") == gray


def test_an_average_is_known_from_the_fifth_deal_on() -> None:
    assert [average_of(1_000 * deals, deals) for deals in (0, 1, 4, 5)] == [0, 0, 0, 1_000]


def test_only_the_black_list_has_a_limit_of_messages() -> None:
    assert not is_over("gray", 10**6)
    assert not is_over("black", BLACK_MESSAGES_PER_HOUR)
    assert is_over("black", BLACK_MESSAGES_PER_HOUR + 1)
