"""Fitting the ranking model to simulated bases.

Weights are held to the sign that their feature must have (more overlap never speaks against an
entry): a base that is unlike all that was seen then gets sensible figures, where free weights
turned signs round that happened to help on the bases seen.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.documents import Entry
from knowledge.embedding import Embedder
from knowledge.encoder import TermEncoder
from knowledge.features import Candidates, candidates, make_query, view_of
from knowledge.model import (
    GATE,
    NO_PROFILE,
    RANK,
    Logistic,
    Profile,
    RankingModel,
    fit_logistic,
    gate_row,
    order_of,
    profile_of,
    rank_rows,
)
from knowledge.segments.build import build_segment
from knowledge.segments.corpus import Corpus, Part
from knowledge.segments.segment import Segment
from knowledge.segments.wordings import wordings_of
from knowledge.simulation import Simulation

Beat = Callable[[], None]

RANK_PENALTY, GATE_PENALTY = 3.0, 10.0
AGAINST = frozenset(
    (
        *("missing", "surplus", "unknown_terms", "unknown_mass", "unknown_rarity"),
        *("rarest_missing", "rarest_surplus", "token_contradicts", "common_missing"),
    )
)
EITHER = frozenset(("query_length", "length", "passage"))
GATED = frozenset(
    (
        *("score", "score_lead", "score_crowd", "crowd_encoder", "crowd_plain", "crowd_cover"),
        *("encoder", "dice", "cosine", "cosine_plain", "cover", "union_cover", "bm25_share"),
        *("unknown_terms", "unknown_rarity", "familiar", "profile_z", "profile_share"),
        *("common_missing", "passage", "passage_bm25", "passage_triples", "passage_cover"),
        *("token_contradicts", "length"),
    )
)
"""What the gate may look at. All else it knows through the score; with more it fits the bases that
it has seen better, and others worse."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A simulation as the features see it. ``found[i]`` belongs to ``gold[i]``."""

    found: tuple[Candidates, ...]
    gold: tuple[int, ...]
    hidden: tuple[Candidates, ...]
    weight: float = 1.0


@contextmanager
def corpus_of(entries: Sequence[Entry], embedder: Embedder) -> Iterator[Corpus]:
    """A corpus that lives as long as the block; row ``i`` is ``entries[i]``."""
    texts = [wording.text for entry in entries for wording in wordings_of(entry)]
    with tempfile.TemporaryDirectory(prefix="kefu-corpus-") as folder:
        segment = Path(folder) / "segment"
        build_segment(segment, entries, embedder.embed(texts))
        yield Corpus([Part(Segment(segment))])


def measure(
    made: Simulation, encoder: TermEncoder, *, weight: float = 1.0, beat: Beat | None = None
) -> Measured:
    with corpus_of(made.entries, encoder) as corpus:
        view = view_of(corpus, encoder.vocabulary)
        found = []
        for item in made.asked:
            found.append(candidates(view, make_query(corpus, encoder, [(item.text, 1.0)])))
            if beat is not None:
                beat()
        hidden = tuple(_hidden(corpus, encoder))
    gold = tuple(item.gold for item in made.asked)
    return Measured(tuple(found), gold, hidden, weight)


def _hidden(corpus: Corpus, encoder: TermEncoder) -> Iterator[Candidates]:
    """What a profile is made of; it can be scored again by another rank model."""
    view = view_of(corpus, encoder.vocabulary)
    for row, entry in enumerate(corpus.entries(corpus.live_rows()[:PROFILED])):
        text = entry.question or entry.answer[:40]
        query = make_query(corpus, encoder, [(text, 1.0)])
        found = candidates(view, query, without=np.array([row]))
        if found.rows.size:
            yield found


PROFILED = 150


def fit_rank(measured: Sequence[Measured]) -> Logistic:
    rows, right, weights = [], [], []
    for item in measured:
        for found, gold in zip(item.found, item.gold, strict=True):
            if found.rows.size:
                rows.append(rank_rows(found.entry))
                right.append(found.rows == gold)
                weights.append(np.full(found.rows.size, item.weight))
    return _fit_signed(
        np.concatenate(rows), np.concatenate(right), np.concatenate(weights), RANK, RANK_PENALTY
    )


def fit_gate(measured: Sequence[Measured], rank: Logistic) -> Logistic:
    rows, right, weights = [], [], []
    for item in measured:
        profile = _profile(item, rank)
        for found, gold in zip(item.found, item.gold, strict=True):
            if found.rows.size:
                order, logits = order_of(rank, found)
                rows.append(gate_row(found, order, logits, profile))
                right.append(bool(found.rows[order[0]] == gold))
                weights.append(item.weight)
    return _fit_signed(
        np.array(rows), np.array(right), np.array(weights), GATE, GATE_PENALTY, GATED
    )


def _profile(item: Measured, rank: Logistic) -> Profile:
    scores = [float(order_of(rank, found)[1][0]) for found in item.hidden]
    return Profile(np.sort(np.array(scores))) if scores else NO_PROFILE


def _fit_signed(
    rows: NDArray[np.floating],
    right: NDArray[np.bool_],
    weights: NDArray[np.float64],
    names: tuple[str, ...],
    penalty: float,
    allowed: frozenset[str] | None = None,
) -> Logistic:
    """Features whose weight would have the wrong sign go, until none has."""
    signs = np.array([_sign(name) for name in names])
    used = np.array([allowed is None or name in allowed for name in names])
    while True:
        model = fit_logistic(rows[:, used], right, weights, penalty)
        wrong = model.weights * signs[used] < 0.0
        if not wrong.any():
            break
        used[np.flatnonzero(used)[wrong]] = False
    full = np.zeros(len(names))
    full[used] = model.weights
    return Logistic(full, model.bias)


def _sign(name: str) -> int:
    plain = name.removesuffix("_lead").removesuffix("_behind")
    if plain in EITHER:
        return 0
    return -1 if plain in AGAINST else 1


def fit_model(encoder: TermEncoder, measured: Sequence[Measured]) -> RankingModel:
    rank = fit_rank(measured)
    return RankingModel(encoder, rank, fit_gate(measured, rank))


__all__ = ["Measured", "corpus_of", "fit_model", "measure", "profile_of"]
