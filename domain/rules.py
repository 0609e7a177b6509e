"""Rules that decide without a model: sensitive words, complaints, human requests, blacklist.

Words are compared over normalised text: width and case do not count, and neither do spaces and
punctuation pushed between Chinese characters (「投-诉」). A word in Latin letters or digits must
stand alone, so that 「12315」 is not found in an order number.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from domain.errors import ConfigurationError
from domain.text import clean, fold, letters

Priority = Literal["high", "normal"]
RuleAction = Literal["handoff", "flag"]

MAX_SPELLINGS = 2_500
"""How many spellings one entry with choices, 「(a|b)(c|d)」, may stand for."""

_CHOICE = re.compile(r"\(([^()]*)\)")
_LATIN = re.compile(r"[\x00-\x7f]+")
_LATIN_PART = re.compile(r"[a-z0-9]+")
_LATIN_GAP = r"[\W_]{1,4}"
_BLANK = "\n"


@dataclass(frozen=True, slots=True)
class RuleHit:
    """``word``: the entry's spelling that was found; a contact id for the blacklist."""

    category: str
    word: str
    priority: Priority
    action: RuleAction


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Phrase = Annotated[str, Field(min_length=1, max_length=400)]


class RuleEntry(_Strict):
    """One block of the rules file. ``whole``: words that count only as the entire message;
    ``exceptions``: innocent words that contain one of ``words``.
    """

    category: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    action: RuleAction
    priority: Priority = "normal"
    words: tuple[Phrase, ...] = ()
    whole: tuple[Phrase, ...] = ()
    exceptions: tuple[Phrase, ...] = ()

    @field_validator("words", "whole", "exceptions")
    @classmethod
    def _spell_out(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for phrase in phrases for word in _spellings(phrase)))


class Blacklist(_Strict):
    """Contacts served by a person only, whatever they write."""

    action: RuleAction = "handoff"
    priority: Priority = "normal"
    contacts: frozenset[str] = frozenset()


class RulesFile(_Strict):
    rules: Annotated[tuple[RuleEntry, ...], Field(min_length=1)]
    blacklist: Blacklist = Blacklist()


class RuleSet:
    """Compiled rules. The first entry of the file that is found decides; one that hands over
    goes before the blacklist, one that only flags after it.
    """

    def __init__(self, rules: RulesFile) -> None:
        self._blacklist = rules.blacklist
        self._entries = [_CompiledEntry(entry) for entry in rules.rules]
        spellings = [word for entry in rules.rules for word in entry.words]
        self._whole = {letters(word) for entry in rules.rules for word in entry.whole}
        self._any_word = _Words(spellings)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Rules from YAML; raises ConfigurationError that names the wrong key."""
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError("rules", _one_line(error), "a YAML mapping") from error
        try:
            return cls(RulesFile.model_validate(content))
        except ValidationError as error:
            raise _as_configuration_error(error) from error

    def match(self, text: str, *, contact_id: str = "") -> RuleHit | None:
        hit = self._find(text)
        if hit is not None and hit.action == "handoff":
            return hit
        if contact_id and contact_id in self._blacklist.contacts:
            listed = self._blacklist
            return RuleHit("blacklist", contact_id, listed.priority, listed.action)
        return hit

    def _find(self, text: str) -> RuleHit | None:
        folded = fold(clean(text))
        joined = letters(folded)
        # Nearly every message ends here, after one look.
        if joined not in self._whole and self._any_word.search(folded, joined) is None:
            return None
        hits = (entry.match(folded, joined) for entry in self._entries)
        return next((hit for hit in hits if hit is not None), None)


class _CompiledEntry:
    def __init__(self, entry: RuleEntry) -> None:
        self._entry = entry
        self._words = _Words(entry.words)
        self._exceptions = _Words(entry.exceptions)
        self._whole = {letters(word): word for word in entry.whole}

    def match(self, folded: str, joined: str) -> RuleHit | None:
        word = self._whole.get(joined)
        if word is None and self._words.search(folded, joined):
            word = self._words.search(*self._exceptions.blank(folded, joined))
        if word is None:
            return None
        return RuleHit(self._entry.category, word, self._entry.priority, self._entry.action)


class _Words:
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


def _spellings(phrase: str) -> list[str]:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _as_configuration_error(error: ValidationError) -> ConfigurationError:
    first: Any = error.errors(include_url=False)[0]
    key = ".".join(["rules.yaml", *map(str, first["loc"])])
    return ConfigurationError(key, first["msg"], "an entry as in engine/defaults/rules.yaml")
