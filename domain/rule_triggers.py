"""Triggers of the rules file: on what they act, for whom and when, and what they do. Pure.

The words of all triggers are looked for in one pass; what else a trigger asks for is compared for
those whose words are in the message, and for those that ask for no words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Literal, Self

from ahocorasick_rs import AhoCorasick
from pydantic import AfterValidator, Field, JsonValue, model_validator

from domain import rule_fields
from domain.decisions import CustomerFacts
from domain.desk_hours import Hours, parse_hours
from domain.intents import Intent, Sentiment
from domain.patterns import Pattern
from domain.rule_words import Phrases, Strict, Words
from domain.text import clean, fold, letters

MAX_READ_CHARS = 2_000
MAX_FIRED = 10
"""Triggers that act on one message."""
SURE = 0.6
Stage = Literal["presale", "aftersale", "any"]
Level = Literal["white", "gray", "black"]
CustomerState = Literal["new", "potential", "deal", "repurchase", "churn"]
Tag = Annotated[str, Field(min_length=1, max_length=32)]
Line = Annotated[str, Field(min_length=1, max_length=60)]


def _weekly(text: str) -> str:
    parse_hours(text)
    return text


class OfText(Strict):
    """One of ``words``, or a message that is one of ``whole``, or ``pattern``; and of each group
    of ``all`` one word; ``exceptions`` as in the words that decide."""

    words: Phrases = ()
    whole: Phrases = ()
    pattern: Pattern = ""
    all: Annotated[tuple[Phrases, ...], Field(max_length=8)] = ()
    exceptions: Phrases = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.words or self.whole or self.pattern or self.all):
            raise ValueError("needs words, whole, pattern or all")
        if not all(self.all):
            raise ValueError("a group of all is empty")
        return self


class Span(Strict):
    """Both ends count; None: no end."""

    min: int | None = None
    max: int | None = None

    def holds(self, number: int) -> bool:
        low, high = self.min, self.max
        return (low is None or number >= low) and (high is None or number <= high)


class OfCustomer(Strict):
    """``tags``: has one of them; ``without_tags``: has none of them."""

    levels: frozenset[Level] = frozenset()
    states: frozenset[CustomerState] = frozenset()
    tags: frozenset[Tag] = frozenset()
    without_tags: frozenset[Tag] = frozenset()
    score: Span = Span()
    messages: Span = Span()
    contacts: frozenset[str] = frozenset()


class OfTime(Strict):
    """``hours`` as those of the desk, `domain.desk_hours.parse_hours`; ``outside``: whenever it is
    not within them. ``since`` and ``until``: days, both count."""

    hours: Annotated[str, Field(max_length=400), AfterValidator(_weekly)] = ""
    outside: bool = False
    holidays: Literal["any", "only", "never"] = "any"
    since: date | None = None
    until: date | None = None


class When(Strict):
    """Whatever is given must hold. ``channels``: ``channel`` or ``channel:account``."""

    text: OfText | None = None
    intents: frozenset[Intent] = frozenset()
    sentiments: frozenset[Sentiment] = frozenset()
    upset: Annotated[int, Field(ge=0, le=20)] = 0
    customer: OfCustomer = OfCustomer()
    time: OfTime = OfTime()
    channels: frozenset[str] = frozenset()


class Step(Strict):
    """One thing that a trigger does: exactly one of these."""

    tool: Annotated[str, Field(max_length=64)] = ""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    tag: Annotated[tuple[Tag, ...], Field(max_length=10)] = ()
    flag: Annotated[str, Field(max_length=60)] = ""
    priority: Literal["", "high"] = ""
    handoff: Literal["", "normal", "high"] = ""
    reply: Annotated[str, Field(max_length=1_000)] = ""
    template: Annotated[str, Field(max_length=64)] = ""

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(1 for name in KINDS if getattr(self, name)) != 1:
            raise ValueError("needs exactly one of " + ", ".join(KINDS))
        if self.arguments and not self.tool:
            raise ValueError("only a tool takes arguments")
        rule_fields.checked({**self.arguments, **({"reply": self.reply} if self.reply else {})})
        return self

    @property
    def kind(self) -> str:
        return next(name for name in KINDS if getattr(self, name))


KINDS = ("tool", "tag", "flag", "priority", "handoff", "reply", "template")


class Trigger(Strict):
    """``priority``: the highest first, then as in the file. ``stop``: none behind it acts.
    ``pause_minutes``: for so long it does not act again in the same conversation."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    name: Line
    when: When
    then: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)]
    stage: Stage = "any"
    enabled: bool = True
    priority: Annotated[int, Field(ge=0, le=1_000)] = 100
    stop: bool = False
    pause_minutes: Annotated[int, Field(ge=0, le=43_200)] = 0

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.when == When():
            raise ValueError("when is empty: it would act on every message")
        return self


@dataclass(frozen=True)
class Occasion:
    """A message and what is known when it comes. ``upset``: how many messages in a row, with this
    one, were negative; ``at``: in the service's time zone, ``now`` in seconds."""

    text: str
    intent: Intent
    intent_confidence: float
    sentiment: Sentiment
    at: datetime
    upset: int = 0
    customer: CustomerFacts = field(default_factory=CustomerFacts)
    channel: str = ""
    account: str = ""

    @property
    def now(self) -> float:
        return self.at.timestamp()

    @cached_property
    def folded(self) -> str:
        return fold(clean(self.text[:MAX_READ_CHARS]))

    @cached_property
    def joined(self) -> str:
        return letters(self.folded)


