"""What speaks for and against each candidate: numbers for the models of `knowledge.model`.

All shares are of *mass*, the sum of the rarities (idf in this knowledge base) of the terms. An
entry is seen by its best wording, and by its answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.text import letters
from knowledge.embedding import Embedder, normalised
from knowledge.encoder import TermEncoder, Terms, Vocabulary, distinct_terms, segment_sums, terms_of
from knowledge.segments.corpus import Corpus
from knowledge.segments.segment import Units, UnitVectors
from knowledge.segments.wordings import UnitKind
from knowledge.terms import (
    POINT_BITS,
    Floats,
    Ints,
    Keys,
    encode,
    strengths,
    term_keys,
    tokens_of,
)

PASSAGE_QUESTION = 40
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


@dataclass(frozen=True, slots=True)
class Query:
    """A query against one corpus. ``rarity``: idf in the base, ``weights``: 1, less for context."""

    text: str
    terms: Terms
    weights: Floats
    vector: Floats
    rarity: Floats
    known: NDArray[np.bool_]

    @property
    def keys(self) -> Keys:
        return self.terms.keys


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


def base_rarity(corpus: Corpus, keys: Keys) -> tuple[Floats, NDArray[np.bool_]]:
    frequency = corpus.document_frequency(keys).astype(np.float32)
    rest = np.maximum(corpus.size - frequency, 0.0)
    return np.log1p((rest + 0.5) / (frequency + 0.5)), frequency > 0


def make_query(
    corpus: Corpus,
    embedder: Embedder,
    texts: Sequence[tuple[str, float]],
    vectors: Floats | None = None,
) -> Query:
    """``texts``: the query and what was said before, each with its weight; ``vectors``: theirs,
    where they are known already."""
    terms = terms_of([text for text, _ in texts])
    if vectors is None:
        vectors = (
            embedder.embed_terms(terms)
            if isinstance(embedder, TermEncoder)
            else embedder.embed([text for text, _ in texts])
        )
    shares = np.array([weight for _, weight in texts], np.float32)
    vector = normalised(shares[None] @ vectors)[0]
    if len(texts) == 1:
        return _query(corpus, texts[0][0], terms, np.ones(terms.keys.size, np.float32), vector)
    return _query(corpus, texts[0][0], *_merged(terms, shares), vector)


def own_question(corpus: Corpus, row: int) -> Query:
    """An entry's question, or the beginning of a passage, with the vector that the index has."""
    entry, stored = corpus.entry(row), corpus.unit_vectors(np.array([row]))
    text = entry.question or entry.answer[:PASSAGE_QUESTION]
    terms = terms_of([text])
    width = stored.matrix.shape[1]
    vector = stored.matrix[0] if len(stored.matrix) else np.zeros(width, np.float32)
    return _query(corpus, text, terms, np.ones(terms.keys.size, np.float32), vector)


def _query(corpus: Corpus, text: str, terms: Terms, weights: Floats, vector: Floats) -> Query:
    rarity, known = base_rarity(corpus, terms.keys)
    return Query(text, terms, weights, vector, rarity, known)


def _merged(terms: Terms, shares: Floats) -> tuple[Terms, Floats]:
    """Terms of all texts as of one; a term of several has its greatest weight."""
    owner = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))
    keys, places = np.unique(terms.keys, return_inverse=True)
    weights = np.zeros(keys.size, np.float32)
    np.maximum.at(weights, places, shares[owner])
    counts = np.ones(keys.size, np.int64)
    np.maximum.at(counts, places, terms.counts)
    return Terms(keys, counts, np.array([0, keys.size])), weights


def candidates(
    view: BaseView,
    query: Query,
    category: str | None = None,
    without: Ints | None = None,
) -> Candidates:
    """The entries worth a closer look by either side, at most POOL; ``without`` some rows."""
    corpus = view.corpus
    rows, bm25 = _pool(corpus, query, category, without)
    units, vectors = corpus.units(rows), corpus.unit_vectors(rows)
    entry = np.zeros((rows.size, len(ENTRY)), np.float32)
    mass = _mass(query)
    entry[:, 0], entry[:, 1] = bm25 / 10.0, bm25 / mass
    _fill(entry, view, query, units, vectors)
    _tokens(entry, corpus, rows, query.text)
    _part_passages(entry)
    return Candidates(rows, entry, _query_row(view, query, entry))


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
    return ENTRY.index(name)


