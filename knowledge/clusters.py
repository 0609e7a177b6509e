"""Unknown questions of equal meaning, gathered one by one.

A question is compared with the wordings of the few clusters that share terms with it, so its cost
does not grow with history. It joins the cluster that has one wording which surely means the same
(single link) if it is not far from the others (the guard against chains); a question that links
two clusters which are near as a whole makes them one.
"""

import heapq
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from domain.text import letters
from knowledge.features import token_match
from knowledge.terms import encode, is_strong, strengths, term_keys, tokens_of, wording_key

Floats = NDArray[np.float64]
Similarity = Callable[[str, Sequence[str]], Floats]
"""How surely a text means the same as each of the others, 0..1 each. Called from one thread."""

MAX_WORDINGS = 16
"""Wordings that a cluster keeps: what a question is compared with, and what a person is shown."""
CANDIDATES = 12
SINGLE_CHARACTER = 0.5
OTHER_CODE = 0.2
"""E03 is not E05, however alike the rest is; pairs to learn that from are too few."""
OTHER_GOAL = 0.5
"""How long a thing takes is not how it is done: the regression, which also sees pairs without such
words, says so too softly."""

_FOCUS = {
    "time": "多久|多长|几天|几小时|几个月|几年|什么时候|啥时候|何时|几点|期限|期是|时间|多少天|多快"
    "|几号",
    "price": "多少钱|价|收费|费用|要钱|付钱|花钱|免费|咋卖|怎么卖|贵|几块|费是多少|费多少",
    "how": "怎么(?!还|回事|样)|如何|咋|怎样|流程|步骤|操作|入口|方法"
    "|在哪里?(?:点|申请|办|改|开|用)",
    "can": "能|可以|可不可|支持|是否|有没有|行不|行吗|吗$|不$|么$|嘛$",
    "where": "哪里|在哪|哪儿|地址|位置|怎么走|什么地方",
    "which": "哪个|哪家|哪些|什么|啥|哪款|几种|还是",
    "who": "谁|自己|你们承担|你们出|包",
    "why": "为什么|为啥|怎么还|怎么回事|咋回事|原因|怎么老|怎么没",
}
_FOCI = tuple(re.compile(pattern) for pattern in _FOCUS.values())
_ASKED_FOR = {0: "time", 1: "price", 2: "way", 4: "way", 6: "person"}
"""Kinds of question that ask for one thing; two that ask for different things seldom meet."""
_TROUBLE = re.compile("不了|没|不能|无法|坏|错|忘|失败|少了|漏")

