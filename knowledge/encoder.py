"""Texts to vectors without a download: weighted sums of a vector per term.

A term that training has seen has a learned vector; every other has the random signs of its key's
hash, so that shared letters are near each other before any training, and new words always are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from knowledge.embedding import Vectors, normalised
from knowledge.terms import POINT_BITS, Floats, Ints, Keys, encode, term_keys

DIMENSIONS = 256
CHARACTER_WEIGHT = 2.0
"""Single characters against pairs: customers' words differ more than their characters."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Distinct terms of texts: ``keys`` and ``counts`` of text ``i`` are those from
    ``bounds[i]`` to ``bounds[i + 1]``."""

    keys: Keys
    counts: Ints
    bounds: Ints

    def __len__(self) -> int:
        return self.bounds.size - 1

    def take(self, rows: Ints) -> "Terms":
        sizes = self.bounds[rows + 1] - self.bounds[rows]
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        places = np.arange(bounds[-1]) + np.repeat(self.bounds[rows] - bounds[:-1], sizes)
        return Terms(self.keys[places], self.counts[places], bounds)


def terms_of(texts: Sequence[str]) -> Terms:
    return distinct_terms(*term_keys(encode(texts)), len(texts))


def distinct_terms(keys: Keys, owners: NDArray[np.int32], size: int) -> Terms:
    order = np.lexsort((keys, owners))
    keys, owners = keys[order], owners[order]
    first = np.ones(keys.size, dtype=bool)
    first[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, keys.size))
    return Terms(keys[starts], counts, np.searchsorted(owners[starts], np.arange(size + 1)))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How rare terms are in text at large: ``idf`` of each of ``keys``, which ascend.

    ``differing``: what each says of two wordings when only one of them has it, below 0 where that
    speaks against their meaning the same; empty where nobody has learned it.
    """

    keys: Keys
    idf: Floats
    unseen: float
    differing: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def of(cls, terms: Terms, least: int = 1) -> "Vocabulary":
        """Terms that at least ``least`` of the texts have."""
        keys, counts = np.unique(terms.keys, return_counts=True)
        total = len(terms) + 1
        kept = counts >= least
        idf = np.log(total / (counts[kept] + 1.0)) + 1.0
        return cls(keys[kept], idf.astype(np.float32), float(np.log(total)) + 1.0)

    def places(self, keys: Keys) -> tuple[Ints, NDArray[np.bool_]]:
        """Where each key stands, and whether it is there at all."""
        if not self.keys.size:
            return np.zeros(keys.size, np.int64), np.zeros(keys.size, dtype=bool)
        places = np.minimum(np.searchsorted(self.keys, keys), self.keys.size - 1)
        return places, self.keys[places] == keys

    def rarity(self, keys: Keys) -> Floats:
        places, known = self.places(keys)
        if not self.keys.size:
            return np.full(keys.size, self.unseen, np.float32)
        return np.where(known, self.idf[places], np.float32(self.unseen)).astype(np.float32)

    def differences(self, keys: Keys) -> Floats:
        if not self.differing.size:
            return np.zeros(keys.size, np.float32)
        places, known = self.places(keys)
        return np.where(known, self.differing[places], np.float32(0.0)).astype(np.float32)


@dataclass(frozen=True)
class TermEncoder:
    """An `Embedder`. ``learned`` has a row for each key of ``vocabulary``, or no row at all."""

    vocabulary: Vocabulary
    learned: NDArray[np.float32]
    dimensions: int = DIMENSIONS
    name: str = "terms"

    @cached_property
    def version(self) -> str:
        digest = blake2b(self.vocabulary.keys.tobytes(), digest_size=8)
        digest.update(self.vocabulary.idf.tobytes())
        digest.update(np.ascontiguousarray(self.learned).tobytes())
        return digest.hexdigest()

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.embed_terms(terms_of(texts))

    def embed_terms(self, terms: Terms) -> Vectors:
        return normalised(segment_sums(self.weighted(terms), terms.bounds))

    def weighted(self, terms: Terms) -> Floats:
        return self.vectors(terms.keys) * self.weights(terms)[:, None]

    def weights(self, terms: Terms) -> Floats:
        rarity = self.vocabulary.rarity(terms.keys)
        characters = terms.keys >> np.uint64(POINT_BITS) == 0
        kind = np.where(characters, CHARACTER_WEIGHT, 1.0)
        return (rarity * kind * (1.0 + np.log(terms.counts))).astype(np.float32)

    def vectors(self, keys: Keys) -> Floats:
        if not self.learned.size:
            return signs(keys, self.dimensions)
        places, known = self.vocabulary.places(keys)
        rows = self.learned[places]
        if not known.all():
            rows[~known] = signs(keys[~known], self.dimensions)
        return rows

    def with_learned(self, learned: NDArray[np.float32]) -> "TermEncoder":
        return replace(self, learned=learned)


def signs(keys: Keys, dimensions: int) -> Floats:
    """Rows of ±1/√dimensions, the bits of a hash of each key; the same in every process."""
    words = -(-dimensions // 64)
    lanes = np.arange(1, words + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = np.unpackbits(_mixed(keys[:, None] + lanes).view(np.uint8), axis=1)[:, :dimensions]
    return (bits.astype(np.float32) * 2.0 - 1.0) / np.float32(np.sqrt(dimensions))


def _mixed(values: Keys) -> Keys:
    """The finaliser of splitmix64."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return np.ascontiguousarray(values ^ values >> np.uint64(31))


def segment_sums(rows: Floats, bounds: Ints) -> Floats:
    """Sums of rows between consecutive bounds; empty segments give zeros."""
    sums = np.zeros((bounds.size - 1, *rows.shape[1:]), np.float32)
    filled = np.flatnonzero(bounds[1:] > bounds[:-1])
    if filled.size:
        sums[filled] = np.add.reduceat(rows, bounds[:-1][filled], axis=0)
    return sums
