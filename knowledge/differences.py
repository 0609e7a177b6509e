"""What each term says of two wordings when only one of them has it.

«怎么开通» and «怎么取消» differ in one word and ask for opposite things; with «一下» more or less
nothing changes. Rarity knows little of that, labelled pairs do: from them comes a weight for every
term, beside what two wordings have in common.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowledge.doubts import FEWEST, overlap_rows
from knowledge.encoder import TermEncoder, Terms, terms_of
from knowledge.terms import Ints
from knowledge.training import Pair

Numbers = NDArray[np.float64]

LEAST_PAIRS = 5
"""Terms that tell fewer pairs apart keep the weight 0."""
PENALTY = 20.0
ROUNDS, STEPS = 12, 40


def with_differences(encoder: TermEncoder, pairs: Sequence[Pair]) -> TermEncoder:
    """``encoder`` with the weights of its vocabulary's terms; as it is where too few pairs are
    labelled either way."""
    chosen = [pair for pair in pairs if pair.a != pair.b]
    right = np.array([pair.same for pair in chosen], np.float64)
    if min(right.sum(), right.size - right.sum()) < FEWEST:
        return encoder
    first, second = [pair.a for pair in chosen], [pair.b for pair in chosen]
    overlap = overlap_rows(first, second, encoder)
    overlap = (overlap - overlap.mean(axis=0)) / (overlap.std(axis=0) + 1e-9)
    dense = np.hstack((overlap, np.ones((right.size, 1))))
    places, pair = _alone(encoder, terms_of(first), terms_of(second))
    size = encoder.vocabulary.keys.size
    told = np.bincount(places, minlength=size) >= LEAST_PAIRS
    kept = told[places]
    column = np.cumsum(told) - 1
    rows = _Rows(dense, column[places[kept]], pair[kept], int(told.sum()))
    weights = np.zeros(size, np.float32)
    weights[told] = _fitted(rows, right)[dense.shape[1] :]
    return replace(encoder, vocabulary=replace(encoder.vocabulary, differing=weights))


def _alone(encoder: TermEncoder, ours: Terms, theirs: Terms) -> tuple[Ints, Ints]:
    """Of each term that one of a pair has alone: its place in the vocabulary, and the pair."""
    width = encoder.vocabulary.keys.size

    def cells_of(terms: Terms) -> Ints:
        places, known = encoder.vocabulary.places(terms.keys)
        owner = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))
        return owner[known] * width + places[known]

    cells = np.setxor1d(cells_of(ours), cells_of(theirs), assume_unique=True)
    return cells % max(width, 1), cells // max(width, 1)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A matrix with a few dense columns and many of zeros and ones: ``column`` of each one, and
    ``row``."""

    dense: Numbers
    column: Ints
    row: Ints
    width: int

    def times(self, weights: Numbers) -> Numbers:
        few = self.dense.shape[1]
        many = np.bincount(self.row, weights[few:][self.column], len(self.dense))
        return np.asarray(self.dense @ weights[:few] + many)

    def summed(self, values: Numbers) -> Numbers:
        many = np.bincount(self.column, values[self.row], self.width)
        return np.concatenate((values @ self.dense, many))


def _fitted(rows: _Rows, right: Numbers) -> Numbers:
    """Logistic regression by Newton's method, each step by conjugate gradients."""
    ridge = np.full(rows.dense.shape[1] + rows.width, PENALTY)
    ridge[rows.dense.shape[1] - 1] = 1e-6
    beta = np.zeros(ridge.size)
    for _ in range(ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(rows.times(beta), -30.0, 30.0)))
        spread = chance * (1.0 - chance)

        def curve(vector: Numbers, spread: Numbers = spread) -> Numbers:
            return rows.summed(spread * rows.times(vector)) + ridge * vector

        step = _solved(curve, rows.summed(right - chance) - ridge * beta)
        beta += step
        if np.abs(step).max() < 1e-3:
            break
    return beta


def _solved(matrix: Callable[[Numbers], Numbers], wanted: Numbers) -> Numbers:
    """What ``matrix``, which is symmetric and positive, makes ``wanted`` of."""
    found, rest = np.zeros(wanted.size), wanted.copy()
    along, left = rest.copy(), float(rest @ rest)
    enough = 1e-6 * left
    for _ in range(STEPS):
        if left <= enough:
            break
        bent = matrix(along)
        pace = left / float(along @ bent)
        found += pace * along
        rest -= pace * bent
        before, left = left, float(rest @ rest)
        along = rest + left / before * along
    return found
