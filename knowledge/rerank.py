"""An optional second opinion: a re-ranking model behind HTTP, asked where it can matter.

Jina, Cohere, SiliconFlow, vLLM and others answer ``POST /rerank`` in nearly one format; what
differs is accepted here. Text Embeddings Inference calls documents ``texts`` and refuses others'
requests with 422: it is asked again its way, and so from then on.

What a model says changes a confidence only by the rules of `judge`: its scores are not calibrated
on this base, and mean other things with other models.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from domain.errors import PeerError
from domain.placeholders import masked

log = logging.getLogger(__name__)

CANDIDATES = 10
"""Most documents in one call."""
DOCUMENT_CHARS = 600
SURE = 0.8
"""A score from which a model's agreement may raise a confidence."""
AHEAD = 0.05
"""Scores that are nearer to each other than this are a tie."""
FAR_BELOW = 0.5
"""Below this share of the asking-back threshold nothing that a model says would be used."""
WELL_ABOVE = 0.6
"""This far from the answering threshold towards 1 an answer needs no second opinion."""
FAILURES, REST_S = 3, 30.0
"""After so many failures in a row a server is left alone for so many seconds."""

Observe = Callable[[str, float], None]
"""Told the outcome of each call, ``ok``, ``timeout`` or ``failed``, and its seconds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``order``: the candidates anew, best first; ``confidence`` of the first of them."""

    order: tuple[int, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """The thresholds that a confidence is held against."""

    answer: float = 0.75
    clarify: float = 0.55

    def matters(self, confidence: float) -> bool:
        """By default from 0.275 up to 0.9."""
        return (
            FAR_BELOW * self.clarify <= confidence < self.answer + WELL_ABOVE * (1.0 - self.answer)
        )


def judge(scores: Sequence[float], local: Sequence[float], bounds: Bounds) -> Verdict:
    """``local``: the calibrated confidence of the first candidate, and what of it the rank logit
    of each following one supports.

    - The model is sure (SURE) of our first one, AHEAD of all others: the mean of both, if that is
      more. Below the asking-back threshold this leads to a question back at most.
    - It puts another one first, AHEAD of ours: that one, at the lesser of its score and of what
      its rank logit supports. So a model's disagreement alone never makes an answer.
    - Else ours stays first, and as sure as it was. Low scores do not lower it: many models give
      low scores to what is right.
    """
    best = max(range(len(scores)), key=lambda number: (scores[number], -number))
    first = best if scores[best] - scores[0] >= AHEAD else 0
    others = sorted(
        (number for number in range(len(scores)) if number != first),
        key=lambda number: (-scores[number], number),
    )
    confidence = local[0]
    if first:
        confidence = min(local[first], scores[first])
    elif scores[0] >= SURE and all(scores[0] - scores[number] >= AHEAD for number in others):
        both = (local[0] + scores[0]) / 2
        most = 1.0 if local[0] >= bounds.clarify else bounds.clarify
        confidence = max(local[0], min(both, most))
    return Verdict((first, *others), confidence)


def scores_of(payload: object, count: int) -> tuple[float, ...]:
    """A score in 0..1 per document; what the server left out has none. Raises ValueError,
    KeyError or TypeError for what is no answer to ``count`` documents.

    ``{"results": [...]}``, ``{"data": [...]}``, either inside ``output``, or the bare list; items
    with ``index`` and ``relevance_score`` or ``score``. Scores beyond 0..1 are taken as logits.
    """
    scores: dict[int, float] = {}
    for item in _items(payload):
        index, score = item["index"], item.get("relevance_score", item.get("score"))
        if type(index) is not int or not 0 <= index < count or index in scores:
            raise ValueError(f"no document has the index {index!r}, or two have")
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise TypeError("a score is no number")
        if not math.isfinite(score):
            raise ValueError("a score is not finite")
        scores[index] = float(score)
    if not scores:
        raise ValueError("no scores")
    if min(scores.values()) < 0.0 or max(scores.values()) > 1.0:
        scores = {index: _sigmoid(score) for index, score in scores.items()}
    return tuple(scores.get(index, 0.0) for index in range(count))


def _items(payload: Any) -> list[dict[str, Any]]:
    if isinstance(payload, dict) and isinstance(payload.get("output"), dict):
        payload = payload["output"]
    found = payload
    if isinstance(payload, dict):
        found = payload.get("results", payload.get("data"))
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise TypeError("no list of results")
    return found


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, value))))


