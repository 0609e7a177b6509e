"""What a later message changes of the open orders, and of which one. Pure: words in, changes out.

A message is read clause by clause. A clause names an order (「第二张」, 「海报那张」) or takes the
one that the clause before it named; else the only open order, else the only one that it fits.
Where several fit nothing is guessed: the customer is asked.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from domain import amendment_words as words
from domain.order_names import Meant, meant_in, names_another, without
from domain.order_names import OpenOrder as OpenOrder
from domain.orders import Amendment, ChangeKind
from domain.requirements import (
    CONTENT,
    DEADLINE,
    DEADLINE_WORDS,
    RUSH,
    RUSH_WORDS,
    clauses_of,
    requirement_lines,
    same_thing,
    says_of_work,
    topic_of,
)
from domain.text import fold, letters

MAX_CLAUSES = 20
MAX_READ_CHARS = 600
"""Whoever writes more than that changes no order in passing: a person reads it."""


@dataclass(frozen=True, slots=True)
class Change:
    order: OpenOrder
    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Amended:
    """``changes`` in the order of the message; of one order or several. ``rest``: what else the
    message wants, a question or a new order."""

    changes: tuple[Change, ...]
    rest: str = ""

    def by_order(self) -> dict[int, list[Amendment]]:
        found: dict[int, list[Amendment]] = {}
        for change in self.changes:
            found.setdefault(change.order.id, []).append(change.amendment)
        return found


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """``amendments`` are clear, which of ``candidates`` they are for is not. Kept by the caller as
    ``pending`` for the customer's answer."""

    candidates: tuple[OpenOrder, ...]
    amendments: tuple[Amendment, ...]


def amendment_of(
    text: str,
    open_orders: Sequence[OpenOrder],
    *,
    has_picture: bool = False,
    pending: Sequence[Amendment] = (),
) -> Amended | Ambiguous | None:
    """``open_orders`` as we listed them, the oldest first. ``has_picture``: one came
    with the message. ``pending``: of the `Ambiguous` that we have just asked about. None: the
    message changes no order (a question, thanks, a new order)."""
    if not open_orders or len(text) > MAX_READ_CHARS:
        return None
    clauses = clauses_of(text)[:MAX_CLAUSES]
    if pending and (chosen := _chosen(clauses, open_orders)):
        return Amended(tuple(Change(order, one) for order in chosen for one in pending))
    clauses, new = _without_new_orders(clauses)
    if has_picture and not _speaks_of_earlier(clauses, open_orders):
        return None
    heard = _heard(clauses, open_orders)
    rest = ",".join((*heard.asked, *new))
    return _decided(heard.read, open_orders, rest) if heard.read else None


def choice_of(text: str, candidates: Sequence[OpenOrder]) -> tuple[OpenOrder, ...]:
    """Which of ``candidates`` an answer to «which one?» means: 「第二个」, 「海报那张」,
    「两个都要」; none where it says something else."""
    return _chosen(clauses_of(text)[:MAX_CLAUSES], candidates)


# One clause


@dataclass(frozen=True, slots=True)
class _Read:
    kind: ChangeKind
    requirement: str
    meant: Meant | None


