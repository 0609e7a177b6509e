"""From signals to one calibrated confidence.

Two small logistic models, fitted by `knowledge.calibrate` and stored in ``confidence.json``:
*rank* orders the candidates; *gate* looks at the
first one and its lead over the second, and says how likely the first is right. Only the gate's
figure is a promise to the outside.
"""

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.text import letters
from knowledge.documents import Entry
from knowledge.keywords import Floats, Overlap, tokens_of

RANK_FEATURES = (
    "cosine",
    "cosine_answer",
    "bm25",
    "cover",
    "cover_strong",
    "dice",
    "dice_strong",
    "answer_cover",
    "answer_cover_strong",
    "union_cover",
    "length_ratio",
    "token_agrees",
    "token_contradicts",
)
GATE_FEATURES = (*RANK_FEATURES, "margin", "rank", "query_length")
PARAMETERS = "confidence.json"
CONTRADICTED_CONFIDENCE = 0.7
"""The entry for ``E05`` is worth a question back to one who asks about ``E03``, never an answer."""

_CONTRADICTS = RANK_FEATURES.index("token_contradicts")


@dataclass(frozen=True, slots=True)
class Logistic:
    """``sigmoid(bias + weights . x)``; standardisation is folded into the weights."""

    features: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: float

    def logits(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = rows @ self.weights + self.bias
        return logits

    def as_dict(self) -> dict[str, Any]:
        weights = {
            name: round(float(weight), 5)
            for name, weight in zip(self.features, self.weights, strict=True)
        }
        return {"bias": round(self.bias, 5), "weights": weights}

    @classmethod
    def from_dict(cls, data: dict[str, Any], features: tuple[str, ...]) -> "Logistic":
        weights = np.array([data["weights"][name] for name in features], dtype=np.float64)
        return cls(features, weights, float(data["bias"]))


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    rank: Logistic
    gate: Logistic

    @classmethod
    def load(cls) -> "ConfidenceModel":
        data = json.loads(files("knowledge").joinpath(PARAMETERS).read_text("utf-8"))
        return cls(
            Logistic.from_dict(data["rank"], RANK_FEATURES),
            Logistic.from_dict(data["gate"], GATE_FEATURES),
        )

    def decide(self, features: Floats, query_chars: int) -> tuple[NDArray[np.intp], Floats, float]:
        """Order of the candidates, best first; their scores in that order; the confidence.

        A score is the confidence, lowered by how far its candidate is behind the first.
        """
        logits = self.rank.logits(features)
        order = np.argsort(-logits, kind="stable")
        row = gate_row(features[order[0]], logits[order], query_chars)
        confidence = sigmoid(float(self.gate.logits(row)))
        if features[order[0]][_CONTRADICTS] > 0.0:
            confidence = min(confidence, CONTRADICTED_CONFIDENCE)
        return order, confidence * np.exp(logits[order] - logits[order[0]]), confidence


def gate_row(best: Floats, logits: Floats, query_chars: int) -> Floats:
    """``logits``: of the rank model, best first."""
    margin = min(float(logits[0] - logits[1]), 6.0) if logits.size > 1 else 6.0
    return np.concatenate((best, (margin, float(logits[0]), math.log1p(min(query_chars, 40)))))


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, value))))


class EntryFacts:
    """What the features need of the entries, prepared once."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._lengths = np.array([_length(entry) for entry in entries], dtype=np.float64)
        self._tokens = [
            frozenset(tokens_of(" ".join((entry.question, *entry.aliases, entry.answer))))
            for entry in entries
        ]

    def features(
        self,
        query: str,
        rows: NDArray[np.int64],
        cosines: tuple[Floats, Floats],
        bm25: Floats,
        overlap: Overlap,
    ) -> Floats:
        """One row of RANK_FEATURES per candidate in ``rows``; ``cosines`` to the best wording and
        to the answer."""
        features = np.zeros((rows.size, len(RANK_FEATURES)))
        features[:, 0], features[:, 1] = cosines
        features[:, 2] = bm25
        features[:, 3] = overlap.wording
        features[:, 4] = overlap.wording_strong
        features[:, 5] = overlap.dice
        features[:, 6] = overlap.dice_strong
        features[:, 7] = overlap.answer
        features[:, 8] = overlap.answer_strong
        features[:, 9] = overlap.union
        chars = max(len(letters(query)), 1)
        lengths = self._lengths[rows]
        features[:, 10] = np.minimum(lengths, chars) / np.maximum(lengths, chars)
        tokens = set(tokens_of(query))
        if tokens:
            for number, row in enumerate(rows.tolist()):
                features[number, 11:] = token_match(tokens, self._tokens[row])
        return features


def _length(entry: Entry) -> float:
    lengths = [max(len(letters(text)), 1) for text in (entry.question, *entry.aliases)]
    return float(np.median(lengths))


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
