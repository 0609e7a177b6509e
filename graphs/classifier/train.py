"""Makes ``weights.npz`` from ``training.jsonl``: ``python -m graphs.classifier.train``.

Needs scikit-learn (development dependency). The same lines give the same predictions.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from domain.intents import Intent
from graphs.classifier.features import BUCKETS, features
from graphs.classifier.model import WEIGHTS_FILE, IntentClassifier

HERE = Path(__file__).parent
INVERSE_REGULARISATION = 30.0
CALIBRATION_FOLDS = 4
TEMPERATURES = np.geomspace(0.4, 4.0, 60)


def read_examples(path: Path) -> tuple[list[str], list[Intent]]:
    """Texts and intents of a JSON-lines file of ``{"text", "intent"}``."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row["text"] for row in rows], [Intent(row["intent"]) for row in rows]


def train(texts: list[str], intents: list[Intent]) -> IntentClassifier:
    labels = tuple(sorted(set(intents)))
    wanted = np.array([labels.index(intent) for intent in intents])
    buckets = [features(text) for text in texts]
    rarity = _rarity(buckets)
    matrix = _matrix(buckets, rarity)
    sharpness = _sharpness(matrix, wanted)
    fitted = _fit(matrix, wanted)
    coefficients = fitted.coef_.T * rarity[:, None] * sharpness
    return IntentClassifier(labels, coefficients, fitted.intercept_ * sharpness, rarity)


def _rarity(buckets: list[list[int]]) -> npt.NDArray[np.float64]:
    seen = np.bincount(np.concatenate(buckets), minlength=BUCKETS)
    # Rounded as it is stored, so that the trained and the loaded classifier agree.
    rarity = np.log((len(buckets) + 1) / (seen + 1)) + 1
    return rarity.astype(np.float16).astype(np.float64)


def _matrix(buckets: list[list[int]], rarity: npt.NDArray[np.float64]) -> Any:
    values = [rarity[row] / np.linalg.norm(rarity[row]) for row in buckets]
    starts = np.cumsum([0, *map(len, buckets)])
    return csr_matrix(
        (np.concatenate(values), np.concatenate(buckets), starts), shape=(len(buckets), BUCKETS)
    )


def _fit(matrix: Any, wanted: npt.NDArray[np.int_]) -> LogisticRegression:
    # Balanced: how often an intent stands in training.jsonl says nothing about customers.
    model = LogisticRegression(
        C=INVERSE_REGULARISATION,
        class_weight="balanced",
        solver="saga",
        max_iter=500,
        tol=1e-3,
        random_state=0,
    )
    return model.fit(matrix, wanted)


def _sharpness(matrix: Any, wanted: npt.NDArray[np.int_]) -> float:
    """Factor on the scores that makes chances true on messages the model has not seen."""
    scores = np.zeros((len(wanted), int(wanted.max()) + 1))
    folds = StratifiedKFold(CALIBRATION_FOLDS, shuffle=True, random_state=0)
    for known, unseen in folds.split(matrix, wanted):
        scores[unseen] = _fit(matrix[known], wanted[known]).decision_function(matrix[unseen])
    return float(min(TEMPERATURES, key=lambda factor: _log_loss(scores * factor, wanted)))


def _log_loss(scores: npt.NDArray[np.float64], wanted: npt.NDArray[np.int_]) -> float:
    top = scores.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
    return float((normaliser - scores[np.arange(len(wanted)), wanted]).mean())


def main() -> None:
    classifier = train(*read_examples(HERE / "training.jsonl"))
    with (HERE / WEIGHTS_FILE).open("wb") as target:
        classifier.write(target)


if __name__ == "__main__":
    main()