@dataclass(slots=True)
class _Heard:
    read: list[_Read] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def _heard(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> _Heard:
    heard, named = _Heard(), None
    # 「算了」 alone calls nothing off: before a change it is no more than a change of mind.
    said = [one for one in clauses if not words.NEVER_MIND.fullmatch(letters(one))]
    for original in _with_their_corrections(said):
        meant = meant_in(original, orders)
        kind = None if names_another(original, orders) else _kind(meant, original, orders)
        if kind is not None:
            named = meant if meant.orders else named
            heard.read.append(_Read(kind, _requirement(original, meant), named))
        elif _is_question(original, meant) or names_another(original, orders):
            heard.asked += [words.LEAD.sub("", original)] if says_of_work(original) else []
        elif heard.read and _is_content(original, heard.read[-1]):
            last = heard.read[-1]
            heard.read[-1] = replace(last, requirement=f"{last.requirement} {original}")
        elif meant.orders:
            named = meant
    return _with_its_reasons(heard, said)


def _with_its_reasons(heard: _Heard, said: Sequence[str]) -> _Heard:
    """「路人还在，再修下」: what is to be done is what the other clauses say."""
    vague = [one for one in heard.read if words.VAGUE.fullmatch(letters(one.requirement))]
    if len(vague) < len(heard.read):
        heard.read = [one for one in heard.read if one not in vague]
        return heard
    if not vague:
        return heard
    told = [one for one in said if not words.is_made_of(words.NOTHING, letters(one))]
    plain = [letters(_plain(fold(one))) for one in told]
    if all(words.VAGUE.fullmatch(one) or words.DISCONTENT.fullmatch(one) for one in plain):
        # What is to be done is not said at all: that is `domain.order_talk`'s.
        heard.read = []
        return heard
    heard.read = [replace(vague[0], requirement=" ".join(told))]
    return heard


def _with_their_corrections(clauses: Sequence[str]) -> Iterator[str]:
    """「电话错了，是139」 is said in one."""
    wrong = ""
    for clause in clauses:
        if wrong and words.RIGHT.match(fold(clause)):
            yield f"{wrong} {clause}"
            wrong = ""
            continue
        if wrong:
            yield wrong
        wrong = clause if words.WRONG.fullmatch(letters(clause)) else ""
        if not wrong:
            yield clause
    if wrong:
        yield wrong


def _is_content(clause: str, last: _Read) -> bool:
    """What the line is to say that was announced just before."""
    if last.kind not in (ChangeKind.ADD, ChangeKind.CHANGE):
        return False
    announced = last.requirement.split(" ")[0]
    nothing = words.is_made_of(words.NOTHING, letters(clause)) or not letters(clause)
    return not nothing and words.OPEN_END.search(fold(announced)) is not None


def _kind(meant: Meant, original: str, orders: Sequence[OpenOrder]) -> ChangeKind | None:
    kind = _kind_of(meant, fold(meant.clause), original, orders)
    if kind is None and meant.part:
        # 「再精修一下」 of an order for it: the name is what is to be done.
        return _kind_of(meant, fold(original), original, orders)
    return kind


def _kind_of(
    meant: Meant, clause: str, original: str, orders: Sequence[OpenOrder]
) -> ChangeKind | None:
    folded, plain = fold(original), _plain(clause)
    bare = letters(plain)
    if _is_permission(meant, folded) or words.ELSEWHERE.search(folded):
        return None
    if words.CANCEL.fullmatch(_bare(bare)) or (meant.noun and words.CANCELLED.search(bare)):
        return ChangeKind.CANCEL
    if meant.orders and words.POINTS_OUT.fullmatch(bare):
        return ChangeKind.CHANGE
    if not bare or words.is_made_of(words.NOTHING, bare):
        return None
    if _asks(folded) or words.LEFT_ALONE.fullmatch(bare):
        return None
    if words.REST_STAYS.search(plain) or words.NOT_TOO.search(plain):
        return ChangeKind.CHANGE
    if words.NEGATED.search(plain) or words.NO_HURRY.search(plain):
        return _withdrawal(plain, orders)
    return _addition_or_change(folded, plain) or _of_the_named(meant, folded, plain)


def _plain(folded: str) -> str:
    return words.TAIL.sub("", words.LEAD.sub("", words.A_BIT.sub("一点", folded), count=1))


def _is_permission(meant: Meant, folded: str) -> bool:
    """「第一张可以加急吗」: whether it might, and for how much, is not that it shall."""
    return any(
        words.MAY_I.fullmatch(letters(words.POINTS.sub("", one)))
        for one in (folded, fold(meant.clause))
    )


def _bare(clause: str) -> str:
    """Without what a cancellation may be said of."""
    left = words.POINTS.sub("", clause)
    return re.sub(
        r"订单|单子|任务|全部|全|我[要想]|我|就|也|还是|都|先(?!不)|这次|图片|(?<!不)图(?!片)",
        "",
        left,
    )


def _asks(folded: str) -> bool:
    if words.ASKS_TERMS.search(folded):
        return True
    return words.ASKS.search(folded) is not None and not re.search(r"[改换]成|[改换]为", folded)


def _is_question(original: str, meant: Meant) -> bool:
    """Or what a person has to answer."""
    folded = fold(original)
    said = letters(_plain(folded))
    if not said:
        return False
    asks = words.ASKS_TERMS.search(folded) or words.ASKS.search(folded)
    marked = re.search(r"[吗么?]$", folded) and not words.is_made_of(words.NOTHING, said)
    person = words.FOR_A_PERSON.search(folded)
    return bool(asks or marked or person) or _is_permission(meant, folded)


def _withdrawal(plain: str, orders: Sequence[OpenOrder]) -> ChangeKind | None:
    if not RUSH_WORDS.search(plain) and not words.NO_HURRY.search(plain):
        return ChangeKind.WITHDRAW
    # 「不着急」 is politeness where nobody was in a hurry.
    hurried = any(RUSH_WORDS.search(fold(order.requirement)) for order in orders)
    return ChangeKind.WITHDRAW if hurried else None


def _addition_or_change(folded: str, plain: str) -> ChangeKind | None:
    topic = topic_of(plain)
    more = words.MORE.search(folded) is not None
    handles = words.HANDLES.search(plain) is not None
    if topic.aspect == RUSH:
        return ChangeKind.ADD
    if topic.aspect == DEADLINE and DEADLINE_WORDS.search(plain):
        wanted = re.search(r"要(?:用|的|图|拿|到|好)?了?$|给我|发我|交|之?前|改|完成", plain)
        return ChangeKind.CHANGE if wanted else None
    wish = words.WISH if topic.aspect != CONTENT else words.SAYS_WHAT
    sets = words.SETS.search(plain) or (topic.known and wish.search(plain))
    if words.WITHOUT.search(plain) and (
        topic.known or more or handles or words.TAKEN_AWAY.search(plain)
    ):
        return ChangeKind.ADD if more else ChangeKind.CHANGE
    if sets or words.BETTER.search(plain) or words.CORRECTS.search(plain):
        return ChangeKind.ADD if more and not words.SAYS_ANEW.search(plain) else ChangeKind.CHANGE
    if words.A_LITTLE.search(plain) and topic.known:
        return ChangeKind.ADD
    if words.IMPERATIVE.search(plain) and (topic.known or more or handles):
        return ChangeKind.ADD
    # 「透明底」, 「png格式」: the wish itself.
    named = topic.aspect not in (CONTENT, RUSH, DEADLINE) and len(letters(plain)) <= 10
    return ChangeKind.CHANGE if named and not words.JUDGES.search(plain) else None


def _of_the_named(meant: Meant, folded: str, plain: str) -> ChangeKind | None:
    asked = folded.endswith(("吗", "么", "?"))
    wants = meant.orders and words.OF_THE_NAMED.fullmatch(plain) and not asked
    return ChangeKind.CHANGE if wants else None


def _requirement(original: str, meant: Meant) -> str:
    """The customer's words without what leads to them; what tells pictures apart stays."""
    said = original if meant.picture or not meant.orders or meant.part else meant.clause
    plain = words.TAIL.sub("", said.strip())
    lead = words.LEAD.match(plain)
    cut = plain[lead.end() :] if lead else plain
    cut = re.sub(r"^(把|将)?的", r"\1", cut.strip(" ,，:："))
    cut = re.sub(r"^[把将](?=改|换|做|弄|调|加)", "", cut)
    return cut if letters(cut) else original.strip()


# An answer to «which one?»


def _chosen(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> tuple[OpenOrder, ...]:
    """Of an answer that names orders and says nothing else."""
    for clause in clauses:
        folded = fold(clause)
        number = words.NUMBER_ALONE.fullmatch(letters(words.TAIL.sub("", folded)))
        if number:
            at = words.DIGITS.get(number[1]) or int(number[1])
            return (orders[at - 1],) if 1 <= at <= len(orders) else ()
        meant = meant_in(clause, orders)
        left = letters(_plain(fold(meant.clause)))
        if meant.orders and words.is_made_of(words.CHOOSES, re.sub(r"[图那这张个]", "", left)):
            return meant.orders
    return ()


# The whole message


def _without_new_orders(clauses: Sequence[str]) -> tuple[list[str], list[str]]:
    for at, clause in enumerate(clauses):
        folded = fold(clause)
        new = words.NEW.search(folded)
        if new and not words.ALL.search(folded) and not words.OTHER.search(without(folded, new)):
            return list(clauses[:at]), list(clauses[at:])
    return list(clauses), []


def _speaks_of_earlier(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> bool:
    """A picture that comes with words is a new order's, unless they say otherwise; 「这张老照片」
    is the one that came."""
    for clause in clauses:
        folded = fold(clause)
        if words.MATERIAL.search(folded):
            return True
        meant = meant_in(clause, orders)
        if meant.orders and (not meant.part or not re.search(r"这[张个幅款些]", folded)):
            return True
    return False


def _decided(found: Sequence[_Read], orders: Sequence[OpenOrder], rest: str) -> Amended | Ambiguous:
    changes: list[Change] = []
    for read in found:
        amendment = Amendment(read.kind, read.requirement, _position(read.meant, orders))
        chosen = _orders_for(read, amendment, orders)
        if not chosen:
            fitting = _fitting(amendment, orders)
            wanted = tuple(Amendment(one.kind, one.requirement) for one in found)
            return Ambiguous(tuple(fitting if len(fitting) > 1 else orders), wanted)
        for order in chosen:
            changes.append(Change(order, _settled(amendment, order, read.meant)))
    return Amended(tuple(changes), rest)


def _position(meant: Meant | None, orders: Sequence[OpenOrder]) -> int | None:
    if meant is None or len(meant.orders) != 1 or len(orders) == 1:
        return None
    return list(orders).index(meant.orders[0]) + 1


def _orders_for(
    read: _Read, amendment: Amendment, orders: Sequence[OpenOrder]
) -> tuple[OpenOrder, ...]:
    meant = read.meant
    if meant is not None and (len(meant.orders) == 1 or (meant.orders and not meant.noun)):
        return meant.orders
    among = meant.orders if meant is not None else tuple(orders)
    if len(among) == 1:
        return tuple(among)
    fitting = _fitting(amendment, among)
    return tuple(fitting) if len(fitting) == 1 else ()


def _fitting(amendment: Amendment, orders: Sequence[OpenOrder]) -> list[OpenOrder]:
    """Orders that say something of the same thing, or at least of the same object."""
    if amendment.kind is ChangeKind.CANCEL:
        return list(orders)
    topic = topic_of(amendment.requirement)
    if topic.aspect == RUSH and amendment.kind is ChangeKind.ADD:
        return []
    close, near = [], []
    for order in orders:
        lines = [topic_of(line) for line in requirement_lines(order.requirement)]
        lines.append(topic_of(order.service))
        if any(topic.known and same_thing(topic, line) for line in lines):
            close.append(order)
        if any(topic.objects & line.objects for line in lines):
            near.append(order)
    return close or near


def _settled(amendment: Amendment, order: OpenOrder, meant: Meant | None) -> Amendment:
    """Calling off a part of an order does not call off the order."""
    part = meant is not None and (
        meant.picture or (meant.noun != "" and not order.is_about(meant.noun))
    )
    if amendment.kind is ChangeKind.CANCEL and part:
        return replace(amendment, kind=ChangeKind.WITHDRAW)
    return amendment
