"""The keyword side: terms of a text, BM25 over entries, and overlap with single wordings.

For Chinese, characters beat words: terms are characters, character pairs, Latin words and numbers
with their unit (``E03``, ``7kw``), and concepts, under which the ways of saying one thing in
customer service (``多少钱``, ``报价``) are one term. The groups are in ``concepts.json``.
"""

import json
import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from domain.text import fold, letters
from knowledge.documents import Entry

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)

K1, B = 2.0, 0.5
QUESTION_REPEATS = 2
"""A word of the question or an alias counts like this many in the answer."""
STOP_WEIGHT = 0.25
CONCEPT = "\x01"

_TOKEN = re.compile(r"[a-z]+\d*|\d+(?:\.\d+)?[a-z]*")
_COURTESY = re.compile(
    r"^(?:请问|你好|您好|哈喽|在吗|在么|亲亲?|老板|客服|麻烦|我?想?(?:问|咨询|了解)(?:一?下|问)?|那个)+"
)
_PARTICLES = re.compile(r"(?:谢谢|啊|呀|呢|吧|哦|哈|么|吗|了|的)+$")
_STOP = (
    "怎么 什么 怎样 如何 为什么 请问 可以 能不能 可不可以 是不是 有没有 多少 我的 你们 我们 一下 "
    "这个 那个 哪个 哪些 是否 需要 想要 我想 问一下 的 了 吗 呢 啊 呀 吧 么 我 你 您 他 它 是 有 "
    "在 要 能 会 就 都 也 还 和 与 或 及 把 被 给 让 到 去 个 些 这 那 哪 不 没 很 太 咋 啥 着 过 "
    "怎么办 咋办 咋整 为啥 干嘛 行不行 好不好 行吗 还是 如果 "
    "一个 里 上 下 里面 得 请 想 问 亲 您好 你好"
)
_PRONOUNS = re.compile(
    r"它|这个|那个|这款|那款|这种|那种|这样|那样|刚才|刚刚|上面|前面|其中|另外|另一"
)


@cache
def _stop_terms() -> frozenset[str]:
    phrases = _STOP.split()
    return frozenset(
        phrase[start : start + size]
        for phrase in phrases
        for size in (1, 2)
        for start in range(len(phrase) - size + 1)
    )


@cache
def _stop_phrases() -> re.Pattern[str]:
    phrases = sorted(_STOP.split(), key=len, reverse=True)
    return re.compile("|".join(phrases))


@cache
def _concepts() -> tuple[re.Pattern[str], dict[str, str]]:
    text = files("knowledge").joinpath("concepts.json").read_text("utf-8")
    groups: dict[str, list[str]] = json.loads(text)
    concept_of: dict[str, str] = {}
    for concept, words in groups.items():
        for word in words:
            concept_of.setdefault(word, CONCEPT + concept)
    ordered = sorted(concept_of, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))), concept_of


def wording_key(text: str) -> str:
    """What exact matching compares: letters, without courtesies in front and particles behind."""
    key = letters(text)
    return _PARTICLES.sub("", _COURTESY.sub("", key)) or key


def terms_of(text: str) -> dict[str, int]:
    """Every term of ``text`` with its count."""
    plain = letters(text)
    counts: dict[str, int] = {}
    terms = [*plain, *map("".join, pairwise(plain))]
    pattern, concept_of = _concepts()
    terms += [concept_of[found] for found in pattern.findall(plain)]
    terms += [token for token in tokens_of(text) if len(token) > 2]
    for term in terms:
        counts[term] = counts.get(term, 0) + 1
    return counts


def tokens_of(text: str) -> list[str]:
    """Latin words and numbers: model names, error codes, sizes."""
    return _TOKEN.findall(fold(text))


def content_of(text: str) -> str:
    """Letters that are not function words."""
    return _stop_phrases().sub("", wording_key(text))


def is_follow_up(text: str) -> bool:
    """Whether ``text`` may lean on what was said before: few words of its own, or a pronoun."""
    plain = letters(text)
    if len(plain) > 20:
        return False
    return len(content_of(text)) <= 4 or _PRONOUNS.search(plain) is not None


def _strength(term: str) -> float:
    return STOP_WEIGHT if term in _stop_terms() else 1.0


