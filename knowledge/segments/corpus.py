"""What a search sees: a few segments less their deleted rows, and never a change.

Rows are numbers over all segments, in their order, and hold for one corpus only. Any number of
threads may read at the same time. Nothing here grows with the number of entries but three small
arrays (length norm, category, and where it is asked for a category's rows).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from domain.errors import KnowledgeError
from knowledge.documents import Entry
from knowledge.segments.ranges import bounds_of, ranges
from knowledge.segments.segment import Postings, Segment, Units, UnitVectors
from knowledge.segments.wordings import entry_of_record
from knowledge.terms import Codes, Floats, Ints, Keys, Rows, text_hash

log = logging.getLogger(__name__)

K1, B = 2.0, 0.5
EXACT_VECTORS = 20_000
"""Up to this many vectors an exact product takes less time than Chroma's Python layer."""
POSTING_BUDGET = 150_000
OVERSAMPLE = 12
"""Entries that are scored by all terms, per entry asked for, where the budget left terms out."""
SMALL_CATEGORY = 2_048
SPARSE_SHARE = 32
"""Where fewer of the rows have postings, they are sorted instead of counted."""
FLOOR_SAMPLE = 16_384
NEAREST_OVERSAMPLE = 2
CATEGORY_OVERSAMPLE = 6

_NO_ROWS = np.zeros(0, np.int64)
_NO_SCORES = np.zeros(0, np.float32)


class Nearest(Protocol):
    """An approximate index over vectors; of each the names of the nearest records, best first."""

    def nearest(self, vectors: Floats, limit: int) -> list[list[str]]: ...


class Found(NamedTuple):
    """Entries and their scores, best first."""

    rows: Ints
    scores: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """``deleted``: rows of the segment that are no more, ascending, kept in ``deleted_file``.
    ``indexed``: the approximate index has all of its vectors."""

    segment: Segment
    deleted: Ints = field(default_factory=lambda: _NO_ROWS)
    indexed: bool = False
    deleted_file: str = ""

    @property
    def size(self) -> int:
        return self.segment.rows - self.deleted.size


