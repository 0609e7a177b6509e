"""Which of the open orders a clause names: by number, by what it is or shows, by age. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.amendment_words import (
    AFTER_THAT,
    ALL,
    BEFORE_THAT,
    BY_ID,
    DIGITS,
    EARLIER,
    GRAMMAR,
    LEAD,
    NEWEST,
    NOT_A_NAME,
    NOUNS,
    NUMBERED,
    OBJECT,
    OLDEST,
    OTHER,
    PLACE,
    PRODUCTS,
    PUT_SOMEWHERE,
    TAKES_OBJECT,
    THAT,
    TOGETHER,
)
from domain.requirements import CONTENT, TEXT_OBJECTS, requirement_lines, topic_of
from domain.text import fold

_LONGEST_WORD = 6


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """``service``: as customers know it, e.g. 海报设计. ``words``: what else it may be called by:
    what its pictures show, keywords of its service. ``pictures``: how many it has. ``recent``: it
    was spoken of last; else the newest was."""

    id: int
    service: str
    requirement: str
    words: tuple[str, ...] = ()
    pictures: int = 1
    recent: bool = False

    def named_by(self, word: str) -> bool:
        return word in fold(" ".join((self.service, self.requirement, *self.words)))

    def is_about(self, word: str) -> bool:
        """Whether the work itself is called so, and not a part of it."""
        first = next(iter(requirement_lines(self.requirement)), "")
        return word in fold(" ".join((self.service, first, *self.words)))


@dataclass(frozen=True, slots=True)
class Meant:
    """``orders``: those that the words name; ``clause``: the words without the name. ``part``: the
    name is part of what is said, ``picture``: it is one picture of an order."""

    orders: tuple[OpenOrder, ...]
    clause: str
    noun: str = ""
    part: bool = False
    picture: bool = False


def meant_in(clause: str, orders: Sequence[OpenOrder]) -> Meant:
    folded = fold(clause)
    return (
        _by_id(folded, orders)
        or _by_number(clause, folded, orders)
        or _by_words(clause, folded, orders)
        or _by_age(folded, orders)
        or _by_first_word(folded, orders)
        or Meant((), clause)
    )


def _by_id(folded: str, orders: Sequence[OpenOrder]) -> Meant | None:
    match = BY_ID.search(folded)
    if match is None:
        return None
    named = int(next(part for part in match.groups() if part))
    found = tuple(order for order in orders if order.id == named)
    return Meant(found, without(folded, match)) if found else None


def _by_number(clause: str, folded: str, orders: Sequence[OpenOrder]) -> Meant | None:
    match = NUMBERED.search(folded)
    if match is None:
        return None
    written = match[1] or match[2]
    number = DIGITS.get(written) or int(written)
    several = [order for order in orders if order.pictures >= number and order.pictures > 1]
    if len(orders) == 1 and (several or number == 1):
        return Meant((orders[0],), without(folded, match), picture=bool(several))
    if 1 <= number <= len(orders):
        return Meant((orders[number - 1],), without(folded, match))
    return Meant(tuple(several), clause, picture=True) if len(several) == 1 else None


def _by_words(clause: str, folded: str, orders: Sequence[OpenOrder]) -> Meant | None:
    """「海报那张」, 「那张全家福」, 「logo的字」; words that name all orders name none."""
    named = [
        Meant(found, folded[:start] + folded[end:], noun=word, part=part)
        for word, start, end, part in _names(folded)
        if (found := tuple(order for order in orders if order.named_by(word)))
        and (len(found) < len(orders) or len(orders) == 1)
    ]
    if not named:
        return None
    single = {meant.orders[0].id: meant.orders[0] for meant in named if len(meant.orders) == 1}
    if len(single) > 1 and TOGETHER.search(folded):
        return Meant(tuple(single.values()), clause, part=True)
    return named[0]


def _names(folded: str) -> Iterable[tuple[str, int, int, bool]]:
    """(word, from, to, whether it is part of what is said)."""
    for that in THAT.finditer(folded):
        if before := BEFORE_THAT.search(folded[: that.start()].removesuffix("的")):
            for start in range(len(before[1]) - 1):
                if (word := before[1][start:]) not in NOT_A_NAME:
                    yield word, before.start(1) + start, that.end(), False
        if after := AFTER_THAT.match(folded, that.end()):
            inside = LEAD.sub("", folded[: that.start()]) not in ("", "把", "将")
            for length in range(len(after[1]), 1, -1):
                if _may_name(word := after[1][:length]):
                    yield word, that.start(), after.start(1) + length, inside
    for noun in NOUNS:
        at = folded.find(noun)
        if at >= 0 and _is_name(folded[:at], folded[at + len(noun) :]):
            yield noun, at, at + len(noun), True


def _is_name(before: str, after: str) -> bool:
    if OBJECT.search(before) and PUT_SOMEWHERE.match(after):
        return False
    return PLACE.search(before) is not None or not TAKES_OBJECT.search(before)


def names_another(clause: str, orders: Sequence[OpenOrder]) -> bool:
    """Whether ``clause`` is about a product that none of ``orders`` is for."""
    folded = fold(clause)
    found = (word for word in PRODUCTS if word in folded)
    return any(
        _is_name(*folded.split(word, 1)) and not any(order.named_by(word) for order in orders)
        for word in found
    )


def _may_name(word: str) -> bool:
    """「那张背景换掉」 says nothing of which one."""
    topic = topic_of(word)
    return word not in NOT_A_NAME and topic.aspect == CONTENT and not topic.objects & TEXT_OBJECTS


def _by_age(folded: str, orders: Sequence[OpenOrder]) -> Meant | None:
    two = len(orders) == 2
    for pattern, found in (
        (ALL, tuple(orders)),
        (EARLIER, (orders[0],) if two else ()),
        (OTHER, _others(orders) if two else ()),
        (OLDEST, (orders[0],)),
        (NEWEST, (orders[-1],)),
    ):
        match = pattern.search(folded)
        if match and found:
            return Meant(found, without(folded, match), part=pattern is ALL and len(orders) == 1)
    return None


def _others(orders: Sequence[OpenOrder]) -> tuple[OpenOrder, ...]:
    recent = next((order for order in orders if order.recent), orders[-1])
    return tuple(order for order in orders if order is not recent)


def _by_first_word(folded: str, orders: Sequence[OpenOrder]) -> Meant | None:
    """「奶茶店的改成粉色」: a word of one order alone, in front."""
    lead = LEAD.match(folded)
    at = lead.end() if lead else 0
    for length in range(_LONGEST_WORD, 1, -1):
        word = folded[at : at + length]
        if len(word) < length or not GRAMMAR.isdisjoint(word) or not _may_name(word):
            continue
        found = tuple(order for order in orders if order.named_by(word))
        if len(found) == 1 and len(orders) > 1:
            rest = folded[at + length :].removeprefix("的")
            return Meant(found, folded[:at] + rest, noun=word, part=True)
    return None


def without(folded: str, match: re.Match[str]) -> str:
    return folded[: match.start()] + folded[match.end() :]
