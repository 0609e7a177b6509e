"""Texts to vectors: the protocol, the offline n-gram embedder, and any OpenAI-compatible server."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Protocol

import httpx
import numpy as np
from numpy.typing import NDArray

from domain.errors import KnowledgeError
from domain.text import letters

Vectors = NDArray[np.float32]

_WEIGHTS = {1: 0.6, 2: 1.0, 3: 0.8}
"""Weight of an n-gram by its length: single characters say least."""

_MEMO_SIZE = 200_000


class Embedder(Protocol):
    """``embed`` gives one L2-normalised row of ``dimensions`` per text (zeros for an empty text).

    Synchronous and safe to call from several threads. ``name`` and ``version`` say when stored
    vectors have to be made again.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class HashedNgramEmbedder:
    """Character 1-3-grams of the folded text, sublinear counts, hashed with a sign.

    Needs no training, no network and no state, so vectors of one version agree everywhere. Rare
    n-grams get their weight on the keyword side (`knowledge.keywords`), which knows the collection.
    """

    name = "hashed-ngram"
    version = "1"

    def __init__(self, dimensions: int = 1024) -> None:
        self.dimensions = dimensions
        self._memo: dict[str, tuple[int, float]] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        cells: list[int] = []
        weights: list[float] = []
        for row, text in enumerate(texts):
            start = row * self.dimensions
            for gram, count in _ngrams(text).items():
                bucket, weight = self._memo.get(gram) or self._remember(gram)
                cells.append(start + bucket)
                weights.append(weight if count == 1 else weight * (1.0 + math.log(count)))
        flat = np.bincount(
            np.asarray(cells, dtype=np.int64),
            weights=weights,
            minlength=len(texts) * self.dimensions,
        )
        return normalised(flat.reshape(len(texts), self.dimensions))

    def _remember(self, gram: str) -> tuple[int, float]:
        if len(self._memo) >= _MEMO_SIZE:
            self._memo.clear()
        value = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "little")
        sign = -1.0 if value >> 63 else 1.0
        known = value % self.dimensions, sign * _WEIGHTS[len(gram)]
        self._memo[gram] = known
        return known


def _ngrams(text: str) -> dict[str, int]:
    folded = letters(text)
    counts: dict[str, int] = {}
    for size in _WEIGHTS:
        for start in range(len(folded) - size + 1):
            gram = folded[start : start + size]
            counts[gram] = counts.get(gram, 0) + 1
    return counts


def normalised(matrix: NDArray[Any]) -> Vectors:
    """Rows of length one; rows of zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    norms[norms == 0.0] = 1.0
    rows: Vectors = (matrix / norms[:, None]).astype(np.float32)
    return rows


class OpenAICompatibleEmbedder:
    """``POST {base_url}/embeddings`` in batches, e.g. ``https://api.example.com/v1``.

    Owns its HTTP client: call ``close``. Raises KnowledgeError when the server fails or answers
    with another number of dimensions.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        dimensions: int,
        *,
        api_key: str = "",
        batch_size: int = 64,
        timeout: float = 30.0,
    ) -> None:
        self.name = f"openai:{model}"
        self.version = "1"
        self.dimensions = dimensions
        self._model = model
        self._batch_size = batch_size
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(
            base_url=base_url.rstrip("/") + "/", headers=headers, timeout=timeout
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        batches = [
            self._embed_batch(texts[start : start + self._batch_size])
            for start in range(0, len(texts), self._batch_size)
        ]
        return normalised(np.concatenate(batches))

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        # An empty input is refused by most servers.
        inputs = [text or " " for text in texts]
        try:
            answer = self._client.post("embeddings", json={"model": self._model, "input": inputs})
            answer.raise_for_status()
            rows = sorted(answer.json()["data"], key=lambda row: int(row["index"]))
            matrix = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        except httpx.HTTPStatusError as error:
            reason = f"the embedding server answered HTTP {error.response.status_code}"
            raise KnowledgeError(self.name, reason) from error
        except httpx.HTTPError as error:
            reason = f"the embedding server is away ({type(error).__name__})"
            raise KnowledgeError(self.name, reason) from error
        except (ValueError, KeyError, TypeError) as error:
            reason = "the embedding server's answer is not in OpenAI's format"
            raise KnowledgeError(self.name, reason) from error
        if matrix.shape != (len(inputs), self.dimensions):
            reason = f"expected {self.dimensions} dimensions, got an array of {matrix.shape}"
            raise KnowledgeError(self.name, reason)
        return matrix

    def close(self) -> None:
        self._client.close()