@dataclass(frozen=True, slots=True)
class Fired:
    """``word``: what was found of the trigger's words; empty where it asks for none."""

    trigger: Trigger
    word: str = ""


class TriggerBook:
    """Compiled triggers; those that are switched off are left out."""

    def __init__(
        self,
        triggers: Sequence[Trigger],
        *,
        closed: frozenset[date] = frozenset(),
        worked: frozenset[date] = frozenset(),
    ) -> None:
        used = sorted((one for one in triggers if one.enabled), key=lambda one: -one.priority)
        self._used = [_Compiled(one, closed, worked) for one in used]
        self._always = [at for at, one in enumerate(self._used) if not one.keys]
        owners: dict[str, list[int]] = {}
        for at, one in enumerate(self._used):
            for key in one.keys:
                owners.setdefault(key, []).append(at)
        self._owners = list(owners.values())
        self._automaton = AhoCorasick(list(owners)) if owners else None

    def fired(self, occasion: Occasion, paused: Mapping[str, float]) -> tuple[Fired, ...]:
        found: list[Fired] = []
        for at in sorted(self._candidates(occasion)):
            one = self._used[at]
            if paused.get(one.trigger.id, 0.0) > occasion.now:
                continue
            hit = one.match(occasion)
            if hit is None:
                continue
            found.append(hit)
            if one.trigger.stop or len(found) == MAX_FIRED:
                break
        return tuple(found)

    def _candidates(self, occasion: Occasion) -> set[int]:
        found = set(self._always)
        if self._automaton is not None:
            hits = self._automaton.find_matches_as_indexes(occasion.joined, overlapping=True)
            for key in {index for index, _, _ in hits}:
                found.update(self._owners[key])
        return found


class _Compiled:
    def __init__(self, trigger: Trigger, closed: frozenset[date], worked: frozenset[date]) -> None:
        self.trigger = trigger
        asked = trigger.when.text
        self._text = _Text(asked) if asked is not None else None
        self.keys = self._text.keys if self._text is not None else frozenset()
        time = trigger.when.time
        self._hours = Hours(parse_hours(time.hours), closed, worked) if time.hours else None
        self._closed = closed

    def match(self, occasion: Occasion) -> Fired | None:
        when = self.trigger.when
        holds = (
            _is_there(occasion, when.channels)
            and (not when.sentiments or occasion.sentiment in when.sentiments)
            and occasion.upset >= when.upset
            and _is_meant(occasion, when.intents)
            and _is_whom(occasion.customer, when.customer)
            and self._is_time(occasion.at)
        )
        if not holds:
            return None
        word = self._text.find(occasion) if self._text is not None else ""
        return Fired(self.trigger, word) if word is not None else None

    def _is_time(self, at: datetime) -> bool:
        time, day = self.trigger.when.time, at.date()
        if (time.since and day < time.since) or (time.until and day > time.until):
            return False
        if time.holidays != "any" and (day in self._closed) != (time.holidays == "only"):
            return False
        return self._hours is None or self._hours.is_open(at) != time.outside


class _Text:
    """``keys``: a message without one of these cannot be meant; empty: each may be."""

    def __init__(self, asked: OfText) -> None:
        self._words, self._exceptions = Words(asked.words), Words(asked.exceptions)
        self._whole = {letters(word): word for word in asked.whole}
        self._pattern = re.compile(asked.pattern, re.IGNORECASE) if asked.pattern else None
        self._groups = [Words(group) for group in asked.all]
        self._needs_one = bool(asked.words or asked.whole or asked.pattern)
        self.keys = frozenset(self._first_keys(asked))

    def _first_keys(self, asked: OfText) -> Iterator[str]:
        if self._pattern is None and self._needs_one:
            yield from (letters(word) for word in (*asked.words, *asked.whole))
        elif asked.all:
            yield from (letters(word) for word in min(asked.all, key=len))

    def find(self, occasion: Occasion) -> str | None:
        folded, joined = self._exceptions.blank(occasion.folded, occasion.joined)
        found = self._one(occasion, folded, joined) if self._needs_one else ""
        if found is None:
            return None
        for group in self._groups:
            word = group.search(folded, joined)
            if word is None:
                return None
            found = found or word
        return found

    def _one(self, occasion: Occasion, folded: str, joined: str) -> str | None:
        word = self._whole.get(occasion.joined) or self._words.search(folded, joined)
        if word is None and self._pattern is not None:
            hit = self._pattern.search(folded)
            return hit[0][:60] if hit else None
        return word


def _is_there(occasion: Occasion, channels: frozenset[str]) -> bool:
    place = f"{occasion.channel}:{occasion.account}"
    return not channels or occasion.channel in channels or place in channels


def _is_meant(occasion: Occasion, intents: frozenset[Intent]) -> bool:
    return not intents or (occasion.intent in intents and occasion.intent_confidence >= SURE)


def _is_whom(who: CustomerFacts, asked: OfCustomer) -> bool:
    return (
        (not asked.levels or who.level in asked.levels)
        and (not asked.states or who.state in asked.states)
        and (not asked.contacts or who.contact_id in asked.contacts)
        and (not asked.tags or not asked.tags.isdisjoint(who.tags))
        and asked.without_tags.isdisjoint(who.tags)
        and asked.score.holds(who.score)
        and asked.messages.holds(who.total_messages)
    )