class Corpus:
    """``vectors`` is asked where there are more than ``exact_vectors``.

    ``blind``: the number of dimensions that queries have now, where the segments' vectors are
    another embedder's. Comparing them would be nonsense, so all are as far as can be.
    """

    def __init__(
        self,
        parts: Sequence[Part] = (),
        vectors: Nearest | None = None,
        *,
        exact_vectors: int = EXACT_VECTORS,
        blind: int | None = None,
    ) -> None:
        self.parts = tuple(parts)
        self._nearest, self._exact_vectors, self._blind = vectors, exact_vectors, blind
        self._base = bounds_of(np.array([part.segment.rows for part in self.parts], np.int64))
        self.rows = int(self._base[-1])
        deleted = [part.deleted + base for part, base in self._with_base()]
        self._gone = np.concatenate([*deleted, _NO_ROWS])
        self.size = self.rows - self._gone.size
        self._build_norm()
        self._build_categories()
        self._wordings = sum(len(part.segment.vectors) for part in self.parts)

    def _with_base(self) -> Iterator[tuple[Part, int]]:
        yield from zip(self.parts, self._base[:-1].tolist(), strict=True)

    def _build_norm(self) -> None:
        lengths = [part.segment.length for part in self.parts]
        length = np.concatenate([*lengths, _NO_SCORES])
        total = float(length.sum(dtype=np.float64) - length[self._gone].sum(dtype=np.float64))
        self.average_length = total / self.size if self.size else 0.0
        norm = K1 * (1 - B + B / max(self.average_length, 1.0) * length)
        # Endless length: a deleted entry scores nothing, without a mask in the inner loop.
        norm[self._gone] = np.inf
        self._norm: Floats = norm.astype(np.float32)

    def _build_categories(self) -> None:
        names = sorted({name for part in self.parts for name in part.segment.categories})
        self._category_number = {name: number for number, name in enumerate(names)}
        mapped = [
            np.array([self._category_number[name] for name in part.segment.categories], np.int32)[
                part.segment.category
            ]
            for part in self.parts
        ]
        self._category = np.concatenate([*mapped, np.zeros(0, np.int32)])
        self._category[self._gone] = -1
        self._category_rows: dict[str, Ints] = {}

    # Entries

    def entry(self, row: int) -> Entry:
        number = int(np.searchsorted(self._base, row, side="right")) - 1
        return self.parts[number].segment.entry(row - int(self._base[number]))

    def entries(self, rows: Ints) -> list[Entry]:
        return [self.entry(row) for row in rows.tolist()]

    def row_of(self, entry_id: str) -> int | None:
        digest = text_hash(entry_id)
        for part, base in self._with_base():
            for row in part.segment.rows_of_id(digest):
                if self.is_live(base + row):
                    return base + row
        return None

    def _rows_of(self, ids: set[str]) -> Ints:
        """Ascending; ids that are not there are left out."""
        digests = np.fromiter(map(text_hash, ids), np.uint64, len(ids))
        found = [part.segment.id_rows(digests)[1] + base for part, base in self._with_base()]
        rows: Ints = np.sort(np.concatenate([*found, _NO_ROWS]))
        return rows[np.isfinite(self._norm[rows])]

    def has_record(self, name: str) -> bool:
        """Whether the text that a vector's name speaks of is an entry's now."""
        row = self.row_of(entry_of_record(name))
        if row is None:
            return False
        number = int(np.searchsorted(self._base, row, side="right")) - 1
        local = row - int(self._base[number])
        return name in self.parts[number].segment.records(local, entry_of_record(name))

    def exact(self, key: str) -> Ints:
        """Entries with a question or alias whose `wording_key` is ``key``."""
        digest = text_hash(key)
        rows = [
            base + row
            for part, base in self._with_base()
            for row in part.segment.rows_of_wording(digest)
        ]
        found = np.array(rows, np.int64)
        return found[np.isfinite(self._norm[found])]

    def is_live(self, row: int) -> bool:
        return bool(np.isfinite(self._norm[row]))

    def live_rows(self) -> Ints:
        return np.flatnonzero(np.isfinite(self._norm))

    def rows_in(self, category: str) -> Ints:
        rows = self._category_rows.get(category)
        if rows is None:
            number = self._category_number.get(category)
            rows = _NO_ROWS if number is None else np.flatnonzero(self._category == number)
            self._category_rows[category] = rows
        return rows

    # Keywords

    def document_frequency(self, keys: Keys) -> Ints:
        """Entries that have each term. Deleted ones count until their segment is merged."""
        totals = np.zeros(keys.size, np.int64)
        for part in self.parts:
            starts, ends = part.segment.postings(keys)
            totals += ends - starts
        return np.minimum(totals, self.size)

    def keyword_candidates(
        self, keys: Keys, weights: Floats, limit: int, category: str | None = None
    ) -> Found:
        """The ``limit`` best by BM25, ``keys`` distinct. Exact where the terms' postings are
        within the budget; else the entries are found by the terms of most weight that are, and
        scored by all."""
        asked = _Asked(keys, weights, [part.segment.postings(keys) for part in self.parts])
        if category is not None and self.rows_in(category).size <= SMALL_CATEGORY:
            rows = self.rows_in(category)
            return _best(rows, self._scores(asked, rows, asked.all_terms()), limit)
        scanned = asked.within(POSTING_BUDGET)
        rest = np.setdiff1d(asked.all_terms(), scanned)
        wanted = limit * OVERSAMPLE if rest.size else limit
        rows, scores = self._scan(asked, scanned, wanted, category)
        return _best(rows, scores + self._scores(asked, rows, rest), limit)

    def bm25(self, rows: Ints, keys: Keys, weights: Floats) -> Floats:
        asked = _Asked(keys, weights, [part.segment.postings(keys) for part in self.parts])
        order = np.argsort(rows, kind="stable")
        scores = np.empty(rows.size, np.float32)
        scores[order] = self._scores(asked, rows[order], asked.all_terms())
        return scores

    def bm25_of(self, rows: Ints, counts: Floats, weights: Floats) -> Floats:
        """By what is known already: ``counts`` has a row per entry, a column per term."""
        shares = counts * np.float32(K1 + 1) / (counts + self._norm[rows][:, None])
        scores: Floats = np.einsum("ij,j->i", shares, weights)
        return scores

    def _scan(
        self, asked: "_Asked", terms: Ints, wanted: int, category: str | None
    ) -> tuple[Ints, Floats]:
        """Entries, ascending, that hold the ``wanted`` best by ``terms`` alone."""
        rows, counts, factors = self._gather(asked, terms)
        if category is not None:
            kept = self._category[rows] == self._category_number.get(category, -2)
            rows, counts, factors = rows[kept], counts[kept], factors[kept]
        if not rows.size:
            return _NO_ROWS, _NO_SCORES
        values = _saturated(counts, self._norm.take(rows), factors)
        if rows.size * SPARSE_SHARE < self.rows:
            found, places = np.unique(rows.astype(np.int64), return_inverse=True)
            sums = np.bincount(places, weights=values, minlength=found.size).astype(np.float32)
        else:
            totals = np.asarray(np.bincount(rows, weights=values, minlength=self.rows), np.float64)
            found = np.flatnonzero(totals >= _floor(totals, rows, wanted * terms.size))
            sums = totals[found].astype(np.float32)
        kept = np.flatnonzero((sums >= _threshold(sums, wanted)) & (sums > 0.0))
        return found[kept], sums[kept]

    def _gather(self, asked: "_Asked", terms: Ints) -> tuple[Rows, NDArray[np.uint8], Floats]:
        """Row, count and weight of every posting of ``terms``."""
        rows: list[Rows] = [np.zeros(0, np.int32)]
        counts: list[NDArray[np.uint8]] = [np.zeros(0, np.uint8)]
        factors: list[Floats] = [_NO_SCORES]
        for (part, base), (starts, ends) in zip(self._with_base(), asked.postings, strict=True):
            lows, highs = starts[terms], ends[terms]
            spans = [slice(low, high) for low, high in zip(lows, highs, strict=True) if low < high]
            if not spans:
                continue
            found = np.concatenate([part.segment.post_rows[span] for span in spans])
            rows.append(found + np.int32(base) if base else found)
            counts += [part.segment.post_counts[span] for span in spans]
            factors.append(np.repeat(asked.weights[terms], highs - lows))
        return np.concatenate(rows), np.concatenate(counts), np.concatenate(factors)

    def _scores(self, asked: "_Asked", rows: Ints, terms: Ints) -> Floats:
        """BM25 by ``terms`` alone of ``rows``, which ascend."""
        scores = np.zeros(rows.size, np.float32)
        if not rows.size or not terms.size:
            return scores
        bounds = np.searchsorted(rows, self._base)
        for number, (part, base) in enumerate(self._with_base()):
            span = slice(bounds[number], bounds[number + 1])
            local = (rows[span] - base).astype(np.int32)
            if local.size:
                norm = self._norm[rows[span]]
                scores[span] = _part_scores(part.segment, asked, number, local, norm, terms)
        return scores

    # Texts and vectors of entries

    def units(self, rows: Ints) -> Units:
        """All texts of ``rows``."""
        found = [(owners, part.segment.units(local)) for part, owners, local in self._split(rows)]
        if len(found) == 1:
            return found[0][1]
        if not found:
            empty = np.zeros(1, np.int64)
            no_codes = Codes(np.zeros(0, np.uint32), empty, np.zeros(0, np.uint64), empty)
            return Units(_NO_ROWS, np.zeros(0, np.uint8), no_codes)
        owner = np.concatenate([owners[units.owner] for owners, units in found])
        order = np.argsort(owner, kind="stable")
        kind = np.concatenate([units.kind for _, units in found])
        codes = _reordered([units.codes for _, units in found], order)
        return Units(owner[order], kind[order], codes)

    def unit_vectors(self, rows: Ints) -> UnitVectors:
        """All vectors of ``rows``."""
        vectors = self._unit_vectors(rows)
        if self._blind is None:
            return vectors
        return vectors._replace(matrix=np.zeros((vectors.owner.size, self._blind), np.float32))

    def _unit_vectors(self, rows: Ints) -> UnitVectors:
        found = [
            (owners, part.segment.unit_vectors(local)) for part, owners, local in self._split(rows)
        ]
        if len(found) == 1:
            return found[0][1]
        if not found:
            return UnitVectors(_NO_ROWS, np.zeros(0, np.uint8), np.zeros((0, 0), np.float32))
        owner = np.concatenate([owners[vectors.owner] for owners, vectors in found])
        order = np.argsort(owner, kind="stable")
        kind = np.concatenate([vectors.kind for _, vectors in found])
        matrix = np.concatenate([vectors.matrix for _, vectors in found])
        return UnitVectors(owner[order], kind[order], matrix[order])

    def _split(self, rows: Ints) -> Iterator[tuple[Part, Ints, Ints]]:
        """Per segment that has any of ``rows``: their places in ``rows`` and their local rows."""
        numbers = np.searchsorted(self._base, rows, side="right") - 1
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            yield self.parts[number], places, rows[places] - self._base[number]

    # Nearest vectors

    def vector_candidates(self, vector: Floats, limit: int, category: str | None = None) -> Found:
        """The ``limit`` entries with the nearest wording, by cosine.

        Exact where the vectors to compare with are few; else by the approximate index, and exact
        over what that does not hold yet.
        """
        return self.all_vector_candidates(vector[None], limit, (category,))[0]

    def all_vector_candidates(
        self, vectors: Floats, limit: int, categories: Sequence[str | None]
    ) -> list[Found]:
        """`vector_candidates` of several, with one call to the approximate index."""
        asked = list(zip(vectors, categories, strict=True))
        if not self.rows or self._blind is not None:
            return [Found(_NO_ROWS, _NO_SCORES)] * len(asked)
        if not self.needs_nearest:
            return [self._exact_candidates(self.parts, *one, limit) for one in asked]
        near = self._approximate(vectors, limit, categories)
        return [
            self._nearest_to(vector, limit, category, names)
            for (vector, category), names in zip(asked, near, strict=True)
        ]

    def _nearest_to(
        self, vector: Floats, limit: int, category: str | None, names: Sequence[str]
    ) -> Found:
        """``names``: what the approximate index gave."""
        if category is not None and self.rows_in(category).size <= SMALL_CATEGORY:
            return self._nearest_of(self.rows_in(category), vector, limit)
        near = self._rows_of({entry_of_record(name) for name in names})
        if category is not None:
            near = near[self._category[near] == self._category_number.get(category, -2)]
        fresh = [part for part in self.parts if not part.indexed]
        if fresh and sum(len(part.segment.vectors) for part in fresh) <= self._exact_vectors:
            near = np.union1d(near, self._exact_candidates(fresh, vector, category, limit).rows)
        return self._nearest_of(near, vector, limit)

    @property
    def needs_nearest(self) -> bool:
        return self._wordings > self._exact_vectors

    def _exact_candidates(
        self, parts: Sequence[Part], vector: Floats, category: str | None, limit: int
    ) -> Found:
        if not vector.any():
            return Found(_NO_ROWS, _NO_SCORES)
        scores = np.full(self.rows, -np.inf, np.float32)
        for part, base in self._with_base():
            if part in parts and part.segment.rows:
                products = _products(vector, part.segment.blocks)[: len(part.segment.vectors)]
                best = np.maximum.reduceat(products, part.segment.vector_start[:-1])
                scores[base : base + part.segment.rows] = best
        scores[self._gone] = -np.inf
        if category is not None:
            scores[self._category != self._category_number.get(category, -2)] = -np.inf
        rows = np.flatnonzero(scores >= _threshold(scores, limit))
        rows = rows[np.isfinite(scores[rows])]
        return _best(rows, scores[rows], limit, floor=-1.0)

    def _approximate(
        self, vectors: Floats, limit: int, categories: Sequence[str | None]
    ) -> list[list[str]]:
        """Names; none for a vector that says nothing or needs no approximation."""
        near: list[list[str]] = [[] for _ in categories]
        places = [
            number
            for number, category in enumerate(categories)
            if vectors[number].any()
            and (category is None or self.rows_in(category).size > SMALL_CATEGORY)
        ]
        if self._nearest is None or not places:
            return near
        any_category = any(categories[number] is not None for number in places)
        wider = CATEGORY_OVERSAMPLE if any_category else NEAREST_OVERSAMPLE
        try:
            found = self._nearest.nearest(vectors[places], limit * wider)
        except KnowledgeError as error:
            log.warning("searching by keywords alone: %s", error)
            return near
        for number, names in zip(places, found, strict=True):
            narrow = categories[number] is None
            near[number] = names[: limit * NEAREST_OVERSAMPLE] if narrow else names
        return near

    def _nearest_of(self, rows: Ints, vector: Floats, limit: int) -> Found:
        """By our own vectors, whatever the approximate index made of them."""
        if not rows.size or not vector.any():
            return Found(_NO_ROWS, _NO_SCORES)
        vectors = self.unit_vectors(rows)
        starts = np.searchsorted(vectors.owner, np.arange(rows.size))
        cosines = np.einsum("ij,j->i", vectors.matrix, vector)
        scores = np.maximum.reduceat(cosines, starts)
        return _best(rows, scores, limit, floor=-1.0)