def _mass(query: Query) -> float:
    return max(float(query.rarity @ query.weights), 1e-6)


def _pool(
    corpus: Corpus, query: Query, category: str | None, without: Ints | None
) -> tuple[Ints, Floats]:
    """Rows of both sides and their BM25; fused by a plain sum where they are too many."""
    weights = (query.rarity * query.weights)[query.known]
    keys = query.keys[query.known]
    spare = 0 if without is None else without.size
    by_words = corpus.keyword_candidates(keys, weights, POOL + spare, category)
    by_vector = corpus.vector_candidates(query.vector, POOL + spare, category)
    rows = np.union1d(by_words.rows, by_vector.rows).astype(np.int64)
    if without is not None:
        rows = np.setdiff1d(rows, without)
    bm25 = corpus.bm25(rows, keys, weights)
    if rows.size <= POOL:
        return rows, bm25
    near = np.full(rows.size, by_vector.scores.min() if by_vector.scores.size else 0.0)
    place = np.searchsorted(rows, by_vector.rows)
    found = (place < rows.size) & (rows[np.minimum(place, rows.size - 1)] == by_vector.rows)
    near[place[found]] = by_vector.scores[found]
    fused = near + bm25 / _mass(query)
    best = np.sort(np.argpartition(-fused, POOL)[:POOL])
    return rows[best], bm25[best]


def _fill(
    entry: Floats,
    view: BaseView,
    query: Query,
    units: Units,
    vectors: UnitVectors,
) -> None:
    keys, owner = term_keys(units.codes)
    is_answer = units.kind == UnitKind.ANSWER
    in_answer = is_answer[owner]
    near = vectors.matrix @ query.vector if vectors.matrix.size else np.zeros(0, np.float32)
    near = near * np.float32(view.gain) + np.float32(view.offset)
    wording = np.flatnonzero(~is_answer)
    number = np.full(units.kind.size, -1, np.int32)
    number[wording] = np.arange(wording.size, dtype=np.int32)
    terms = distinct_terms(keys[~in_answer], number[owner[~in_answer]], wording.size)
    cosines = near[vectors.kind != UnitKind.ANSWER]
    lengths = np.diff(units.codes.bounds)[wording]
    table = _wording_table(view, query, terms, lengths, cosines)
    best = _best_of(table, units.owner[wording], len(entry))
    entry[:, 2 : 2 + len(WORDING)] = np.where(best[:, None] >= 0, table[best], 0.0)
    _answers(entry, query, keys[in_answer], units.owner[owner[in_answer]])
    entry[:, _at("answer_triples")] = _triples(query, units, is_answer, len(entry))
    answers = vectors.kind == UnitKind.ANSWER
    entry[vectors.owner[answers], _at("answer_encoder")] = near[answers]
    _union(entry, query, keys, units.owner[owner])


def _wording_table(
    view: BaseView,
    query: Query,
    terms: Terms,
    lengths: Ints,
    cosines: Floats,
) -> Floats:
    """A row of WORDING features per wording."""
    distinct, where = np.unique(terms.keys, return_inverse=True)
    rarity = base_rarity(view.corpus, distinct)[0][where]
    place, shared = _places(query.keys, terms.keys)
    weight = np.where(shared, query.weights[place], 0.0).astype(np.float32)
    pair = terms.keys >> np.uint64(POINT_BITS) != 0
    query_pair = query.keys >> np.uint64(POINT_BITS) != 0
    rare, common = view.vocabulary.rarity(distinct)[where], weight > 0.0

    def sums(values: Floats) -> Floats:
        return segment_sums(values.astype(np.float32)[:, None], terms.bounds)[:, 0]

    asked = query.rarity * query.weights
    mass, mass_pairs = max(float(asked.sum()), 1e-6), max(float(asked[query_pair].sum()), 1e-6)
    mass_characters = max(float(asked[~query_pair].sum()), 1e-6)
    total, total_pairs = sums(rarity) + 1e-6, sums(rarity * pair) + 1e-6
    both, both_pairs = sums(rarity * weight), sums(rarity * weight * pair)
    dot = sums(rarity * rarity * weight)
    norm = np.sqrt(sums(rarity * rarity)) + 1e-6
    known = float(np.sqrt(((asked * query.known) ** 2).sum())) + 1e-6
    whole = float(np.sqrt((asked**2).sum())) + 1e-6
    asked_chars = max(len(letters(query.text)), 1)
    size = np.maximum(lengths, 1)
    table = np.empty((len(terms), len(WORDING)), np.float32)
    table[:, 0] = dot / norm / known
    table[:, 1] = dot / norm / whole
    table[:, 2] = sums(weight) / np.sqrt(np.diff(terms.bounds) * max(query.keys.size, 1) + 1e-6)
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
    table[:, 16] = _segment_max(np.where(common, 0.0, rare).astype(np.float32), terms.bounds)
    return table


