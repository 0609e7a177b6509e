"""What labelled pairs teach about wordings that nobody compared."""

import numpy as np
import pytest

from knowledge.doubts import FEWEST, PairJudge, judge_of, pair_rows
from knowledge.encoder import TermEncoder
from knowledge.fitting import fit_model, measure
from knowledge.model import NO_PROFILE, Logistic, RankingModel
from knowledge.simulation import EVALUATED, Simulation, house_fields, pairs_of, simulate_pairs
from knowledge.training import Pair


@pytest.fixture(scope="module")
def encoder() -> TermEncoder:
    return RankingModel.load().encoder


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Wordings of one meaning, and as many of neighbouring ones."""
    same = pairs_of([field for field in house_fields() if field.name in EVALUATED])
    apart = [Pair(one.a, two.b, same=False) for one, two in zip(same, same[9:], strict=False)]
    return [pair for both in zip(same, apart, strict=False) for pair in both]


def test_equal_wordings_are_told_from_others_that_were_not_shown(
    pairs: list[Pair], encoder: TermEncoder
) -> None:
    half = len(pairs) // 2
    judge = judge_of(pairs[:half], encoder)
    assert judge is not None
    rest = pairs[half:]
    chance = judge.same([pair.a for pair in rest], [pair.b for pair in rest])
    same = np.array([pair.same for pair in rest])
    assert ((chance > 0.0) & (chance < 1.0)).all()
    assert chance[same].mean() > chance[~same].mean() + 0.3


def test_the_order_of_the_two_is_no_matter(pairs: list[Pair], encoder: TermEncoder) -> None:
    first, second = [pair.a for pair in pairs[:40]], [pair.b for pair in pairs[:40]]
    assert pair_rows(first, second, encoder) == pytest.approx(
        pair_rows(second, first, encoder), abs=1e-5
    )


def test_what_a_pair_looks_like_does_not_depend_on_the_others(
    pairs: list[Pair], encoder: TermEncoder
) -> None:
    first, second = [pair.a for pair in pairs[:40]], [pair.b for pair in pairs[:40]]
    alone = pair_rows(first[7:8], second[7:8], encoder)
    assert pair_rows(first, second, encoder)[7:8] == pytest.approx(alone, abs=1e-5)


def test_equal_and_wholly_different_texts_are_the_two_ends(encoder: TermEncoder) -> None:
    equal, apart = pair_rows(["怎么退货", "怎么退货"], ["怎么退货", "几点开门"], encoder)
    assert equal[[0, 2]] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert equal[3:] == pytest.approx(np.zeros(5))
    assert apart[2] == 0.0
    assert apart[3] > 0.0


@pytest.mark.parametrize("same", [True, False])
def test_without_both_kinds_of_labels_there_is_no_judge(
    pairs: list[Pair], encoder: TermEncoder, same: bool
) -> None:
    one_sided = [pair for pair in pairs if pair.same is same]
    few = [pair for pair in pairs if pair.same is not same][: FEWEST - 1]
    assert judge_of([*one_sided, *few], encoder) is None


def test_the_more_of_the_wrong_answers_may_be_right_the_surer_the_gate(
    pairs: list[Pair], encoder: TermEncoder
) -> None:
    rng = np.random.default_rng(0)
    made = simulate_pairs(pairs, encoder, ["今天天气怎么样"] * 60, rng, 120, (0, 1))
    columns = pair_rows(["一"], ["二"], encoder).shape[1]
    never, always = (
        PairJudge(encoder, Logistic(np.zeros(columns), bias)) for bias in (-30.0, 30.0)
    )
    assert mean_confidence(made, encoder, always) > mean_confidence(made, encoder, never)


def mean_confidence(made: Simulation, encoder: TermEncoder, judge: PairJudge) -> float:
    measured = measure(made, encoder, judge=judge)
    model = fit_model(encoder, [measured])
    ranked = [model.ranked(found, NO_PROFILE) for found in measured.found if found.rows.size]
    return float(np.mean([item.confidence for item in ranked]))
