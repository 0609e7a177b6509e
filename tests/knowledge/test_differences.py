"""What labelled pairs teach about terms that only one of two wordings has."""

import numpy as np
import pytest

from knowledge.differences import LEAST_PAIRS, with_differences
from knowledge.doubts import FEWEST
from knowledge.encoder import DIMENSIONS, TermEncoder, terms_of
from knowledge.training import Pair, vocabulary_for

THINGS = [f"{one}{two}" for one in "花白信用车房" for two in "卡票险款单券包码证号"]
OPPOSITE, IDLE = "取消", "一下"


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """One word turns the meaning round, another changes nothing."""
    apart = [Pair(f"怎么开通{thing}", f"怎么{OPPOSITE}{thing}", same=False) for thing in THINGS]
    equal = [Pair(f"怎么开通{thing}", f"怎么开通{IDLE}{thing}", same=True) for thing in THINGS]
    return [*apart, *equal]


@pytest.fixture(scope="module")
def untold(pairs: list[Pair]) -> TermEncoder:
    vocabulary = vocabulary_for([text for pair in pairs for text in (pair.a, pair.b)], 1)
    return TermEncoder(vocabulary, np.zeros((0, DIMENSIONS), np.float32))


def said(encoder: TermEncoder, text: str) -> float:
    """What all terms of a text say together."""
    return float(encoder.vocabulary.differences(terms_of([text]).keys).sum())


def test_a_word_that_turns_the_meaning_round_speaks_against_and_an_idle_one_does_not(
    pairs: list[Pair], untold: TermEncoder
) -> None:
    told = with_differences(untold, pairs)
    assert said(told, OPPOSITE) < -0.1
    assert said(told, IDLE) > 0.1


def test_the_order_of_the_two_is_no_matter(pairs: list[Pair], untold: TermEncoder) -> None:
    turned = [Pair(pair.b, pair.a, pair.same) for pair in pairs]
    ours, theirs = (with_differences(untold, found).vocabulary for found in (pairs, turned))
    assert ours.differing == pytest.approx(theirs.differing, abs=1e-3)


def test_the_same_pairs_give_the_same_weights(pairs: list[Pair], untold: TermEncoder) -> None:
    ours, theirs = (with_differences(untold, pairs).vocabulary.differing for _ in range(2))
    assert (ours == theirs).all()


def test_a_word_that_few_pairs_are_told_apart_by_says_nothing(
    pairs: list[Pair], untold: TermEncoder
) -> None:
    rare = [Pair("怎么开通花卡", "怎么开通花卡呗", same=False)] * (LEAST_PAIRS - 1)
    vocabulary = vocabulary_for([text for pair in [*pairs, *rare] for text in pair[:2]], 1)
    told = with_differences(TermEncoder(vocabulary, untold.learned), [*pairs, *rare])
    assert said(told, "呗") == 0.0


def test_a_word_that_was_never_seen_says_nothing(pairs: list[Pair], untold: TermEncoder) -> None:
    assert said(with_differences(untold, pairs), "鬯") == 0.0
    assert said(untold, OPPOSITE) == 0.0


@pytest.mark.parametrize("same", [True, False])
def test_without_both_kinds_of_labels_nothing_is_learned(
    pairs: list[Pair], untold: TermEncoder, same: bool
) -> None:
    one_sided = [pair for pair in pairs if pair.same is same]
    few = [pair for pair in pairs if pair.same is not same][: FEWEST - 1]
    assert with_differences(untold, [*one_sided, *few]) is untold


def test_vectors_stay_what_they_were(pairs: list[Pair], untold: TermEncoder) -> None:
    assert with_differences(untold, pairs).version == untold.version
