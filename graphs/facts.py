"""The ledger of a conversation: what was named in it, by whom and when; bounded.

Kept in the state instead of the words around it, each `Fact` as a plain list.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from domain.mentions import mentions
from domain.plain_words import TALKING

MAX_FACTS = 40
Rows = list[list[Any]]


class Fact(NamedTuple):
    """``value`` as written; ``turn``: the last one that named it; ``ours``: the customer never
    did; ``asked``: it was only asked about; ``alone``: nothing else was named beside it."""

    value: str
    turn: int
    ours: bool
    asked: bool
    alone: bool


_FEW_CHARS, _OLD_TURNS = 2, 8
_NUMBER = re.compile(r"[\d\- ]{7,}")
_CODED = re.compile(r"(?<![a-z0-9])[a-z]{1,8}[-_]?\d{5,}(?!\d)", re.IGNORECASE)
_SHORT_CODE = re.compile(r"(?<![a-z0-9.])[a-z]{1,3}-?\d{2,4}(?![a-z0-9.])", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"(?<![\d.-])\d{8,}(?!\d)")
# Weights of a logistic regression, rounded: what of a dialogue's names its next turn needs, on
# every second dialogue of 10 turns and more of CrossWOZ (docs/context.md).
_LATEST, _BEFORE_IT, _AGE = 2.0, 1.7, 2.0
_BY_CUSTOMER, _ASKED, _SHORT, _BRACKETS, _ALONE, _TALK = 0.45, -0.25, -1.4, 0.6, 0.75, -4.0
_CODE = 3.0
"""Not fitted: an order number is what the talk is about."""
_MODEL = 1.5
"""Not fitted: what an error code or a model is named with stays the matter of the talk."""
_ASKED_FOR = 4.5
"""Not fitted: who asks for a sum needs the amounts, who asks how long needs the times."""
_OUR_NUMBER = -2.8
"""A telephone number that we gave is seldom needed again; one that the customer gave may be."""


def noted(rows: Sequence[Sequence[Any]], text: str, turn: int, *, ours: bool) -> Rows:
    """``rows`` with the facts of ``text``, the newest last; the least needed fall off."""
    kept = {fact.value: fact for fact in facts_of(rows)}
    found = mentions(text)
    for one in found:
        old, alone = kept.pop(one.value, None), len(found) == 1
        fact = Fact(one.value, turn, ours, one.asked, alone)
        if old is not None:
            fact = fact._replace(ours=ours and old.ours, asked=one.asked and old.asked)
        kept[one.value] = fact
    return [list(fact) for fact in _most_needed(list(kept.values()), turn)]


def facts_of(rows: Sequence[Sequence[Any]]) -> list[Fact]:
    return [Fact(*row) for row in rows]


def _most_needed(facts: list[Fact], turn: int) -> list[Fact]:
    if len(facts) <= MAX_FACTS:
        return facts
    best = sorted(range(len(facts)), key=lambda at: -need(facts[at], turn))[:MAX_FACTS]
    return [facts[at] for at in sorted(best)]


_MEASURES = (
    (
        re.compile("多少钱|一共|总共|合计|总价|总计|价|费用|便宜|贵"),
        re.compile(r"\d ?(?:元|块|万|角)|[¥$] ?\d|\d折"),
    ),
    (
        re.compile("多久|几天|多长时间|什么时候|几点|几号|哪天|来得及"),
        re.compile(r"\d ?(?:天|日|号|小时|分钟|个月|周|年|点)|\d:\d"),
    ),
)


def asked_for(fact: Fact, question: str) -> float:
    """What ``question`` asks for by its measure."""
    return max(
        (
            _ASKED_FOR
            for asks, is_one in _MEASURES
            if asks.search(question) and is_one.search(fact.value)
        ),
        default=0.0,
    )


def codes_of(value: str) -> frozenset[str]:
    """Order numbers, serial numbers and the like."""
    return frozenset(_CODED.findall(value)) | frozenset(_LONG_NUMBER.findall(value))


def need(fact: Fact, turn: int) -> float:
    """How likely it is that what is said in ``turn`` leans on ``fact``: log odds, but for a
    constant."""
    age = max(0, turn - fact.turn - 1)
    fresh = {0: _LATEST, 1: _BEFORE_IT}.get(age, 0.0)
    aged = _AGE * min(age, _OLD_TURNS) / _OLD_TURNS
    return fresh - aged + _worth(fact.value, fact.ours, fact.asked, fact.alone)


@lru_cache(maxsize=4_096)
def _worth(value: str, ours: bool, asked: bool, alone: bool) -> float:
    """What does not change with time: each turn asks for all facts of its conversation."""
    score = _ASKED if asked else 0.0
    score += _ALONE if alone else 0.0
    score += _BRACKETS if "(" in value else 0.0
    score += _SHORT if len(value) <= _FEW_CHARS else 0.0
    score += _TALK * sum(char in TALKING for char in value) / len(value)
    score += _CODE if _CODED.search(value) else 0.0
    score += _MODEL if _SHORT_CODE.search(value) else 0.0
    if ours:
        return score + (_OUR_NUMBER if _NUMBER.fullmatch(value) else 0.0)
    return score + _BY_CUSTOMER + (_CODE if _LONG_NUMBER.search(value) else 0.0)
