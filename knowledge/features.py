"""What speaks for and against each candidate: numbers for the models of `knowledge.model`.

All shares are of *mass*, the sum of the rarities (idf in this knowledge base) of the terms. An
entry is seen by its best wording, and by its answer.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.text import letters
from knowledge.encoder import Vocabulary, segment_sums
from knowledge.queries import Query as Query
from knowledge.queries import base_rarity, packed_triples
from knowledge.queries import make_queries as make_queries
from knowledge.queries import make_query as make_query
from knowledge.queries import own_question as own_question
from knowledge.segments.build import MAX_COUNT, QUESTION_REPEATS
from knowledge.segments.corpus import Corpus, Found
from knowledge.segments.segment import Units, UnitVectors
from knowledge.segments.wordings import UnitKind
from knowledge.terms import (
    POINT_BITS,
    Floats,
    Ints,
    Keys,
    Rows,
    strengths,
    term_keys,
    tokens_of,
)

POOL = 24
"""Candidates of each side, and of both together."""
COMMON_SHARE, COMMON_ENTRIES = 0.3, 20
"""A term that this share of the entries have is what the base is about: a product's name."""

WORDING = (
    "cosine_known",
    "cosine",
    "cosine_plain",
    "cover",
    "covered",
    "dice",
    "cover_characters",
    "covered_characters",
    "cover_pairs",
    "dice_pairs",
    "length_ratio",
    "missing",
    "surplus",
    "length",
    "encoder",
    "rarest_missing",
    "rarest_surplus",
    "differing",
)
ANSWER = ("answer_cover", "answer_pairs", "answer_triples", "answer_encoder")
ENTRY = (
    "bm25",
    "bm25_share",
    *WORDING,
    *ANSWER,
    "union_cover",
    "passage",
    "passage_cover",
    "passage_pairs",
    "passage_triples",
    "passage_bm25",
    "token_agrees",
    "token_contradicts",
)
QUERY = (
    "query_length",
    "unknown_terms",
    "unknown_mass",
    "unknown_rarity",
    "familiar",
    "common_missing",
    "crowd_encoder",
    "crowd_plain",
    "crowd_cover",
)

_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="retrieval-vectors")

_PLACE = {name: place for place, name in enumerate(ENTRY)}


@dataclass(frozen=True, slots=True)
class Candidates:
    """``entry``: a row of ENTRY features per row; ``query``: one row of QUERY features."""

    rows: Ints
    entry: Floats
    query: Floats


