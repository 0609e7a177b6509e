"""What a search is asked, what it found and why, and where that is kept for the next who asks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import orjson

from domain.decisions import Evidence, Retrieval
from domain.lru import ByteLru
from knowledge.rerank import Bounds, judge

FORMAT = 1
"""Of `packed` explanations; another number for every change of what searches find."""


@dataclass(frozen=True, slots=True)
class Ask:
    query: str
    context: tuple[str, ...]
    category: str | None
    top_k: int


@dataclass(frozen=True, slots=True)
class Reranked:
    """``confidence``: before the model was asked; ``scores``: its own, per evidence."""

    confidence: float
    scores: tuple[float, ...]

    def first(self, count: int) -> "Reranked":
        return Reranked(self.confidence, self.scores[:count])


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a search answered as it did. Per evidence ``signals``, the features by name, ``logits``
    of the ranking, and ``ceilings``, the most that its confidence may be; ``query``: the features
    of the query as such. ``reranked``: what a re-ranking model said, where one was asked."""

    retrieval: Retrieval
    signals: tuple[dict[str, float], ...] = ()
    query: dict[str, float] | None = None
    logits: tuple[float, ...] = ()
    ceilings: tuple[float, ...] = ()
    reranked: Reranked | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.retrieval),
            "signals": list(self.signals),
            "query_signals": self.query or {},
            "rank_logits": list(self.logits),
            "ceilings": list(self.ceilings),
            "reranked": asdict(self.reranked) if self.reranked else None,
        }

    def first(self, count: int) -> "Explanation":
        if len(self.retrieval.evidence) <= count:
            return self
        return replace(
            self,
            retrieval=replace(self.retrieval, evidence=self.retrieval.evidence[:count]),
            signals=self.signals[:count],
            logits=self.logits[:count],
            ceilings=self.ceilings[:count],
            reranked=self.reranked.first(count) if self.reranked else None,
        )

    def judged(self, scores: Sequence[float], bounds: Bounds) -> "Explanation":
        """With the model's ``scores`` of the first candidates taken into account."""
        found = self.retrieval
        verdict = judge(scores, [item.score for item in found.evidence[: len(scores)]], bounds)
        first, rest = verdict.order[0], range(len(scores), len(found.evidence))
        order = (*verdict.order, *rest)
        confidence = round(min(verdict.confidence, self.ceilings[first]), 4)
        shares = [_share(scores, first, number) for number in verdict.order]
        shares += [min(shares[-1], found.evidence[n].score / found.confidence) for n in rest]
        evidence = tuple(
            replace(found.evidence[number], score=round(confidence * share, 4))
            for number, share in zip(order, shares, strict=True)
        )
        return Explanation(
            Retrieval(found.query, confidence, evidence),
            tuple(self.signals[number] for number in order),
            self.query,
            tuple(self.logits[number] for number in order),
            tuple(self.ceilings[number] for number in order),
            Reranked(found.confidence, tuple(scores[number] for number in verdict.order)),
        )


def _share(scores: Sequence[float], first: int, number: int) -> float:
    return min(scores[number] / scores[first], 1.0) if scores[first] > 0.0 else 1.0


def packed(found: Explanation) -> bytes:
    """Without the query, which is a customer's word: whoever unpacks it has asked it."""
    return orjson.dumps(replace(found, retrieval=replace(found.retrieval, query="")))


def unpacked(data: bytes, query: str) -> Explanation:
    """Raises ValueError, KeyError or TypeError for what `packed` did not make."""
    told: Mapping[str, Any] = orjson.loads(data)
    retrieval = told["retrieval"]
    evidence = tuple(Evidence(**item) for item in retrieval["evidence"])
    return Explanation(
        Retrieval(query, float(retrieval["confidence"]), evidence, exact=bool(retrieval["exact"])),
        tuple(told["signals"]),
        told["query"],
        tuple(told["logits"]),
        tuple(told["ceilings"]),
    )


class Answers(Protocol):
    """Keeps what searches found. ``stamp``: of the state of the base, the model and the program
    that it was found with; under another stamp it is not found again."""

    def known(self, stamp: str, ask: Ask) -> Explanation | None:
        """What is at hand."""

    async def elsewhere(self, stamp: str, ask: Ask) -> Explanation | None:
        """What another process may have found; None as soon as that takes longer than to search."""

    def keep(self, stamp: str, ask: Ask, found: Explanation) -> None: ...

    def forget(self) -> None:
        """Another state of the base is in use: what was found in the old one is of no use."""


class RememberedAnswers:
    """`Answers` of this process alone."""

    def __init__(self, lru: ByteLru[tuple[str, Ask], Explanation]) -> None:
        self._lru = lru

    def known(self, stamp: str, ask: Ask) -> Explanation | None:
        return self._lru.get((stamp, ask))

    async def elsewhere(self, stamp: str, ask: Ask) -> Explanation | None:
        return None

    def keep(self, stamp: str, ask: Ask, found: Explanation) -> None:
        self._lru.put((stamp, ask), found)

    def forget(self) -> None:
        self._lru.clear()
