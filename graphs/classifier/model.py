"""What a message wants, from weights that ``train.py`` made. Needs numpy only."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from domain.intents import Intent
from graphs.classifier.features import BUCKETS, features

WEIGHTS_FILE = "weights.npz"


@dataclass(frozen=True, slots=True)
class IntentPrediction:
    """``confidence``: calibrated chance in 0..1; ``margin``: its lead over ``runner_up``."""

    intent: Intent
    confidence: float
    runner_up: Intent
    margin: float


class IntentClassifier:
    """Logistic regression over hashed character n-grams, weighted by how rare they are.

    ``coefficients`` (BUCKETS x classes) already contain the rarity and the calibration;
    ``rarity`` (BUCKETS) is what a message's length is measured with.
    """

    def __init__(
        self,
        labels: tuple[Intent, ...],
        coefficients: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating],
        rarity: npt.NDArray[np.floating],
    ) -> None:
        if coefficients.shape != (BUCKETS, len(labels)) or rarity.shape != (BUCKETS,):
            raise ValueError(
                f"weights of shape {coefficients.shape} do not fit features.py; "
                "run python -m graphs.classifier.train"
            )
        self.labels = labels
        self._coefficients = np.ascontiguousarray(coefficients, dtype=np.float32)
        self._bias = bias.astype(np.float32)
        self._squared_rarity = rarity.astype(np.float32) ** 2

    @classmethod
    def load(cls) -> "IntentClassifier":
        """The shipped classifier; read from disk at the first call, so call it at start-up."""
        return _shipped()

    @classmethod
    def read(cls, source: IO[bytes]) -> "IntentClassifier":
        with np.load(source, allow_pickle=False) as data:
            labels = tuple(Intent(str(label)) for label in data["labels"])
            return cls(labels, data["coefficients"], data["bias"], data["rarity"])

    def write(self, target: IO[bytes]) -> None:
        np.savez_compressed(
            target,
            labels=np.array([str(label) for label in self.labels]),
            coefficients=self._coefficients.astype(np.float16),
            bias=self._bias,
            rarity=np.sqrt(self._squared_rarity).astype(np.float16),
        )

    def probabilities(self, text: str) -> npt.NDArray[np.float32]:
        """One chance per label, in the order of ``labels``; they add up to 1."""
        buckets = np.array(features(text), dtype=np.intp)
        length = float(self._squared_rarity.take(buckets).sum()) ** 0.5
        scores = self._coefficients.take(buckets, axis=0).sum(axis=0) / length + self._bias
        exponents = np.exp(scores - scores.max())
        return cast(npt.NDArray[np.float32], exponents / exponents.sum())

    def predict(self, text: str) -> IntentPrediction:
        chances = self.probabilities(text).tolist()
        best, second = sorted(range(len(chances)), key=chances.__getitem__)[:-3:-1]
        confidence = chances[best]
        return IntentPrediction(
            self.labels[best], confidence, self.labels[second], confidence - chances[second]
        )


@cache
def _shipped() -> IntentClassifier:
    with files(__package__).joinpath(WEIGHTS_FILE).open("rb") as source:
        return IntentClassifier.read(source)