@dataclass(frozen=True, slots=True)
class BaseView:
    """One state of a base, as features see it.

    ``vocabulary``: how rare terms are in text at large. ``common``: terms that a good share of the
    entries have, ascending, with that share: what the base is about. ``gain``, ``offset``: bring
    another embedder's cosines to the range of the encoder that the models were fitted with.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    common: tuple[Keys, Floats]
    gain: float = 1.0
    offset: float = 0.0


def view_of(
    corpus: Corpus, vocabulary: Vocabulary, gain: float = 1.0, offset: float = 0.0
) -> BaseView:
    return BaseView(corpus, vocabulary, _common_terms(corpus), gain, offset)


def _common_terms(corpus: Corpus) -> tuple[Keys, Floats]:
    if corpus.size < COMMON_ENTRIES:
        return np.zeros(0, np.uint64), np.zeros(0, np.float32)
    least = COMMON_SHARE * corpus.size / max(len(corpus.parts), 1)
    frequent = [
        np.asarray(part.segment.term_keys)[np.diff(part.segment.term_start) >= least]
        for part in corpus.parts
    ]
    keys = np.unique(np.concatenate(frequent)) if frequent else np.zeros(0, np.uint64)
    shares = corpus.document_frequency(keys) / corpus.size
    kept = (shares >= COMMON_SHARE) & (strengths(keys) >= 1.0)
    return keys[kept], shares[kept].astype(np.float32)


def candidates(
    view: BaseView,
    query: Query,
    category: str | None = None,
    without: Ints | None = None,
) -> Candidates:
    """The entries worth a closer look by either side, at most POOL; ``without`` some rows."""
    spare = 0 if without is None else without.size
    by_words = _by_words(view.corpus, query, category, POOL + spare)
    near = view.corpus.vector_candidates(query.vector, POOL + spare, category)
    rows = np.union1d(by_words.rows, near.rows).astype(np.int64)
    if without is not None:
        rows = np.setdiff1d(rows, without)
    return _described(view, query, rows, near)


def all_candidates(
    view: BaseView, queries: Sequence[Query], categories: Sequence[str | None]
) -> list[Candidates]:
    """`candidates` of several: the approximate index is asked once for all, on a thread of its
    own, while this one looks up words."""
    corpus = view.corpus
    asked = list(zip(queries, categories, strict=True))
    if not corpus.needs_nearest:
        return [candidates(view, query, category) for query, category in asked]
    vectors = np.stack([query.vector for query in queries])
    beside = _BESIDE.submit(corpus.all_vector_candidates, vectors, POOL, categories)
    by_words = [_by_words(corpus, query, category, POOL) for query, category in asked]
    return [
        _described(view, query, np.union1d(words.rows, near.rows).astype(np.int64), near)
        for query, words, near in zip(queries, by_words, beside.result(), strict=True)
    ]


def _described(view: BaseView, query: Query, rows: Ints, near: Found) -> Candidates:
    corpus = view.corpus
    if not rows.size:
        entry = np.zeros((0, len(ENTRY)), np.float32)
        return Candidates(rows, entry, _query_row(view, query, entry))
    texts = _texts_of(corpus, query, rows)
    bm25 = corpus.bm25_of(rows, texts.counts, query.asked)
    best = _fused(rows, near, bm25 / _mass(query))
    entry = np.zeros((best.size, len(ENTRY)), np.float32)
    entry[:, 0], entry[:, 1] = bm25[best] / 10.0, bm25[best] / _mass(query)
    _fill(entry, view, query, texts, best, corpus.unit_vectors(rows[best]))
    _tokens(entry, corpus, rows[best], query.text)
    _part_passages(entry)
    return Candidates(rows[best], entry, _query_row(view, query, entry))


def _by_words(corpus: Corpus, query: Query, category: str | None, limit: int) -> Found:
    known = query.known
    return corpus.keyword_candidates(query.keys[known], query.asked[known], limit, category)


@dataclass(frozen=True, slots=True)
class _Texts:
    """The entries' terms: each with the unit that has it, and its place among the query's.

    Of each entry and term of the query, ``counts``: as the index has it, and ``in_answer``.
    """

    units: Units
    keys: Keys
    unit: Rows
    counts: Floats
    in_answer: Floats


def _texts_of(corpus: Corpus, query: Query, rows: Ints) -> _Texts:
    units = corpus.units(rows)
    keys, unit = term_keys(units.codes)
    place, shared = _places(query.keys, keys)
    hits = np.flatnonzero(shared)
    width = query.keys.size
    cells = units.owner[unit[hits]] * width + place[hits]
    answers = units.kind[unit[hits]] == UnitKind.ANSWER
    shape = (rows.size, width)
    size = rows.size * width
    in_answer = np.bincount(cells[answers], minlength=size).reshape(shape)
    in_wordings = np.bincount(cells[~answers], minlength=size).reshape(shape)
    counts = np.minimum(in_answer + QUESTION_REPEATS * in_wordings, MAX_COUNT)
    found = (in_answer > 0).astype(np.float32)
    return _Texts(units, keys, unit, counts.astype(np.float32), found)


def _fused(rows: Ints, near: Found, by_words: Floats) -> Ints:
    """Places in ``rows`` of the best by both sides, fused by a plain sum."""
    if rows.size <= POOL:
        return np.arange(rows.size)
    cosine = np.full(rows.size, near.scores.min() if near.scores.size else 0.0)
    place = np.searchsorted(rows, near.rows)
    found = (place < rows.size) & (rows[np.minimum(place, rows.size - 1)] == near.rows)
    cosine[place[found]] = near.scores[found]
    best: Ints = np.sort(np.argpartition(-(cosine + by_words), POOL)[:POOL])
    return best


def _part_passages(entry: Floats) -> None:
    """An entry that is only a passage is another kind of evidence than a question's answer: its
    features stand in columns of their own, and nowhere else."""
    passage = entry[:, _at("length")] <= 0.0
    entry[:, _at("passage")] = passage
    entry[:, _at("passage_bm25")] = entry[:, _at("bm25_share")] * passage
    for name in ("cover", "pairs", "triples"):
        entry[:, _at(f"passage_{name}")] = entry[:, _at(f"answer_{name}")] * passage
    for name in (*ANSWER, "union_cover", "token_agrees", "token_contradicts"):
        entry[passage, _at(name)] = 0.0


def _at(name: str) -> int:
    return _PLACE[name]


def _mass(query: Query) -> float:
    return max(float(query.rarity @ query.weights), 1e-6)


def _fill(
    entry: Floats,
    view: BaseView,
    query: Query,
    texts: _Texts,
    best: Ints,
    vectors: UnitVectors,
) -> None:
    """``best``: which of the texts' entries the rows of ``entry`` are."""
    units = texts.units
    near = np.zeros(0, np.float32)
    if vectors.matrix.size:
        near = np.einsum("ij,j->i", vectors.matrix, query.vector)
    near = near * np.float32(view.gain) + np.float32(view.offset)
    answers = vectors.kind == UnitKind.ANSWER
    row_of = np.full(texts.counts.shape[0], -1)
    row_of[best] = np.arange(best.size)
    row = row_of[units.owner]
    wording = np.flatnonzero((units.kind != UnitKind.ANSWER) & (row >= 0))
    lengths = (units.codes.bounds[wording + 1] - units.codes.bounds[wording]).astype(np.int64)
    table = _wording_table(view, query, _terms_of_units(texts, wording), lengths, near[~answers])
    chosen = _best_of(table, row[wording], len(entry))
    entry[:, 2 : 2 + len(WORDING)] = np.where(chosen[:, None] >= 0, table[chosen], 0.0)
    _answers(entry, query, texts.in_answer[best])
    entry[:, _at("answer_triples")] = _triples(query, units, texts.counts.shape[0])[best]
    entry[vectors.owner[answers], _at("answer_encoder")] = near[answers]
    found = (texts.counts[best] > 0).astype(np.float32)
    entry[:, _at("union_cover")] = found @ query.asked / max(float(query.asked.sum()), 1e-6)


