"""A query as its terms and its vector, measured against one corpus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.placeholders import masked
from knowledge.embedding import Embedder, OpenAICompatibleEmbedder, Vectors, normalised
from knowledge.encoder import TermEncoder, Terms, distinct_terms
from knowledge.segments.corpus import Corpus
from knowledge.terms import POINT_BITS, Floats, Keys, encode, term_keys

PASSAGE_QUESTION = 40


@dataclass(frozen=True, slots=True)
class Query:
    """A query against one corpus. ``rarity``: idf in the base, ``frequency``: how many entries have
    each term, ``weights``: 1, less for context; ``triples``: the text's runs of three characters.
    """

    text: str
    terms: Terms
    weights: Floats
    vector: Floats
    rarity: Floats
    frequency: Floats
    triples: Keys

    @property
    def keys(self) -> Keys:
        return self.terms.keys

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.frequency > 0

    @property
    def asked(self) -> Floats:
        """What each term counts."""
        return self.rarity * self.weights


def base_rarity(size: int, frequency: Floats) -> Floats:
    rest = np.maximum(size - frequency, 0.0)
    return np.log1p((rest + 0.5) / (frequency + 0.5))


def make_query(
    corpus: Corpus,
    embedder: Embedder,
    texts: Sequence[tuple[str, float]],
) -> Query:
    """``texts``: the query and what was said before, each with its weight."""
    return make_queries(corpus, embedder, [texts])[0]


def make_queries(
    corpus: Corpus,
    embedder: Embedder,
    asked: Sequence[Sequence[tuple[str, float]]],
) -> list[Query]:
    """`make_query` of several, with one call to the embedder."""
    texts = [text for one in asked for text, _ in one]
    codes = encode(texts)
    terms = distinct_terms(*term_keys(codes), len(texts))
    vectors = _vectors(embedder, terms, texts)
    frequency = corpus.document_frequency(terms.keys).astype(np.float32)
    queries, start = [], 0
    for one in asked:
        end = start + len(one)
        shares = np.array([weight for _, weight in one], np.float32)
        vector = normalised(shares[None] @ vectors[start:end])[0]
        span = slice(int(terms.bounds[start]), int(terms.bounds[end]))
        own = Terms(
            terms.keys[span], terms.counts[span], terms.bounds[start : end + 1] - span.start
        )
        points = codes.values[codes.bounds[start] : codes.bounds[start + 1]]
        queries.append(
            _query(corpus, one[0][0], own, shares, frequency[span], vector, triples_of(points))
        )
        start = end
    return queries


def _vectors(embedder: Embedder, terms: Terms, texts: list[str]) -> Vectors:
    """What a customer says goes to a server of others without what is personal in it."""
    if isinstance(embedder, TermEncoder):
        return embedder.embed_terms(terms)
    if isinstance(embedder, OpenAICompatibleEmbedder):
        return embedder.embed([masked(text) for text in texts])
    return embedder.embed(texts)


def own_question(corpus: Corpus, row: int) -> Query:
    """An entry's question, or the beginning of a passage, with the vector that the index has."""
    entry, stored = corpus.entry(row), corpus.unit_vectors(np.array([row]))
    text = entry.question or entry.answer[:PASSAGE_QUESTION]
    width = stored.matrix.shape[1]
    vector = stored.matrix[0] if len(stored.matrix) else np.zeros(width, np.float32)
    codes = encode([text])
    terms = distinct_terms(*term_keys(codes), 1)
    frequency = corpus.document_frequency(terms.keys).astype(np.float32)
    one = np.ones(1, np.float32)
    return _query(corpus, text, terms, one, frequency, vector, triples_of(codes.values))


def _query(
    corpus: Corpus,
    text: str,
    terms: Terms,
    shares: Floats,
    frequency: Floats,
    vector: Floats,
    triples: Keys,
) -> Query:
    """``terms``: of as many texts as there are ``shares``."""
    weights = np.ones(terms.keys.size, np.float32)
    if shares.size > 1:
        terms, weights, frequency = _merged(terms, shares, frequency)
    rarity = base_rarity(corpus.size, frequency)
    return Query(text, terms, weights, vector, rarity, frequency, triples)


def _merged(terms: Terms, shares: Floats, frequency: Floats) -> tuple[Terms, Floats, Floats]:
    """Terms of all texts as of one; a term of several has its greatest weight."""
    owner = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))
    keys, first, places = np.unique(terms.keys, return_index=True, return_inverse=True)
    weights = np.zeros(keys.size, np.float32)
    np.maximum.at(weights, places, shares[owner])
    counts = np.ones(keys.size, np.int64)
    np.maximum.at(counts, places, terms.counts)
    return Terms(keys, counts, np.array([0, keys.size])), weights, frequency[first]


def triples_of(points: NDArray[np.uint32]) -> Keys:
    return np.unique(packed_triples(points))


def packed_triples(values: NDArray[np.uint32]) -> Keys:
    points = values.astype(np.uint64)
    bits = np.uint64(POINT_BITS)
    return (points[:-2] << bits | points[1:-1]) << bits | points[2:]
