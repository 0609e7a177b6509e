"""Fitting the ranking model to simulated bases.

Weights are held to the sign that their feature must have (more overlap never speaks against an
entry): a base that is unlike all that was seen then gets sensible figures, where free weights
turned signs round that happened to help on the bases seen.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.documents import Entry
from knowledge.doubts import TRUST, PairJudge
from knowledge.embedding import Embedder
from knowledge.encoder import TermEncoder
from knowledge.features import Candidates, candidates, make_query, own_question, view_of
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
SCOPE_CAP = 1.5
ANSWER_LOGIT = math.log(0.75 / 0.25)
ANSWERED_RIGHT, FEWEST_ANSWERS, CAUTION = 0.9, 30, 0.7
PULL = 1e-4
"""A feature comes back when the mean slope towards its right sign is greater."""
RANKED = frozenset(
    name for name in RANK if not name.startswith(("passage_c", "passage_p", "passage_t"))
)
"""Passages are ordered by their words' rarity alone; what else is known of them is for the gate."""
GATED = frozenset(
    (
        *("score", "score_lead", "score_crowd", "crowd_encoder", "crowd_plain", "crowd_cover"),
        *("encoder", "dice", "cosine", "cosine_plain", "cover", "union_cover", "bm25_share"),
        *("unknown_terms", "unknown_rarity", "familiar", "profile_z", "profile_share"),
        *("common_missing", "passage", "passage_bm25", "passage_triples", "passage_cover"),
        *("token_contradicts", "length", "differing"),
    )
)
"""What the gate may look at. All else it knows through the score; with more it fits the bases that
it has seen better, and others worse."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A simulation as the features see it. ``found[i]`` belongs to ``gold[i]``; ``hidden``: what a
    `Profile` is made of, to be scored by any rank model. ``judge``: says of wrong answers how
    likely they are right ones that nobody labelled."""

    found: tuple[Candidates, ...]
    gold: tuple[int, ...]
    hidden: tuple[Candidates, ...]
    made: Simulation
    judge: PairJudge | None = None


@contextmanager
def corpus_of(entries: Sequence[Entry], embedder: Embedder) -> Iterator[Corpus]:
    """A corpus that lives as long as the block; row ``i`` is ``entries[i]``."""
    texts = [wording.text for entry in entries for wording in wordings_of(entry)]
    with tempfile.TemporaryDirectory(prefix="kefu-corpus-") as folder:
        segment = Path(folder) / "segment"
        build_segment(segment, entries, embedder.embed(texts))
        yield Corpus([Part(Segment(segment))])