FEATURES = (
    *("shared_terms", "shared_concepts", "any_concept", "no_concept", "other_code"),
    *("shared_focus", "other_goal", "length", "shared_content", "contained", "other_polarity"),
)
# Logistic regression on pairs of wordings of the house sets (tests/knowledge/house and data).
_WEIGHTS = np.array([3.12, 0.77, -0.21, -0.46, -2.13, 0.46, -0.6, -0.19, 6.23, 1.97, -0.17])
_BIAS = -4.25


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen on tests/knowledge/data/same_questions.jsonl, see tests/knowledge/test_clusters.py.

    ``link``: to the nearest wording; ``guard``: to all of them on average; ``merge``: between all
    wordings of two clusters on average.
    """

    link: float = 0.45
    guard: float = 0.3
    merge: float = 0.5


@dataclass(frozen=True, slots=True)
class _Facts:
    key: str
    terms: dict[int, float]
    mass: float
    concepts: frozenset[int]
    tokens: frozenset[str]
    focus: frozenset[int]
    asked_for: frozenset[str]
    content: frozenset[int]
    length: int
    trouble: bool


@lru_cache(maxsize=65_536)
def _facts(text: str) -> _Facts:
    codes = encode([text])
    keys = np.unique(term_keys(codes)[0])
    strong, strength = is_strong(keys), strengths(keys)
    weights = np.where(strong, strength, strength * SINGLE_CHARACTER)
    plain, tokens = letters(text), tokens_of(text)
    focus = frozenset(at for at, pattern in enumerate(_FOCI) if pattern.search(plain))
    named = encode(tokens).extras if tokens else codes.extras[:0]
    return _Facts(
        key=wording_key(text),
        terms=dict(zip(keys.tolist(), weights.tolist(), strict=True)),
        mass=float(weights.sum()),
        concepts=frozenset(codes.extras.tolist()) - frozenset(named.tolist()),
        tokens=frozenset(tokens),
        focus=focus,
        asked_for=frozenset(_ASKED_FOR[at] for at in focus if at in _ASKED_FOR),
        content=frozenset(keys[~strong & (strength == 1.0)].tolist()),
        length=max(len(plain), 1),
        trouble=_TROUBLE.search(plain) is not None,
    )


def features_of(one: str, other: str) -> list[float]:
    """FEATURES of a pair, each 0..1; the order of the pair does not matter."""
    a, b = _facts(one), _facts(other)
    shared = sum(weight for term, weight in a.terms.items() if term in b.terms)
    concepts, foci, content = a.concepts & b.concepts, a.focus & b.focus, a.content & b.content
    return [
        2 * shared / max(a.mass + b.mass, 1e-9),
        _jaccard(len(concepts), len(a.concepts | b.concepts)),
        float(bool(concepts)),
        float(bool(a.concepts and b.concepts and not concepts)),
        _other_code(a.tokens, b.tokens),
        _jaccard(len(foci), len(a.focus | b.focus)),
        float(bool(a.asked_for and b.asked_for and not a.asked_for & b.asked_for)),
        min(a.length, b.length) / max(a.length, b.length),
        len(content) / max(len(a.content | b.content), 1),
        len(content) / max(min(len(a.content), len(b.content)), 1),
        float(a.trouble != b.trouble),
    ]


def _jaccard(shared: int, union: int) -> float:
    """Nothing to compare says a little less than nothing in common refutes."""
    return shared / union if union else 0.3


def _other_code(one: frozenset[str], other: frozenset[str]) -> float:
    if not one or not other:
        return 0.0
    return max(token_match(set(one), other)[1], token_match(set(other), one)[1])


def same_meaning(text: str, others: Sequence[str]) -> Floats:
    """The offline `Similarity`: shared terms, concepts of customer service, kinds of question."""
    if not others:
        return np.zeros(0)
    rows = np.array([features_of(text, other) for other in others])
    chance: Floats = 1.0 / (1.0 + np.exp(-(rows @ _WEIGHTS + _BIAS)))
    chance[rows[:, FEATURES.index("other_code")] > 0.0] *= OTHER_CODE
    chance[rows[:, FEATURES.index("other_goal")] > 0.0] *= OTHER_GOAL
    key = _facts(text).key
    chance[[_facts(other).key == key for other in others]] = 1.0
    return chance


@dataclass(slots=True)
class Cluster:
    """What a question is compared with. Not ``open``, it takes questions, but never merges."""

    id: int
    wordings: list[str] = field(default_factory=list)
    open: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a question went; ``merged``: clusters that its coming made part of ``cluster_id``."""

    cluster_id: int
    created: bool = False
    merged: tuple[int, ...] = ()