def _texts_body(query: str, documents: Sequence[str]) -> dict[str, Any]:
    return {"query": query, "texts": list(documents), "truncate": True}


def endpoint(url: str) -> str:
    """``url`` may name the endpoint itself: some providers call it ``reranks``."""
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return url.rstrip("/") + ("" if last in {"rerank", "reranks"} else "/rerank")


class Reranker:
    """Use it on one event loop. Owns its HTTP client: ``aclose`` it.

    ``timeout_s`` is for the whole call. ``cache_size`` bounds the answers that are kept: the same
    texts get the same scores.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        timeout_s: float = 1.5,
        bounds: Bounds | None = None,
        observe: Observe | None = None,
        cache_size: int = 2_048,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._url, self._model, self._timeout_s = endpoint(url), model, timeout_s
        self._observe, self._clock, self._cache_size = observe, clock, cache_size
        self._cache: dict[tuple[str, ...], tuple[float, ...]] = {}
        self._failures, self._rests_until, self._as_texts = 0, -math.inf, False
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_s)

    async def scores(self, query: str, documents: Sequence[str]) -> tuple[float, ...] | None:
        """None where there is no answer in time: the local order stays."""
        key = (query, *documents)
        if key in self._cache:
            return self._cache[key]
        if self._clock() < self._rests_until:
            return None
        try:
            found = await self.ask(query, documents)
        except PeerError as error:
            self._failed(error)
            return None
        self._failures = 0
        self._cache[key] = found
        if len(self._cache) > self._cache_size:
            self._cache.pop(next(iter(self._cache)))
        return found

    async def ask(self, query: str, documents: Sequence[str]) -> tuple[float, ...]:
        """Always a call; personal data of the query stays here. Raises PeerError."""
        query = masked(query)
        began, outcome = time.perf_counter(), "failed"
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._post(query, documents)
            outcome = "ok"
        except (TimeoutError, httpx.TimeoutException) as error:
            outcome = "timeout"
            raise PeerError("rerank", f"no answer in {self._timeout_s:g} s") from error
        except httpx.HTTPStatusError as error:
            raise PeerError("rerank", "refused", status=error.response.status_code) from error
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise PeerError("rerank", f"is away ({type(error).__name__})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise PeerError("rerank", "the answer is in no known format") from error
        finally:
            if self._observe is not None:
                self._observe(outcome, time.perf_counter() - began)
        return found

    async def _post(self, query: str, documents: Sequence[str]) -> tuple[float, ...]:
        answer = await self._client.post(self._url, json=self._body(query, documents))
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and not self._as_texts:
            own = await self._client.post(self._url, json=_texts_body(query, documents))
            if own.is_success:
                self._as_texts, answer = True, own
        answer.raise_for_status()
        return scores_of(answer.json(), len(documents))

    def _body(self, query: str, documents: Sequence[str]) -> dict[str, Any]:
        if self._as_texts:
            return _texts_body(query, documents)
        return {
            "model": self._model,
            "query": query,
            "documents": list(documents),
            "top_n": len(documents),
        }

    def _failed(self, error: PeerError) -> None:
        self._failures += 1
        log.warning("the local order of evidence stays: %s", error)
        if self._failures >= FAILURES:
            self._failures = 0
            self._rests_until = self._clock() + REST_S
            log.error("the re-ranking server is left alone for %g s", REST_S)

    async def aclose(self) -> None:
        await self._client.aclose()