@dataclass(frozen=True, slots=True)
class _UnitTerms:
    """Distinct terms of some units. ``keys`` are those of all units together, ``numbers`` says
    which of them each unit has."""

    keys: Keys
    numbers: Ints
    bounds: Ints


def _terms_of_units(texts: _Texts, units: Ints) -> _UnitTerms:
    number = np.full(texts.units.kind.size, -1, np.int64)
    number[units] = np.arange(units.size)
    owner = number[texts.unit]
    kept = np.flatnonzero(owner >= 0)
    keys, numbers = np.unique(texts.keys[kept], return_inverse=True)
    width = max(keys.size, 1)
    packed = np.unique(owner[kept] * width + numbers)
    bounds = np.searchsorted(packed, np.arange(units.size + 1) * width)
    return _UnitTerms(keys, packed % width, bounds)


def _wording_table(
    view: BaseView,
    query: Query,
    terms: _UnitTerms,
    lengths: Ints,
    cosines: Floats,
) -> Floats:
    """A row of WORDING features per wording."""
    corpus, bounds = view.corpus, terms.bounds
    frequency = corpus.document_frequency(terms.keys).astype(np.float32)
    rarity = base_rarity(corpus.size, frequency)
    place, shared = _places(query.keys, terms.keys)
    weight = np.where(shared, query.weights[place], 0.0).astype(np.float32)
    pair = terms.keys >> np.uint64(POINT_BITS) != 0
    query_pair = query.keys >> np.uint64(POINT_BITS) != 0
    rare = np.where(weight > 0.0, 0.0, view.vocabulary.rarity(terms.keys)).astype(np.float32)
    differing = view.vocabulary.differences(terms.keys)
    summed = np.stack(
        (
            rarity,
            rarity * pair,
            rarity * weight,
            rarity * weight * pair,
            rarity * rarity * weight,
            rarity * rarity,
            weight,
            np.where(weight > 0.0, -weight, 1.0) * differing,
        ),
        axis=1,
    )
    total, total_pairs, both, both_pairs, dot, square, cover, surplus = segment_sums(
        summed[terms.numbers], bounds
    ).T
    asked = query.asked
    mass, mass_pairs = max(float(asked.sum()), 1e-6), max(float(asked[query_pair].sum()), 1e-6)
    mass_characters = max(float(asked[~query_pair].sum()), 1e-6)
    total, total_pairs, norm = total + 1e-6, total_pairs + 1e-6, np.sqrt(square) + 1e-6
    known = float(np.sqrt(((asked * query.known) ** 2).sum())) + 1e-6
    whole = float(np.sqrt((asked**2).sum())) + 1e-6
    asked_chars = max(len(letters(query.text)), 1)
    size = np.maximum(lengths, 1)
    table = np.empty((lengths.size, len(WORDING)), np.float32)
    table[:, 0] = dot / norm / known
    table[:, 1] = dot / norm / whole
    table[:, 2] = cover / np.sqrt(np.diff(bounds) * max(query.keys.size, 1) + 1e-6)
    table[:, 3], table[:, 4] = both / mass, both / total
    table[:, 5] = 2.0 * both / (mass + total)
    characters = both - both_pairs
    table[:, 6] = characters / mass_characters
    table[:, 7] = characters / (total - total_pairs + 1e-6)
    table[:, 8] = both_pairs / mass_pairs
    table[:, 9] = 2.0 * both_pairs / (mass_pairs + total_pairs)
    table[:, 10] = np.minimum(size, asked_chars) / np.maximum(size, asked_chars)
    table[:, 11], table[:, 12] = (mass - both) / 10.0, (total - both) / 10.0
    table[:, 13] = np.log1p(lengths)
    table[:, 14] = cosines
    table[:, 15] = _rarest_missing(view.vocabulary, query, terms, shared, place)
    table[:, 16] = _segment_max(rare[terms.numbers], bounds)
    table[:, 17] = surplus + view.vocabulary.differences(query.keys) @ query.weights
    return table


