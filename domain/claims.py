"""What a text claims, clause by clause: its words and its numbers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import NamedTuple

from domain.quantities import Quantity, folded_text, numbers_of

CLAUSE_END = re.compile(r"(?<!\d),|,(?!\d)|(?<!\d):|:(?!\d\d)|[。;!?、\n|]")
_WORD = re.compile(r"[a-z][a-z\d]*|[\u4e00-\u9fff]+")
_GRAMMAR = frozenset("的了吗呢是在就都也和与及或有我您你们这那请会到啊呀哦个为把被给让很最约每起")
_FEW_WORDS = 2


class Source(NamedTuple):
    """A piece of evidence: a knowledge entry's question and answer."""

    question: str
    answer: str

    @property
    def text(self) -> str:
        return f"{self.question}\n{self.answer}"


@dataclass(frozen=True, slots=True)
class Clause:
    """``tokens``: single characters and pairs of Chinese, #words and #numbers of other scripts.

    A clause that says little but numbers (169 元) speaks of what the one before it spoke of.
    """

    text: str
    tokens: frozenset[str]
    quantities: tuple[Quantity, ...]
    codes: tuple[str, ...] = ()

    def about(self, quantity: Quantity) -> frozenset[str]:
        """What is said of ``quantity``: words, and numbers of other kinds."""
        return self.tokens | {
            f"#{other.value:g}{other.kind}"
            for other in self.quantities
            if other.kind != quantity.kind
        }


def weight(tokens: frozenset[str]) -> int:
    """Pairs count double, words of other scripts and numbers three times."""
    return sum(3 if token[0] == "#" else len(token) for token in tokens)


@lru_cache(maxsize=1_024)
def tokens_of(text: str) -> frozenset[str]:
    return _tokens(folded_text(text))


def _tokens(folded: str) -> frozenset[str]:
    found: set[str] = set()
    for word in _WORD.findall(folded):
        if word[0] < "\x80":
            found.add(f"#{word}")
            continue
        found.update(word)
        found.update(map(add, word, word[1:]))
    return frozenset(found - _GRAMMAR)


@lru_cache(maxsize=512)
def clauses_of(text: str) -> tuple[Clause, ...]:
    folded, numbers = folded_text(text), numbers_of(text)
    found: list[Clause] = []
    before: frozenset[str] = frozenset()
    taken = 0
    for start, end in _spans(folded):
        clause = folded[start:end]
        inside = _until(numbers.quantities, end, taken)
        taken += len(inside)
        tokens = _tokens(clause)
        if inside and _is_all_numbers(folded, start, end, inside):
            tokens |= before
        codes = tuple(code for code in numbers.codes if f"#{code}" in tokens or code in clause)
        found.append(Clause(clause.strip(), tokens, inside, codes))
        before = tokens or before
    return tuple(found)


def _until(quantities: Sequence[Quantity], end: int, taken: int) -> tuple[Quantity, ...]:
    """Those after the first ``taken`` that start before ``end``."""
    last = taken
    while last < len(quantities) and quantities[last].start < end:
        last += 1
    return tuple(quantities[taken:last])


def _spans(folded: str) -> Iterator[tuple[int, int]]:
    start = 0
    for ending in CLAUSE_END.finditer(folded):
        if folded[start : ending.start()].strip():
            yield start, ending.start()
        start = ending.end()
    if folded[start:].strip():
        yield start, len(folded)


def _is_all_numbers(folded: str, start: int, end: int, inside: Sequence[Quantity]) -> bool:
    """Is next to nothing said but numbers and units?"""
    words = ""
    for quantity in inside:
        words += folded[start : quantity.start]
        start = quantity.end
    words += folded[start:end]
    said = [char for char in words if "\u4e00" <= char <= "\u9fff" and char not in _GRAMMAR]
    return len(said) < _FEW_WORDS and not any("a" <= char <= "z" for char in words)
