"""From features to an order and one calibrated confidence.

Three logistic models: *rank* orders the candidates; *gate* looks at the first one, its lead over
the rest, the query, and at how such leads come about in this very base without a right answer
(`Profile`), and says how likely the first is right; *scope* says from the same figures how likely
the base answers the query at all, and can only lower what the gate says. Only the confidence that
they give together is a promise.
"""

import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import KnowledgeError
from knowledge.encoder import TermEncoder, Vocabulary
from knowledge.features import ENTRY, QUERY, BaseView, Candidates, candidates, own_question
from knowledge.terms import Floats, Ints

RANK = (*ENTRY, *(f"{name}_behind" for name in ENTRY))
GATE = (
    *ENTRY,
    *(f"{name}_lead" for name in ENTRY),
    "score",
    "score_lead",
    "score_crowd",
    *QUERY,
    "profile_z",
    "profile_share",
)
SHIPPED = "model.npz"
PROFILE_SAMPLE = 300
MAX_LEAD = 12.0


@dataclass(frozen=True, slots=True)
class Logistic:
    """``sigmoid(bias + weights . x)``; standardisation is folded into the weights."""

    weights: NDArray[np.float64]
    bias: float

    def logits(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = rows @ self.weights + self.bias
        return logits


@dataclass(frozen=True, slots=True)
class Profile:
    """Scores that the first candidate reaches in one base when the right one is not there: each
    of a sample of its own questions is asked with its own entry hidden."""

    scores: NDArray[np.float64]

    def place(self, score: float) -> tuple[float, float]:
        """Standard score, and share of the sample that is below."""
        if self.scores.size < 8:
            return 0.0, 0.5
        spread = max(float(self.scores.std()), 0.3)
        share = float(np.searchsorted(self.scores, score)) / self.scores.size
        return (score - float(self.scores.mean())) / spread, share


NO_PROFILE = Profile(np.zeros(0))


@dataclass(frozen=True, slots=True)
class Ranked:
    """``order``: places in the candidates, best first; ``logits`` in that order."""

    order: NDArray[np.intp]
    logits: NDArray[np.float64]
    confidence: float


@dataclass(frozen=True, slots=True)
class RankingModel:
    """``cap``: from this logit of *scope* on, more of it says nothing more."""

    encoder: TermEncoder
    rank: Logistic
    gate: Logistic
    scope: Logistic
    cap: float

    def ranked(self, found: Candidates, profile: Profile) -> Ranked:
        order, logits = order_of(self.rank, found)
        row = gate_row(found, order, logits, profile)
        sure = float(self.gate.logits(row)) + min(float(self.scope.logits(row)), self.cap)
        return Ranked(order, logits, sigmoid(sure))

    def save(self, path: Path) -> None:
        """One file, replaced at once; vectors as bytes with a scale per row (a quarter of the
        size, and below the noise of training)."""
        learned = self.encoder.learned
        scale = np.maximum(np.abs(learned).max(axis=1, initial=0.0), 1e-9) / 127.0
        arrays: dict[str, NDArray[Any]] = {
            "keys": self.encoder.vocabulary.keys,
            "idf": self.encoder.vocabulary.idf.astype(np.float16),
            "unseen": np.array(self.encoder.vocabulary.unseen),
            "differing": self.encoder.vocabulary.differing.astype(np.float16),
            "learned": np.rint(learned / scale[:, None]).astype(np.int8),
            "scale": scale.astype(np.float32),
            "rank_names": np.array(RANK),
            "rank": np.append(self.rank.weights, self.rank.bias),
            "gate_names": np.array(GATE),
            "gate": np.append(self.gate.weights, self.gate.bias),
            "scope": np.append(self.scope.weights, self.scope.bias),
            "cap": np.array(self.cap),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        with scratch.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path | None = None) -> "RankingModel":
        """Of ``path``, or the one that is shipped. Raises KnowledgeError when it cannot be used."""
        source = path or files("knowledge").joinpath(SHIPPED)
        try:
            with source.open("rb") as file, np.load(file, allow_pickle=False) as found:
                arrays = dict(found)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise KnowledgeError(str(source), f"the model cannot be read: {error}") from error
        named = tuple(arrays.get("rank_names", ())), tuple(arrays.get("gate_names", ()))
        if named != (RANK, GATE) or "cap" not in arrays:
            raise KnowledgeError(
                str(source), "the model was made by another version of the program"
            )
        vocabulary = Vocabulary(
            arrays["keys"],
            arrays["idf"].astype(np.float32),
            float(arrays["unseen"]),
            arrays["differing"].astype(np.float32),
        )
        learned = arrays["learned"].astype(np.float32) * arrays["scale"][:, None]
        rank, gate, scope = (
            Logistic(arrays[name][:-1], float(arrays[name][-1]))
            for name in ("rank", "gate", "scope")
        )
        return cls(TermEncoder(vocabulary, learned), rank, gate, scope, float(arrays["cap"]))

    def profile_of(self, view: BaseView) -> Profile:
        return profile_of(view, self.rank)


def order_of(rank: Logistic, found: Candidates) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    logits = rank.logits(rank_rows(found.entry))
    order = np.argsort(-logits, kind="stable")
    return order, logits[order]


def rank_rows(entry: Floats) -> Floats:
    return np.concatenate((entry, entry - entry.max(axis=0, initial=0.0)), axis=1)


def gate_row(
    found: Candidates, order: Ints, logits: NDArray[np.float64], profile: Profile
) -> NDArray[np.float64]:
    best = found.entry[order[0]]
    second = found.entry[order[1]] if order.size > 1 else np.zeros_like(best)
    lead = min(float(logits[0] - logits[1]), MAX_LEAD) if order.size > 1 else MAX_LEAD
    crowd = float(logits[0] - logits[2:5].mean()) if order.size > 2 else MAX_LEAD
    place = profile.place(float(logits[0]))
    return np.concatenate(
        (best, best - second, (logits[0], lead, min(crowd, MAX_LEAD)), found.query, place)
    )


def profile_of(view: BaseView, rank: Logistic) -> Profile:
    corpus = view.corpus
    rows = corpus.live_rows()
    if rows.size > PROFILE_SAMPLE:
        rows = rows[np.linspace(0, rows.size - 1, PROFILE_SAMPLE).astype(np.int64)]
    scores = []
    for row in rows.tolist():
        found = candidates(view, own_question(corpus, row), without=np.array([row]))
        if found.rows.size:
            scores.append(float(order_of(rank, found)[1][0]))
    return Profile(np.sort(np.array(scores)))


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, value))))


def fit_logistic(
    rows: NDArray[Any],
    right: NDArray[np.bool_] | NDArray[np.float64],
    weights: NDArray[Any] | None = None,
    penalty: float = 1.0,
    rounds: int = 25,
) -> Logistic:
    """Newton's method with an L2 penalty on standardised features."""
    data = np.asarray(rows, np.float64)
    share = np.ones(len(data)) if weights is None else np.asarray(weights, np.float64)
    mean = np.average(data, axis=0, weights=share)
    scale = np.sqrt(np.average((data - mean) ** 2, axis=0, weights=share))
    scale[scale < 1e-6] = np.inf
    x = np.hstack(((data - mean) / scale, np.ones((len(data), 1))))
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-6
    beta = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (share * (right - p)) - ridge * beta
        hessian = (x.T * (share * p * (1 - p))) @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        beta += step
        if np.abs(step).max() < 1e-5:
            break
    folded = beta[:-1] / scale
    return Logistic(folded, float(beta[-1] - folded @ mean))