def measure(
    made: Simulation,
    encoder: TermEncoder,
    *,
    judge: PairJudge | None = None,
    beat: Beat | None = None,
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
    return Measured(tuple(found), gold, hidden, made, judge)


def _hidden(corpus: Corpus, encoder: TermEncoder) -> Iterator[Candidates]:
    """What a profile is made of; it can be scored again by another rank model."""
    view = view_of(corpus, encoder.vocabulary)
    for row in corpus.live_rows()[:PROFILED].tolist():
        found = candidates(view, own_question(corpus, row), without=np.array([row]))
        if found.rows.size:
            yield found


PROFILED = 150


def fit_rank(measured: Sequence[Measured]) -> Logistic:
    rows, right = [], []
    for item in measured:
        for found, gold in zip(item.found, item.gold, strict=True):
            if found.rows.size:
                rows.append(rank_rows(found.entry))
                right.append(found.rows == gold)
    return _fit_signed(np.concatenate(rows), np.concatenate(right), RANK, RANK_PENALTY, RANKED)


@dataclass(frozen=True, slots=True)
class _Firsts:
    """Of each question the row that the gate sees, how right the first candidate is (0 and 1, or
    between where nobody compared the two), whether the question is in scope, and the base that it
    was asked."""

    rows: NDArray[np.float64]
    right: NDArray[np.float64]
    inside: NDArray[np.float64]
    base: NDArray[np.int64]


def _firsts(measured: Sequence[Measured], rank: Logistic) -> _Firsts:
    parts = [_firsts_of(item, rank) for item in measured]
    rows, right, inside = (np.concatenate(column) for column in zip(*parts, strict=True))
    base = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return _Firsts(rows, right, inside, base)


def _firsts_of(
    item: Measured, rank: Logistic
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    profile = profile_of_measured(item, rank)
    rows, firsts = [], []
    asked = [number for number, found in enumerate(item.found) if found.rows.size]
    for number in asked:
        order, logits = order_of(rank, item.found[number])
        rows.append(gate_row(item.found[number], order, logits, profile))
        firsts.append(int(item.found[number].rows[order[0]]))
    gold, first = np.array(item.gold)[asked], np.array(firsts)
    right = (first == gold).astype(np.float64)
    if item.judge is not None:
        wrong = np.flatnonzero((right == 0.0) & (gold >= 0))
        texts = [item.made.asked[asked[place]].text for place in wrong]
        answers = [item.made.entries[first[place]].question for place in wrong]
        right[wrong] = TRUST * item.judge.same(texts, answers)
    return np.array(rows), right, (gold >= 0).astype(np.float64)


def fit_gate(
    measured: Sequence[Measured], rank: Logistic, margin: float = 0.0
) -> tuple[Logistic, Logistic, float]:
    """The gate, the scope model, and the cap on the latter, as `RankingModel` takes them.
    ``margin``: logits off every confidence."""
    firsts = _firsts(measured, rank)
    right = _fit_signed(firsts.rows, firsts.right, GATE, GATE_PENALTY, GATED)
    scope = _fit_signed(firsts.rows, firsts.inside, GATE, GATE_PENALTY, GATED)
    sure = right.logits(firsts.rows) + np.minimum(scope.logits(firsts.rows), SCOPE_CAP)
    level = fit_logistic(sure[:, None], firsts.right, penalty=1e-3)
    gain = max(float(level.weights[0]), 1e-3)
    bias = level.bias - _caution(gain * sure + level.bias, firsts) - margin
    gate = Logistic(gain * right.weights, gain * right.bias + bias)
    return gate, Logistic(gain * scope.weights, gain * scope.bias), gain * SCOPE_CAP


def _caution(logits: NDArray[np.float64], firsts: _Firsts) -> float:
    """What to take off so that, in most bases, of what is answered ANSWERED_RIGHT is right:
    calibrated figures alone would promise only that of those at the threshold itself 75 % are."""
    shifts = []
    for number in np.unique(firsts.base):
        inside = firsts.base == number
        order = np.argsort(-logits[inside], kind="stable")
        so_far = np.cumsum(firsts.right[inside][order]) / np.arange(1, order.size + 1)
        enough = np.flatnonzero(
            (so_far >= ANSWERED_RIGHT) & (np.arange(1, order.size + 1) >= FEWEST_ANSWERS)
        )
        if enough.size:
            shifts.append(float(logits[inside][order[enough[-1]]]) - ANSWER_LOGIT)
    return max(float(np.quantile(shifts, CAUTION)), 0.0) if shifts else 0.0


def profile_of_measured(item: Measured, rank: Logistic) -> Profile:
    scores = [float(order_of(rank, found)[1][0]) for found in item.hidden]
    return Profile(np.sort(np.array(scores))) if scores else NO_PROFILE


def _fit_signed(
    rows: NDArray[np.floating],
    right: NDArray[np.bool_] | NDArray[np.float64],
    names: tuple[str, ...],
    penalty: float,
    allowed: frozenset[str],
) -> Logistic:
    """The best model whose weights have the signs that they must: features go whose weight would
    have the wrong one, and come back when it would not any more."""
    signs = np.array([_sign(name) for name in names])
    may = np.array([name in allowed for name in names])
    used = may.copy()
    full = Logistic(np.zeros(len(names)), 0.0)
    for _ in range(2 * len(names)):
        model = fit_logistic(rows[:, used], right, penalty=penalty)
        full = Logistic(np.zeros(len(names)), model.bias)
        full.weights[used] = model.weights
        wrong = full.weights * signs < 0.0
        if wrong.any():
            used &= ~wrong
            continue
        missed = 1.0 / (1.0 + np.exp(-full.logits(rows)))
        pull = (right - missed) @ (rows - rows.mean(axis=0)) * signs
        pull = np.where(may & ~used, pull / (rows.std(axis=0) + 1e-9), 0.0)
        if pull.max(initial=0.0) <= PULL * len(rows):
            break
        used[int(np.argmax(pull))] = True
    full.weights[full.weights * signs < 0.0] = 0.0
    return full


def _sign(name: str) -> int:
    plain = name.removesuffix("_lead").removesuffix("_behind")
    if plain in EITHER:
        return 0
    return -1 if plain in AGAINST else 1


def fit_model(
    encoder: TermEncoder, measured: Sequence[Measured], margin: float = 0.0
) -> RankingModel:
    rank = fit_rank(measured)
    return RankingModel(encoder, rank, *fit_gate(measured, rank, margin))