def _places(sorted_keys: Keys, keys: Keys) -> tuple[Ints, NDArray[np.bool_]]:
    if not sorted_keys.size:
        return np.zeros(keys.size, np.int64), np.zeros(keys.size, dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), sorted_keys.size - 1)
    return place, sorted_keys[place] == keys


def _rarest_missing(
    vocabulary: Vocabulary,
    query: Query,
    terms: Terms,
    shared: NDArray[np.bool_],
    place: Ints,
) -> Floats:
    """Rarity, in text at large, of the rarest term of the query that each wording lacks."""
    rare = vocabulary.rarity(query.keys) * query.weights
    missing = np.broadcast_to(rare, (len(terms), rare.size)).copy()
    owner = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))
    missing[owner[shared], place[shared]] = 0.0
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


def _answers(entry: Floats, query: Query, keys: Keys, owner: Ints) -> None:
    asked = query.rarity * query.weights
    pair = query.keys >> np.uint64(POINT_BITS) != 0
    found = _presence(query, keys, owner, len(entry))
    entry[:, _at("answer_cover")] = found @ asked / max(float(asked.sum()), 1e-6)
    entry[:, _at("answer_pairs")] = (
        found[:, pair] @ asked[pair] / max(float(asked[pair].sum()), 1e-6)
    )


def _triples(query: Query, units: Units, is_answer: NDArray[np.bool_], size: int) -> Floats:
    """Share of the query's runs of three characters that each answer has, word for word."""
    asked = np.unique(_packed_triples(encode([query.text]).values)[0])
    if not asked.size:
        return np.zeros(size, np.float32)
    codes = units.codes
    keys, start = _packed_triples(codes.values)
    text = np.searchsorted(codes.bounds, start, side="right") - 1
    whole = (start + 2 < codes.bounds[text + 1]) & is_answer[text]
    place, shared = _places(asked, keys[whole])
    found = np.zeros((size, asked.size), np.float32)
    found[units.owner[text[whole]][shared], place[shared]] = 1.0
    shares: Floats = found.mean(axis=1)
    return shares


def _packed_triples(values: NDArray[np.uint32]) -> tuple[Keys, Ints]:
    points = values.astype(np.uint64)
    bits = np.uint64(POINT_BITS)
    keys = (points[:-2] << bits | points[1:-1]) << bits | points[2:]
    return keys, np.arange(keys.size)


def _union(entry: Floats, query: Query, keys: Keys, owner: Ints) -> None:
    asked = query.rarity * query.weights
    found = _presence(query, keys, owner, len(entry))
    entry[:, _at("union_cover")] = found @ asked / max(float(asked.sum()), 1e-6)


def _presence(query: Query, keys: Keys, owner: Ints, size: int) -> Floats:
    """Which terms of the query each entry has."""
    place, shared = _places(query.keys, keys)
    found = np.zeros((size, query.keys.size), np.float32)
    found[owner[shared], place[shared]] = 1.0
    return found


def _query_row(view: BaseView, query: Query, entry: Floats) -> Floats:
    corpus, vocabulary = view.corpus, view.vocabulary
    asked = query.rarity * query.weights
    unknown = ~query.known
    rare = vocabulary.rarity(query.keys) * query.weights
    frequency = corpus.document_frequency(query.keys) + 0.5
    at_large = np.exp(1.0 - vocabulary.rarity(query.keys))
    familiar = np.log(frequency / (corpus.size + 1.0) / np.maximum(at_large, 1e-6))
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
