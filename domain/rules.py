"""Rules that decide without a model: sensitive words, complaints, human requests, blacklist.

Words are compared over normalised text: width and case do not count, and neither do spaces and
punctuation pushed between Chinese characters (「投-诉」). A word in Latin letters or digits must
stand alone, so that 「12315」 is not found in an order number.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from domain.errors import ConfigurationError
from domain.rule_triggers import Fired, Occasion, Trigger, TriggerBook
from domain.rule_words import Phrases, Strict, Words
from domain.text import clean, fold, letters

Priority = Literal["high", "normal"]
RuleAction = Literal["handoff", "flag"]
MAX_TRIGGERS = 500
MAX_FILE_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class RuleHit:
    """``word``: the entry's spelling that was found; a contact id for the blacklist. ``rule``: the
    entry's id, where it has one."""

    category: str
    word: str
    priority: Priority
    action: RuleAction
    rule: str = ""


class RuleEntry(Strict):
    """One block of the rules file. ``whole``: words that count only as the entire message;
    ``exceptions``: innocent words that contain one of ``words``.
    """

    category: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    action: RuleAction
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = ""
    enabled: bool = True
    priority: Priority = "normal"
    words: Phrases = ()
    whole: Phrases = ()
    exceptions: Phrases = ()


class Blacklist(Strict):
    """Contacts served by a person only, whatever they write."""

    action: RuleAction = "handoff"
    priority: Priority = "normal"
    contacts: frozenset[str] = frozenset()


class RulesFile(Strict):
    """``holidays``: days on which the hours of triggers do not hold; ``worked``: weekends that are
    worked, with Monday's hours."""

    rules: Annotated[tuple[RuleEntry, ...], Field(min_length=1)]
    blacklist: Blacklist = Blacklist()
    triggers: Annotated[tuple[Trigger, ...], Field(max_length=MAX_TRIGGERS)] = ()
    holidays: Annotated[tuple[date, ...], Field(max_length=400)] = ()
    worked: Annotated[tuple[date, ...], Field(max_length=400)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        given = [one.id for one in self.rules if one.id] + [one.id for one in self.triggers]
        twice = [name for name, times in Counter(given).items() if times > 1]
        if twice:
            raise ValueError(f"the id {twice[0]!r} is used twice")
        return self


class RuleSet:
    """Compiled rules. The first entry of the file that is found decides; one that hands over
    goes before the blacklist, one that only flags after it.
    """

    def __init__(self, rules: RulesFile) -> None:
        self.file = rules
        self.fingerprint = ""
        self._blacklist = rules.blacklist
        used = [entry for entry in rules.rules if entry.enabled]
        self._entries = [_CompiledEntry(entry) for entry in used]
        spellings = [word for entry in used for word in entry.words]
        self._whole = {letters(word) for entry in used for word in entry.whole}
        self._triggers = TriggerBook(
            rules.triggers, closed=frozenset(rules.holidays), worked=frozenset(rules.worked)
        )
        self._any_word = Words(spellings)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Rules from YAML; raises ConfigurationError that names the wrong key."""
        if len(text) > MAX_FILE_CHARS:
            raise ConfigurationError(
                "rules", f"{len(text)} characters", f"at most {MAX_FILE_CHARS}"
            )
        try:
            content = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigurationError("rules", _one_line(error), "a YAML mapping") from error
        try:
            found = cls(RulesFile.model_validate(content))
        except ValidationError as error:
            raise _as_configuration_error(error) from error
        found.fingerprint = fingerprint(text)
        return found

    def fired(
        self, occasion: Occasion, paused: Mapping[str, float] | None = None
    ) -> tuple[Fired, ...]:
        """Triggers that act on a message, in the order in which they do; ``paused``: until when
        some of them rest in this conversation."""
        return self._triggers.fired(occasion, paused or {})

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
        self._words = Words(entry.words)
        self._exceptions = Words(entry.exceptions)
        self._whole = {letters(word): word for word in entry.whole}

    def match(self, folded: str, joined: str) -> RuleHit | None:
        word = self._whole.get(joined)
        if word is None and self._words.search(folded, joined):
            word = self._words.search(*self._exceptions.blank(folded, joined))
        if word is None:
            return None
        entry = self._entry
        return RuleHit(entry.category, word, entry.priority, entry.action, entry.id)


def fingerprint(text: str) -> str:
    """Of a file's content: what has another one is another version."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _as_configuration_error(error: ValidationError) -> ConfigurationError:
    first: Any = error.errors(include_url=False)[0]
    key = ".".join(["rules.yaml", *map(str, first["loc"])])
    return ConfigurationError(key, first["msg"], "an entry as in engine/defaults/rules.yaml")