def _places(sorted_keys: Keys, keys: Keys) -> tuple[Ints, NDArray[np.bool_]]:
    if not sorted_keys.size:
        return np.zeros(keys.size, np.int64), np.zeros(keys.size, dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), sorted_keys.size - 1)
    return place, sorted_keys[place] == keys


def _rarest_missing(
    vocabulary: Vocabulary,
    query: Query,
    terms: _UnitTerms,
    shared: NDArray[np.bool_],
    place: Ints,
) -> Floats:
    """Rarity, in text at large, of the rarest term of the query that each wording lacks."""
    rare = vocabulary.rarity(query.keys) * query.weights
    wordings = terms.bounds.size - 1
    missing = np.tile(rare, (wordings, 1))
    owner = np.repeat(np.arange(wordings), np.diff(terms.bounds))
    has = shared[terms.numbers]
    missing[owner[has], place[terms.numbers[has]]] = 0.0
    worst: Floats = missing.max(axis=1, initial=0.0)
    return worst


def _segment_max(values: Floats, bounds: Ints) -> Floats:
    result = np.zeros(bounds.size - 1, np.float32)
    filled = np.flatnonzero(bounds[1:] > bounds[:-1])
    if filled.size:
        result[filled] = np.maximum.reduceat(values, bounds[:-1][filled])
    return result


def _best_of(table: Floats, owner: Ints, size: int) -> Ints:
    """The wording of each entry that is nearest to the query; -1 where none has a letter."""
    filled = np.flatnonzero(table[:, 13] > 0.0)
    score = table[filled, 1] + table[filled, 14]
    order = np.lexsort((score, owner[filled]))
    best = np.full(size, -1, np.int64)
    best[owner[filled][order]] = filled[order]
    return best


