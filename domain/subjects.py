"""Is a number said of what it stands for in the evidence?"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from domain.claims import Clause, Source, clauses_of, tokens_of, weight
from domain.quantities import DISCOUNT, MONEY, PLAIN, Quantity

_CODE = "code"
_CLEARLY = 2
_A_SUBJECT = 4
_SAYS_LITTLE = tokens_of(
    "价格价钱费用售价收费单价标价原价总价一共总共合计需要只要只需大约左右现在目前的话即可就行支付付款优惠"
    "打折折扣起步每个每张每件每台一个可以您好您请您"
)


class _Ground(NamedTuple):
    """Quantities of one kind (or codes) in one clause, and what is said of them."""

    about: frozenset[str]
    entry: frozenset[str]
    quantities: tuple[Quantity, ...]
    codes: tuple[str, ...]


def misplaced(clauses: Sequence[Clause], evidence: Sequence[Source]) -> list[str]:
    """Clauses whose numbers or codes stand in ``evidence``, but with something else.

    «圆领卫衣 199 元,连帽卫衣 239 元» is no ground for «圆领卫衣 239 元».
    """
    grounds = [_grounds(source) for source in evidence]

    def of(kind: str) -> list[_Ground]:
        return [ground for one in grounds for ground in one.get(kind, ())]

    return [
        clause.text
        for clause in clauses
        if any(
            _is_elsewhere(clause, quantity, of(quantity.kind))
            for quantity in clause.quantities
            if quantity.kind != PLAIN
        )
        or any(_is_of_another(clause, code, of(_CODE)) for code in clause.codes)
    ]


@lru_cache(maxsize=512)
def _grounds(source: Source) -> dict[str, list[_Ground]]:
    """By kind of quantity; codes under _CODE."""
    topic, entry = tokens_of(source.question), tokens_of(source.text)
    found: dict[str, list[_Ground]] = {}
    for clause in clauses_of(source.answer):
        for kind in {quantity.kind for quantity in clause.quantities}:
            same = tuple(one for one in clause.quantities if one.kind == kind)
            about = clause.about(same[0]) | topic
            found.setdefault(kind, []).append(_Ground(about, entry, same, ()))
        if clause.codes:
            ground = _Ground(clause.tokens | topic, entry, (), clause.codes)
            found.setdefault(_CODE, []).append(ground)
    return found


def _is_elsewhere(clause: Clause, quantity: Quantity, theirs: Sequence[_Ground]) -> bool:
    about = clause.about(quantity)
    own = [one for one in theirs if any(map(quantity.agrees, one.quantities))]
    if own and quantity.kind in (MONEY, DISCOUNT) and _is_unheard_of(about, own):
        return True
    best = max((weight(about & one.about) for one in own), default=-1)
    if not 0 <= best <= weight(about) - _CLEARLY:
        return False
    beside = [said for said in clause.quantities if said.kind == quantity.kind]
    # What is said in one breath with it is no rival: 99 元到 299 元.
    return any(
        weight(about & one.about) >= best + _CLEARLY
        for one in theirs
        if not any(said.agrees(other) for said in beside for other in one.quantities)
    )


def _is_unheard_of(about: frozenset[str], own: Sequence[_Ground]) -> bool:
    """A price of something that no entry with this price so much as mentions."""
    subject = frozenset(token for token in about if token[-1] not in "元折") - _SAYS_LITTLE
    return weight(subject) >= _A_SUBJECT and all(subject.isdisjoint(one.entry) for one in own)


def _is_of_another(clause: Clause, code: str, theirs: Sequence[_Ground]) -> bool:
    """«E03 是通信故障» is no ground for «E05 是通信故障»."""
    about = frozenset(token for token in clause.tokens if token[0] != "#")
    near = [(weight(about & one.about), one.codes) for one in theirs]
    best = max((score for score, codes in near if code in codes), default=-1)
    rivals = [score for score, codes in near if set(codes).isdisjoint(clause.codes)]
    return best >= 0 and max(rivals, default=-1) >= best + _CLEARLY