class _Asked(NamedTuple):
    """A query's terms and where each segment has them."""

    keys: Keys
    weights: Floats
    postings: list[Postings]

    def all_terms(self) -> Ints:
        return np.arange(self.keys.size)

    def within(self, budget: int) -> Ints:
        """Terms by falling weight, less those whose postings no longer fit; always one."""
        sizes = np.zeros(self.keys.size, np.int64)
        for starts, ends in self.postings:
            sizes += ends - starts
        chosen: list[int] = []
        for term in np.argsort(-self.weights, kind="stable").tolist():
            size = int(sizes[term])
            if size and (size <= budget or not chosen):
                chosen.append(term)
                budget -= size
        return np.array(chosen, np.int64)


def _part_scores(
    segment: Segment, asked: _Asked, number: int, rows: Rows, norm: Floats, terms: Ints
) -> Floats:
    scores = np.zeros(rows.size, np.float32)
    starts, ends = asked.postings[number]
    for term in terms.tolist():
        start, end = int(starts[term]), int(ends[term])
        if start == end:
            continue
        run = segment.post_rows[start:end]
        places = np.minimum(run.searchsorted(rows), end - start - 1)
        hit = np.flatnonzero(run[places] == rows)
        if hit.size:
            counts = segment.post_counts[start:end][places[hit]]
            factor = np.float32(asked.weights[term])
            scores[hit] += _saturated(counts, norm[hit], np.full(hit.size, factor))
    return scores


