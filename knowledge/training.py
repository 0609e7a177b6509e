"""Learning the encoder from pairs of wordings, on a CPU, in numpy.

Contrastive: the other wording of a pair is to be nearer than everything else in the batch, which
holds, where there are any, wordings that people said mean something else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from knowledge.encoder import TermEncoder, Terms, Vocabulary, segment_sums, signs, terms_of
from knowledge.terms import Floats, Ints

Progress = Callable[[int, int], None]

BATCH = 256
TEMPERATURE = 0.07
RATE = 0.02
EPOCHS = 6
LEAST_TEXTS = 2
"""A term of one text only has nobody to learn from."""


class Pair(NamedTuple):
    """Two wordings that mean the same, or that people said do not."""

    a: str
    b: str
    same: bool


def groups_of(pairs: Sequence[Pair]) -> dict[str, int]:
    """Each wording's meaning, by number: what is joined by a chain of equal pairs is one."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for pair in pairs:
        first, second = root(pair.a), root(pair.b)
        if pair.same:
            parent[first] = second
    numbers: dict[str, int] = {}
    return {text: numbers.setdefault(root(text), len(numbers)) for text in list(parent)}


@dataclass(slots=True)
class _Data:
    """Wordings as sparse rows over the vocabulary's places."""

    places: Ints
    weights: Floats
    bounds: Ints
    group: Ints
    pairs: Ints
    others: Mapping[int, Ints]


def fit_encoder(
    start: TermEncoder,
    pairs: Sequence[Pair],
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    rate: float = RATE,
    forget: float = 0.0,
    progress: Progress | None = None,
) -> TermEncoder:
    """``start`` with vectors learned for the terms of ``pairs`` that its vocabulary has.

    ``forget``: share of the terms that are left out, others at each step: what is learned then
    leans on no single one.
    """
    learned = (
        start.learned.copy()
        if start.learned.size
        else signs(start.vocabulary.keys, start.dimensions)
    )
    data = _prepare(start, pairs)
    if not len(data.pairs):
        return start
    rng = np.random.default_rng(seed)
    squares = np.full(len(learned), 1e-8, np.float32)
    steps = epochs * -(-len(data.pairs) // BATCH)
    done = 0
    for _ in range(epochs):
        order = rng.permutation(len(data.pairs))
        for first in range(0, order.size, BATCH):
            batch = data.pairs[order[first : first + BATCH]]
            pace = rate * (1.0 - 0.9 * done / steps)
            _step(learned, squares, data, batch, rng, pace, forget)
            done += 1
            if progress is not None:
                progress(done, steps)
    return start.with_learned(learned)


def vocabulary_for(texts: Sequence[str], least: int = LEAST_TEXTS) -> Vocabulary:
    return Vocabulary.of(terms_of(texts), least)


def _prepare(start: TermEncoder, pairs: Sequence[Pair]) -> _Data:
    meaning = groups_of(pairs)
    texts = list(meaning)
    number = {text: place for place, text in enumerate(texts)}
    terms = terms_of(texts)
    places, known = start.vocabulary.places(terms.keys)
    weights = start.weights(terms)
    owner = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))[known]
    bounds = np.searchsorted(owner, np.arange(len(terms) + 1))
    same = [(number[pair.a], number[pair.b]) for pair in pairs if pair.same and pair.a != pair.b]
    others: dict[int, list[int]] = {}
    for pair in pairs:
        if not pair.same:
            others.setdefault(number[pair.a], []).append(number[pair.b])
            others.setdefault(number[pair.b], []).append(number[pair.a])
    return _Data(
        places[known],
        weights[known],
        bounds,
        np.array([meaning[text] for text in texts]),
        np.array(same, np.int64).reshape(-1, 2),
        {text: np.array(found) for text, found in others.items()},
    )


def _step(
    learned: Floats,
    squares: Floats,
    data: _Data,
    batch: Ints,
    rng: np.random.Generator,
    pace: float,
    forget: float,
) -> None:
    """One step of Adagrad on the rows of ``learned`` that the batch touches."""
    swapped = rng.random(len(batch)) < 0.5
    left = np.where(swapped, batch[:, 1], batch[:, 0])
    right = np.where(swapped, batch[:, 0], batch[:, 1])
    hard = [rng.choice(found) for text in left if (found := data.others.get(int(text))) is not None]
    texts = np.concatenate((left, right, np.array(hard, np.int64)))
    cells, bounds = _cells(data, texts)
    weights = data.weights[cells]
    if forget:
        weights = np.where(rng.random(cells.size) < forget, np.float32(0.0), weights)
    raw = segment_sums(learned[data.places[cells]] * weights[:, None], bounds)
    norm = np.sqrt((raw * raw).sum(axis=1, keepdims=True)) + 1e-8
    unit = raw / norm
    slope = _slope(unit, left.size, data.group[texts])
    slope = (slope - unit * (slope * unit).sum(axis=1, keepdims=True)) / norm
    _descend(learned, squares, data.places[cells], weights, np.diff(bounds), slope, pace)


def _cells(data: _Data, texts: Ints) -> tuple[Ints, Ints]:
    sizes = data.bounds[texts + 1] - data.bounds[texts]
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    return np.arange(bounds[-1]) + np.repeat(data.bounds[texts] - bounds[:-1], sizes), bounds


def _slope(unit: Floats, size: int, group: Ints) -> Floats:
    """Gradient of the cross entropy of finding each left text's partner among the rest."""
    left, rest = unit[:size], unit[size:]
    logits = left @ rest.T / TEMPERATURE
    same = group[:size, None] == group[None, size:]
    own = np.arange(size)
    same[own, own] = False
    logits[same] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    share[own, own] -= 1.0
    share /= TEMPERATURE * size
    return np.concatenate((share @ rest, share.T @ left))


def _descend(
    learned: Floats,
    squares: Floats,
    places: Ints,
    weights: Floats,
    sizes: Ints,
    slope: Floats,
    pace: float,
) -> None:
    order = np.argsort(places, kind="stable")
    touched, starts = np.unique(places[order], return_index=True)
    text = np.repeat(np.arange(sizes.size), sizes)[order]
    rows = slope[text] * weights[order][:, None]
    gradient = np.add.reduceat(rows, starts, axis=0)
    squares[touched] += (gradient * gradient).mean(axis=1)
    learned[touched] -= pace * gradient / np.sqrt(squares[touched])[:, None]


def blended(encoder: TermEncoder, vocabulary: Vocabulary) -> TermEncoder:
    """``encoder`` over another vocabulary: what it has not learned has its random signs."""
    return replace(encoder, vocabulary=vocabulary, learned=encoder.vectors(vocabulary.keys))


__all__ = ["Pair", "Terms", "blended", "fit_encoder", "groups_of", "vocabulary_for"]
