"""How likely two wordings mean the same that nobody compared.

Of labelled pairs only those are known to be equal that people looked at. In a base made from them
many a wrong first answer is as good as the right one, and a gate that is fitted to such labels
learns to doubt itself. So the labelled pairs also teach what equal wordings look like.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.encoder import TermEncoder, Terms, terms_of
from knowledge.model import Logistic, fit_logistic
from knowledge.terms import Floats, Ints
from knowledge.training import Pair

MOST_PAIRS, FEWEST = 8_000, 50
TRUST = 0.5
"""What is counted of the chance that a judge gives: it has seen labels as noisy as the others."""


@dataclass(frozen=True, slots=True)
class PairJudge:
    encoder: TermEncoder
    model: Logistic

    def same(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
        """The chance that each of ``first`` means the same as its partner."""
        logits = self.model.logits(pair_rows(first, second, self.encoder))
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))))


def judge_of(pairs: Sequence[Pair], encoder: TermEncoder) -> PairJudge | None:
    """``encoder`` must not have been trained on ``pairs``. None where too few are labelled either
    way to tell the two apart."""
    chosen = [pair for pair in pairs if pair.a != pair.b][:MOST_PAIRS]
    equal = sum(pair.same for pair in chosen)
    if min(equal, len(chosen) - equal) < FEWEST:
        return None
    rows = pair_rows([pair.a for pair in chosen], [pair.b for pair in chosen], encoder)
    return PairJudge(encoder, fit_logistic(rows, np.array([pair.same for pair in chosen])))


def pair_rows(
    first: Sequence[str], second: Sequence[str], encoder: TermEncoder
) -> NDArray[np.float64]:
    """How near the two are, and `overlap_rows`; the order of the two is no matter."""
    cosine = (encoder.embed(first) * encoder.embed(second)).sum(axis=1)
    near = np.stack((cosine, cosine * cosine), axis=1).astype(np.float64)
    return np.hstack((near, overlap_rows(first, second, encoder)))


def overlap_rows(
    first: Sequence[str], second: Sequence[str], encoder: TermEncoder
) -> NDArray[np.float64]:
    """What the two have in common, and what each has alone."""
    ours, theirs = terms_of(first), terms_of(second)
    keys, places = np.unique(np.concatenate((ours.keys, theirs.keys)), return_inverse=True)
    one = _owners(ours) * keys.size + places[: ours.keys.size]
    other = _owners(theirs) * keys.size + places[ours.keys.size :]
    both, alone, rarest = _masses(ours, one, other, encoder, len(first))
    _, beyond, rarest_beyond = _masses(theirs, other, one, encoder, len(first))
    lengths = np.array([abs(len(a) - len(b)) for a, b in zip(first, second, strict=True)])
    columns = (
        2.0 * both / (2.0 * both + alone + beyond + 1e-6),
        alone + beyond,
        np.abs(alone - beyond),
        np.maximum(rarest, rarest_beyond),
        np.minimum(rarest, rarest_beyond),
        lengths,
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _owners(terms: Terms) -> Ints:
    return np.repeat(np.arange(len(terms)), np.diff(terms.bounds))


def _masses(
    terms: Terms, placed: Ints, others: Ints, encoder: TermEncoder, size: int
) -> tuple[Floats, Floats, Floats]:
    """Rarity, per text, of what its partner has too, of what it has alone, and the greatest."""
    rarity = encoder.vocabulary.rarity(terms.keys)
    shared = np.isin(placed, others)
    owner = _owners(terms)
    rarest = np.zeros(size, np.float32)
    np.maximum.at(rarest, owner[~shared], rarity[~shared])
    both = np.bincount(owner[shared], rarity[shared], size)
    alone = np.bincount(owner[~shared], rarity[~shared], size)
    return both.astype(np.float32), alone.astype(np.float32), rarest