class Bag(NamedTuple):
    """A query's terms: those the collection knows, with weights, and the mass of all of them."""

    ids: Ints
    weights: Floats
    mass: float
    strong_mass: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """Of one query with the candidates, each 0..1. ``strong``: pairs, tokens and concepts only."""

    wording: Floats
    wording_strong: Floats
    dice: Floats
    dice_strong: Floats
    answer: Floats
    answer_strong: Floats
    union: Floats


class KeywordIndex:
    """Immutable once built, but ``overlap`` uses scratch space: one thread at a time."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._vocabulary: dict[str, int] = {}
        documents = [self._document(entry) for entry in entries]
        self._build_weights(documents)
        self._build_postings(documents)
        self._build_units(documents)

    def _document(self, entry: Entry) -> list[dict[int, int]]:
        """Term counts of each wording, the answer last."""
        texts = (entry.question, *entry.aliases, entry.answer)
        return [
            {
                self._vocabulary.setdefault(term, len(self._vocabulary)): count
                for term, count in terms_of(text).items()
            }
            for text in texts
        ]

    def _build_weights(self, documents: list[list[dict[int, int]]]) -> None:
        frequency = np.zeros(len(self._vocabulary))
        for units in documents:
            for term in set().union(*units):
                frequency[term] += 1
        total = len(documents)
        idf = np.log1p((total - frequency + 0.5) / (frequency + 0.5))
        prior = np.fromiter(map(_strength, self._vocabulary), np.float64, len(self._vocabulary))
        self._weight = idf * prior
        self._strong = np.fromiter(
            (len(term) > 1 for term in self._vocabulary), np.float64, len(self._vocabulary)
        )
        self._unknown = math.log1p(2 * total + 1)
        self._marks = np.zeros(len(self._vocabulary))
        self._strong_marks = np.zeros(len(self._vocabulary))

    def _build_postings(self, documents: list[list[dict[int, int]]]) -> None:
        """BM25 weight of each (term, entry), grouped by term."""
        terms, rows, counts = array("q"), array("q"), array("d")
        lengths = np.zeros(len(documents))
        for row, (*wordings, answer) in enumerate(documents):
            merged: dict[int, float] = {}
            for unit, repeats in (*((w, QUESTION_REPEATS) for w in wordings), (answer, 1)):
                for term, count in unit.items():
                    merged[term] = merged.get(term, 0.0) + count * repeats
            lengths[row] = sum(merged.values())
            terms.extend(merged)
            rows.extend([row] * len(merged))
            counts.extend(merged.values())
        term_of, row_of, count_of = np.array(terms), np.array(rows), np.array(counts)
        order = np.argsort(term_of, kind="stable") if term_of.size else np.zeros(0, np.int64)
        term_of, row_of, count_of = term_of[order], row_of[order], count_of[order]
        relative = lengths / max(lengths.mean(), 1.0) if lengths.size else lengths
        saturation = K1 * (1 - B + B * relative[row_of]) if row_of.size else count_of
        self._posting_weight = self._weight[term_of] * count_of * (K1 + 1) / (count_of + saturation)
        self._posting_row = row_of
        self._posting_start = np.searchsorted(term_of, np.arange(len(self._vocabulary) + 1))
        self._total = len(documents)

    def _build_units(self, documents: list[list[dict[int, int]]]) -> None:
        """Distinct terms of each wording and answer, the units of an entry side by side."""
        terms = array("q")
        starts, sizes = [0], []
        for units in documents:
            sizes.append(len(units))
            for unit in units:
                terms.extend(unit)
                starts.append(len(terms))
        self._unit_terms = np.array(terms, dtype=np.int64)
        self._unit_start = np.array(starts, dtype=np.int64)
        self._entry_start = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        weights = self._weight[self._unit_terms]
        strong = weights * self._strong[self._unit_terms]
        self._unit_mass = _segment_sums(weights, self._unit_start)
        self._unit_strong = _segment_sums(strong, self._unit_start)

    def bag(self, texts: Iterable[tuple[str, float]]) -> Bag:
        """Terms of weighted texts; a term of several texts has its greatest weight."""
        weighted: dict[str, float] = {}
        for text, weight in texts:
            for term in terms_of(text):
                weighted[term] = max(weight, weighted.get(term, 0.0))
        ids: list[int] = []
        weights: list[float] = []
        unknown = unknown_strong = 0.0
        for term, weight in weighted.items():
            number = self._vocabulary.get(term)
            if number is not None:
                ids.append(number)
                weights.append(weight)
            else:
                mass = weight * self._unknown * _strength(term)
                unknown += mass
                unknown_strong += mass if len(term) > 1 else 0.0
        known = np.array(ids, dtype=np.int64)
        values = np.array(weights) * self._weight[known]
        return Bag(
            known,
            values,
            float(values.sum()) + unknown,
            float(values @ self._strong[known]) + unknown_strong,
        )

    def scores(self, bag: Bag) -> Floats:
        """BM25 of every entry as a share of the most that the query could reach."""
        if not bag.ids.size:
            return np.zeros(self._total)
        starts, ends = self._posting_start[bag.ids], self._posting_start[bag.ids + 1]
        rows = _slices(self._posting_row, starts, ends)
        weights = _slices(self._posting_weight, starts, ends)
        factors = np.repeat(bag.weights / self._weight[bag.ids], ends - starts)
        sums = np.bincount(rows, weights=weights * factors, minlength=self._total)
        return sums / (bag.mass * (K1 + 1))

    def overlap(self, bag: Bag, rows: Ints) -> Overlap:
        """How much of the query each entry of ``rows`` says, by its best wording and answer."""
        self._marks[bag.ids] = bag.weights
        self._strong_marks[bag.ids] = bag.weights * self._strong[bag.ids]
        lows, highs = self._entry_start[rows], self._entry_start[rows + 1]
        units = _ranges(lows, highs)
        lengths = self._unit_start[units + 1] - self._unit_start[units]
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        terms = _slices(self._unit_terms, self._unit_start[lows], self._unit_start[highs])
        shared = _segment_sums(self._marks[terms], bounds)
        strong = _segment_sums(self._strong_marks[terms], bounds)
        union = self._union(terms, bounds, highs - lows)
        self._marks[bag.ids] = 0.0
        self._strong_marks[bag.ids] = 0.0

        mass, strong_mass = max(bag.mass, 1e-9), max(bag.strong_mass, 1e-9)
        dice = 2.0 * shared / (mass + self._unit_mass[units])
        dice_strong = 2.0 * strong / (strong_mass + self._unit_strong[units])
        ends = np.cumsum(highs - lows)
        starts, answers = ends - (highs - lows), ends - 1
        best = np.column_stack((shared / mass, strong / strong_mass, dice, dice_strong))
        answer_shared, answer_strong = best[answers, 0], best[answers, 1]
        best[answers] = 0.0
        wording = np.maximum.reduceat(best, starts, axis=0)
        return Overlap(
            wording[:, 0],
            wording[:, 1],
            wording[:, 2],
            wording[:, 3],
            answer_shared,
            answer_strong,
            union / mass,
        )

    def _union(self, terms: Ints, bounds: Ints, sizes: Ints) -> Floats:
        """Mass of the query that any text of the entry says."""
        entries = np.concatenate(([0], np.cumsum(sizes)))
        term_bounds = bounds[entries]
        owner = np.repeat(np.arange(sizes.size), np.diff(term_bounds))
        hit = self._marks[terms] > 0.0
        pairs = np.unique(owner[hit] * len(self._vocabulary) + terms[hit])
        holder, term = np.divmod(pairs, len(self._vocabulary))
        mass = np.bincount(holder, weights=self._marks[term], minlength=sizes.size)
        return mass.astype(np.float64)


def _segment_sums(values: Floats, bounds: Ints) -> Floats:
    """Sums between consecutive bounds; unlike ``np.add.reduceat``, right for empty segments."""
    totals = np.concatenate(([0.0], np.cumsum(values)))
    return totals[bounds[1:]] - totals[bounds[:-1]]


def _ranges(starts: Ints, ends: Ints) -> Ints:
    """``starts[0]..ends[0]-1, starts[1]..``, concatenated."""
    lengths = ends - starts
    shifts = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    return np.arange(shifts.size) + shifts


def _slices(values: NDArray[T], starts: Ints, ends: Ints) -> NDArray[T]:
    return values[_ranges(starts, ends)]