class ClusterIndex:
    """The clusters that a question may join. Synchronous: use it in one worker thread at a time.

    New clusters have negative ids until `rename` gives them their row's.
    """

    def __init__(
        self, similarity: Similarity = same_meaning, thresholds: Thresholds | None = None
    ) -> None:
        self._similarity = similarity
        self._thresholds = thresholds or Thresholds()
        self._clusters: dict[int, Cluster] = {}
        self._by_key: dict[str, int] = {}
        self._postings: dict[int, set[int]] = {}
        self._created = 0

    def __len__(self) -> int:
        return len(self._clusters)

    def add(self, cluster: Cluster) -> None:
        wordings, cluster.wordings = cluster.wordings, []
        self._clusters[cluster.id] = cluster
        for wording in wordings:
            self._extend(cluster, wording)

    def discard(self, cluster_id: int) -> None:
        cluster = self._clusters.pop(cluster_id, None)
        for wording in cluster.wordings if cluster else ():
            facts = _facts(wording)
            if self._by_key.get(facts.key) == cluster_id:
                del self._by_key[facts.key]
            for term in facts.terms:
                owners = self._postings.get(term, set())
                owners.discard(cluster_id)
                if not owners:
                    self._postings.pop(term, None)

    def rename(self, old: int, new: int) -> None:
        cluster = self._clusters[old]
        self.discard(old)
        cluster.id = new
        self.add(cluster)

    def wordings_of(self, cluster_id: int) -> tuple[str, ...]:
        return tuple(self._clusters[cluster_id].wordings)

    def place(self, text: str) -> Placement:
        """The cluster of ``text``, made where there is none."""
        known = self._by_key.get(_facts(text).key)
        if known is not None:
            return Placement(known)
        linked = self._linked(text)
        if not linked:
            self._created += 1
            made = Cluster(-self._created)
            self._clusters[made.id] = made
            self._extend(made, text)
            return Placement(made.id, created=True)
        best, *others = linked
        self._extend(best, text)
        return Placement(best.id, merged=tuple(self._merge(best, others)))

    def _linked(self, text: str) -> list[Cluster]:
        """Clusters that ``text`` may join, the best first."""
        limits, found = self._thresholds, []
        near = [self._clusters[at] for at in self._candidates(text)]
        wordings = [wording for cluster in near for wording in cluster.wordings]
        scores, start = self._similarity(text, wordings), 0
        for cluster in near:
            own = scores[start : start + len(cluster.wordings)]
            start += len(cluster.wordings)
            link, mean = float(own.max()), float(own.mean())
            if link >= limits.link and mean >= limits.guard:
                found.append((link + mean, -cluster.id, cluster))
        return [cluster for _, _, cluster in sorted(found, reverse=True, key=lambda f: f[:2])]

    def _candidates(self, text: str) -> list[int]:
        """Clusters that share most, a term that few have counting more."""
        shared: dict[int, float] = {}
        for term, weight in _facts(text).terms.items():
            owners = self._postings.get(term, ())
            value = weight / math.log(2 + len(owners))
            for owner in owners:
                shared[owner] = shared.get(owner, 0.0) + value
        return heapq.nlargest(CANDIDATES, shared, key=lambda at: (shared[at], at))

    def _merge(self, kept: Cluster, others: Iterable[Cluster]) -> Iterable[int]:
        if not kept.open:
            return
        for other in others:
            if other.open and self._nearness(kept, other) >= self._thresholds.merge:
                self.discard(other.id)
                for wording in other.wordings:
                    self._extend(kept, wording)
                yield other.id

    def _nearness(self, one: Cluster, other: Cluster) -> float:
        rows = [self._similarity(wording, other.wordings) for wording in one.wordings]
        return float(np.mean(rows))

    def _extend(self, cluster: Cluster, wording: str) -> None:
        facts = _facts(wording)
        owner = self._by_key.setdefault(facts.key, cluster.id)
        if owner == cluster.id and len(cluster.wordings) < MAX_WORDINGS:
            cluster.wordings.append(wording)
            for term in facts.terms:
                self._postings.setdefault(term, set()).add(cluster.id)


def most_central(wordings: Sequence[str], similarity: Similarity = same_meaning) -> str:
    """The wording that is nearest to all others; of equals, the first."""
    if len(wordings) < 3:
        return wordings[0]
    sums = [float(similarity(wording, wordings).sum()) for wording in wordings]
    return wordings[int(np.argmax(sums))]