def _answers(entry: Floats, query: Query, found: Floats) -> None:
    """``found``: which terms of the query each answer has."""
    asked = query.asked
    pair = query.keys >> np.uint64(POINT_BITS) != 0
    entry[:, _at("answer_cover")] = found @ asked / max(float(asked.sum()), 1e-6)
    entry[:, _at("answer_pairs")] = (
        found[:, pair] @ asked[pair] / max(float(asked[pair].sum()), 1e-6)
    )


def _triples(query: Query, units: Units, size: int) -> Floats:
    """Share of the query's runs of three characters that each answer has, word for word."""
    asked, codes = query.triples, units.codes
    if not asked.size:
        return np.zeros(size, np.float32)
    place, shared = _places(asked, packed_triples(codes.values))
    start = np.flatnonzero(shared)
    text = np.searchsorted(codes.bounds, start, side="right") - 1
    whole = (start + 2 < codes.bounds[text + 1]) & (units.kind[text] == UnitKind.ANSWER)
    found = np.zeros((size, asked.size), np.float32)
    found[units.owner[text[whole]], place[start[whole]]] = 1.0
    shares: Floats = found.mean(axis=1)
    return shares


def _query_row(view: BaseView, query: Query, entry: Floats) -> Floats:
    corpus, vocabulary = view.corpus, view.vocabulary
    asked, unknown = query.asked, ~query.known
    at_large = vocabulary.rarity(query.keys)
    rare = at_large * query.weights
    familiar = np.log(
        (query.frequency + 0.5) / (corpus.size + 1.0) / np.maximum(np.exp(1.0 - at_large), 1e-6)
    )
    crowd = entry[:, [_at("encoder"), _at("cosine_plain"), _at("cover")]]
    top = -np.sort(-crowd, axis=0)[:10] if len(crowd) else np.zeros((1, 3), np.float32)
    return np.array(
        [
            math.log1p(len(letters(query.text))),
            unknown.mean() if unknown.size else 1.0,
            asked[unknown].sum() / max(float(asked.sum()), 1e-6),
            rare[unknown].sum() / max(float(rare.sum()), 1e-6),
            float((familiar * query.weights).sum() / max(float(query.weights.sum()), 1e-6)),
            _common_missing(view, query),
            *top.mean(axis=0),
        ],
        np.float32,
    )


def _common_missing(view: BaseView, query: Query) -> float:
    """How much of what nearly every entry says the query does not say."""
    keys, shares = view.common
    if not keys.size:
        return 0.0
    _, said = _places(np.sort(query.keys), keys)
    return float(shares[~said].sum() / shares.sum())


def _tokens(entry: Floats, corpus: Corpus, rows: Ints, text: str) -> None:
    tokens = set(tokens_of(text))
    if not tokens:
        return
    for number, found in enumerate(corpus.entries(rows)):
        texts = (found.question, *found.aliases, found.answer)
        has = frozenset(tokens_of(" ".join(texts)))
        entry[number, _at("token_agrees") :] = token_match(tokens, has)


def token_match(query: set[str], entry: frozenset[str]) -> tuple[float, float]:
    """Share of the query's tokens that the entry has, and of those it contradicts.

    ``e03`` against an entry that only speaks of ``e05`` contradicts; against one that names no
    code at all it does not. A bare number is a count, a date or an amount, and contradicts nothing.
    """
    agreeing = query & entry
    kinds = {_kind(token) for token in entry if _is_code(token)}
    contradicting = [
        token for token in query - agreeing if _is_code(token) and _kind(token) in kinds
    ]
    return len(agreeing) / len(query), len(contradicting) / len(query)


def _is_code(token: str) -> bool:
    return not token.isalpha() and not token.replace(".", "").isdigit()


def _kind(token: str) -> str:
    """The token's letters: ``e03`` and ``e05`` are of one kind, ``7kw`` and ``11kw`` of another."""
    return "".join(char for char in token if char.isalpha())