def _saturated(counts: NDArray[np.uint8], norm: Floats, factors: Floats) -> Floats:
    """``factor * count * (K1 + 1) / (count + norm)``"""
    values = counts.astype(np.float32)
    below = norm + values
    values *= np.float32(K1 + 1)
    values *= factors
    values /= below
    return values


def _threshold(scores: Floats, wanted: int) -> float:
    if scores.size <= wanted:
        return -np.inf
    return float(np.partition(scores, scores.size - wanted)[scores.size - wanted])


def _floor(totals: NDArray[np.float64], rows: Rows, rank: int) -> float:
    """A score above nothing that the best entries reach, cheaply: the ``rank``-th of a sample of
    the postings. ``rank`` is for entries that stand in the sample once per term."""
    least = float(np.finfo(np.float64).tiny)
    sample = totals[rows[:: max(rows.size // FLOOR_SAMPLE, 1)]]
    if sample.size <= rank:
        return least
    return max(float(np.partition(sample, sample.size - rank)[sample.size - rank]), least)


def _best(rows: Ints, scores: Floats, limit: int, floor: float = 0.0) -> Found:
    order = np.argsort(-scores, kind="stable")[:limit]
    order = order[scores[order] > floor]
    return Found(rows[order], scores[order])


def _products(vector: Floats, blocks: Floats) -> Floats:
    """Of ``vector`` with every column. Short texts have few n-grams, so their hashed vectors are
    nearly empty: taking only what counts is ten times less work."""
    filled = vector.nonzero()[0]
    if filled.size * 4 <= vector.size:
        vector, blocks = vector[filled], blocks[:, filled]
    return np.asarray(vector @ blocks).reshape(-1)


def _reordered(parts: Sequence[Codes], order: Ints) -> Codes:
    lengths = np.concatenate([np.diff(codes.bounds) for codes in parts])
    extra_lengths = np.concatenate([np.diff(codes.extra_bounds) for codes in parts])
    starts, extra_starts = bounds_of(lengths)[:-1], bounds_of(extra_lengths)[:-1]
    values = np.concatenate([codes.values for codes in parts])
    extras = np.concatenate([codes.extras for codes in parts])
    return Codes(
        values[ranges(starts[order], (starts + lengths)[order])],
        bounds_of(lengths[order]),
        extras[ranges(extra_starts[order], (extra_starts + extra_lengths)[order])],
        bounds_of(extra_lengths[order]),
    )
