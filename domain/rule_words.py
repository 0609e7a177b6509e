"""The words of rules: how they are written in the file, and how they are found in a message."""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from domain.text import fold, letters

MAX_SPELLINGS = 2_500
"""How many spellings one entry with choices, 「(a|b)(c|d)」, may stand for."""

_CHOICE = re.compile(r"\(([^()]*)\)")
_LATIN = re.compile(r"[\x00-\x7f]+")
_LATIN_PART = re.compile(r"[a-z0-9]+")
_LATIN_GAP = r"[\W_]{1,4}"
_BLANK = "\n"


class Strict(BaseModel):
    """What an operator's file is made of: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Phrase = Annotated[str, Field(min_length=1, max_length=400)]


class Words:
    """Many words as two searches: Chinese over letters only, Latin between word boundaries."""

    def __init__(self, words: Iterable[str]) -> None:
        latin: list[str] = []
        chinese: dict[str, str] = {}
        for word in words:
            if _LATIN.fullmatch(word):
                latin.append(word)
            else:
                chinese[letters(word)] = word
        self._spelling = chinese
        self._chinese = re.compile(_alternatives(chinese)) if chinese else None
        self._latin = _latin_pattern(latin)

    def search(self, folded: str, joined: str) -> str | None:
        if self._chinese and (found := self._chinese.search(joined)):
            return self._spelling[found[0]]
        if self._latin and (found := self._latin.search(folded)):
            return str(found[0])
        return None

    def blank(self, folded: str, joined: str) -> tuple[str, str]:
        if self._chinese:
            folded = self._chinese.sub(_BLANK, folded)
            joined = self._chinese.sub(_BLANK, joined)
        if self._latin:
            folded = self._latin.sub(_BLANK, folded)
        return folded, joined


def _latin_pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    parts = (_LATIN_PART.findall(fold(word)) for word in words)
    phrases = {" ".join(found) for found in parts if found}
    if not phrases:
        return None
    pattern = _alternatives(phrases).replace(re.escape(" "), _LATIN_GAP)
    return re.compile(rf"(?=[a-z0-9])(?<![a-z0-9]){pattern}(?![a-z0-9])")


def _alternatives(words: Iterable[str]) -> str:
    """Pattern of the words with shared prefixes, longest match first: its cost does not grow
    with their number. The look-ahead lets the search skip what begins no word.
    """
    unique = sorted(set(words))
    firsts = "".join(sorted({re.escape(word[0]) for word in unique}))
    return f"(?=[{firsts}]){_branch(unique)}"


def _branch(words: Sequence[str]) -> str:
    optional = "" in words
    branches: list[str] = []
    for first, group in itertools.groupby(filter(None, words), key=lambda word: word[0]):
        branches.append(re.escape(first) + _branch([word[1:] for word in group]))
    if not branches:
        return ""
    if len(branches) == 1 and not optional:
        return branches[0]
    return f"(?:{'|'.join(branches)})" + ("?" if optional else "")


def spellings(phrase: str) -> list[str]:
    """「忽略(以上|之前)指令」 → both spellings; an empty choice, 「(的|)」, may be left out."""
    pieces = _CHOICE.split(phrase)
    if any(mark in piece for piece in pieces for mark in "()") or any(
        "|" in piece for piece in pieces[::2]
    ):
        raise ValueError(f"{phrase!r}: choices are written (a|b), not nested")
    choices = [piece.split("|") if at % 2 else [piece] for at, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_SPELLINGS:
        raise ValueError(f"{phrase!r} stands for {count} spellings, more than {MAX_SPELLINGS}")
    spelled = ["".join(parts) for parts in itertools.product(*choices)]
    if not all(map(letters, spelled)):
        raise ValueError(f"{phrase!r}: no letter or digit is left to compare")
    return spelled


def _spell_out(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for phrase in phrases for word in spellings(phrase)))


Phrases = Annotated[tuple[Phrase, ...], AfterValidator(_spell_out)]
"""Phrases of the file, read as all their spellings."""
