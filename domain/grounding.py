"""Does an answer say only what its evidence says? Whoever sends it answers for every word.

An answer is checked before anybody reads it: numbers by value and unit, prices by what they are
the price of, offers and promises by their wording, names and codes, denials, citations.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import Literal

from domain.claims import Clause, Source, clauses_of, tokens_of
from domain.denials import contradicted
from domain.names import unknown_names
from domain.placeholders import personal_values
from domain.quantities import (
    CLOCK,
    DISCOUNT,
    MONEY,
    PERCENT,
    PLAIN,
    Quantity,
    folded_text,
    numbers_of,
)
from domain.subjects import misplaced
from domain.text import clean

__all__ = [
    "Objection",
    "Source",
    "cited",
    "objections",
    "ungranted",
    "unsupported",
    "without_marks",
]

Kind = Literal[
    "citation", "number", "offer", "name", "misplaced", "reversed", "unrelated", "secret"
]


@dataclass(frozen=True, slots=True)
class Objection:
    """``what``: the words of the answer that have no ground; for logs, not for customers."""

    kind: Kind
    what: str


# Citations

_MARK = re.compile(
    r"\s*[\[【［]\s*(?:资料|来源|文档)?\s*\^?(\d{1,2}(?:\s*[,,、]\s*\d{1,2})*)\s*[\]】］]"
)
_SENTENCE = re.compile(
    r"[^。!?！？\n]+(?:[。!?！？\n]+|$)(?:\s*[\[【［][^\[\]【】［］]{1,12}[\]】］])*"
)


def cited(answer: str) -> list[int]:
    """The evidence numbers that ``answer`` cites as [1] or 【1】, in order, once each."""
    found = [number for mark in _MARK.findall(answer) for number in re.findall(r"\d+", mark)]
    return list(dict.fromkeys(int(number) for number in found))


def without_marks(answer: str) -> str:
    """What the customer reads: no citation marks, nothing invisible."""
    return _MARK.sub("", clean(answer)).strip()


# The whole check


def objections(
    answer: str, evidence: Sequence[Source], *, said: Sequence[str] = (), secret: str = ""
) -> list[Objection]:
    """Why ``answer`` (with its marks) must not be sent; empty if it may.

    ``said``: the customer's own words and name: they may be repeated, but are no ground for a
    price, a time or a promise. ``secret``: the prompt's rules, which nobody is told.
    """
    marks = cited(answer)
    wrong = [Objection("citation", f"[{n}]") for n in marks if not 0 < n <= len(evidence)]
    if wrong:
        return wrong
    used = [evidence[n - 1] for n in marks] or list(evidence)
    sentences = _with_sources(answer, evidence, used)
    found = [] if marks else [_UNCITED for text, _ in sentences if states_facts(text)][:1]
    for text, sources in sentences:
        found += _ungrounded(text, sources, said)
        found += [Objection("misplaced", what) for what in misplaced(clauses_of(text), evidence)]
        found += [Objection("reversed", what) for what in contradicted(text, used)]
    text = without_marks(answer)
    return found + _leaks(text, secret) + _unrelated(text, used, said)


_UNCITED = Objection("citation", "none")


def states_facts(text: str) -> bool:
    """Does ``text`` name a number, a code or an offer? Then it has to say where that stands."""
    numbers = numbers_of(text)
    return bool(numbers.quantities or numbers.codes or _OFFER.search(_squeezed(text)))


def _with_sources(
    answer: str, evidence: Sequence[Source], used: Sequence[Source]
) -> list[tuple[str, list[Source]]]:
    """Each sentence with what it cites; one without a mark may lean on all that is cited."""
    found = []
    for sentence in _SENTENCE.findall(answer):
        own = [evidence[number - 1] for number in cited(sentence)]
        text = without_marks(sentence)
        if text:
            found.append((text, own or list(used)))
    return found


def _ungrounded(sentence: str, sources: Sequence[Source], said: Sequence[str]) -> list[Objection]:
    texts = [source.text for source in sources]
    invented = unsupported(sentence, texts, said=said)
    found = [Objection("number", what) for what in sorted(invented)]
    found += [Objection("offer", what) for what in sorted(ungranted(sentence, sources))]
    return found + [
        Objection("name", what) for what in sorted(unknown_names(sentence, [*texts, *said]))
    ]


# Numbers

_OURS_TO_SAY = frozenset(
    (MONEY, DISCOUNT, PERCENT, CLOCK, "秒", "工作日", "个月", "月", "年", "次")
)
"""A customer's «10 元对吧» is no ground to say 10 元."""
_TABLE_OF = {MONEY: "价费钱元¥", DISCOUNT: "折", PERCENT: "%率", CLOCK: "时", "秒": "时天周分秒日"}


def unsupported(answer: str, sources: Iterable[str], *, said: Iterable[str] = ()) -> set[str]:
    """Numbers and codes of ``answer`` that no source contains, with the same unit.

    What only the customer ``said`` supports counts, order numbers and codes.
    """
    claimed = numbers_of(without_marks(answer))
    texts, spoken = list(sources), list(said)
    codes = {code for text in [*texts, *spoken] for code in numbers_of(text).codes}
    invented = {code for code in claimed.codes if code not in codes}
    for quantity in claimed.quantities:
        ground = texts if quantity.kind in _OURS_TO_SAY else [*texts, *spoken]
        if not any(_says(text, quantity) for text in ground):
            invented.add(quantity.written)
    return invented


def _says(text: str, quantity: Quantity) -> bool:
    return any(
        quantity.agrees(own) or (own.kind == PLAIN and _in_table(text, quantity, own))
        for own in numbers_of(text).like(quantity)
    )


def _in_table(text: str, quantity: Quantity, own: Quantity) -> bool:
    """A table names the unit once, in its heading."""
    if own.value != quantity.value or "|" not in text:
        return False
    folded = folded_text(text)
    line_start = folded.rfind("\n", 0, own.start) + 1
    line = folded[line_start : folded.find("\n", own.start) % (len(folded) + 1)]
    return "|" in line and any(
        sign in folded for sign in _TABLE_OF.get(quantity.kind, quantity.kind)
    )


# Offers and promises

_OFFER = re.compile(
    r"(?<!不)免费|免单|免运费|免息|(?<!不)半价|一半|(?<!不)包邮|赠送|赠品|白送|送[您你]|不要钱|不收费|零元购|0元购"
    r"|全额退|退钱|退全款|(?:直接|同意|马上|立即)退款|赔[偿付]?|补偿|补贴|返现|返利|红包|优惠券|代金券|抵用券|中奖|抽奖|奖品"
    r"|打折|折扣|特价|秒杀|立减|减免|抹零|内部价|员工价|成本价|最低价|保价|包退|包换|换新|保证|承诺|担保"
    r"|终身|永久|无条件|无限|任意|随便|一律|绝对|百分百|最高权限|管理员|系统提示|提示词|指令|权限|密码|后台"
    r"|(?:为|帮|给|替)[您你](?:全额)?(?:退|免|减|打|便宜|优惠|赔|补|送|改|取消|下单|申请)|已经?(?:为|帮|给|替)[您你]|(?:马上|立即|立刻|这就|现在就)(?:为|帮|给|替)?[您你]|私下|私人|加我|转账"
)


def ungranted(answer: str, evidence: Iterable[Source | str]) -> set[str]:
    """Prices, discounts, gifts and promises of ``answer`` that ``evidence`` does not offer.

    The same word is not enough: 免费勘测 does not grant 免费安装. What the customer wrote is no
    evidence here: «只要 1 元对吧» must not become our price.
    """
    sources = [Source("", one) if isinstance(one, str) else one for one in evidence]
    text = without_marks(answer)
    texts = [source.text for source in sources]
    found = {
        quantity.written
        for quantity in numbers_of(text).quantities
        if quantity.kind in (MONEY, DISCOUNT, PERCENT)
        and not any(_says(own, quantity) for own in texts)
    }
    if not _OFFER.search(_squeezed(text)):
        return found
    offered = [clause for source in sources for clause in clauses_of(source.text)]
    return found | {
        word
        for clause in clauses_of(text)
        for word in _OFFER.findall(_squeezed(clause.text))
        if not _grants(word, clause, offered)
    }


def _grants(word: str, clause: Clause, offered: Sequence[Clause]) -> bool:
    """Is ``word`` offered for something that ``clause`` speaks of?"""
    about = _beside(word, clause)
    for own in offered:
        if word in own.text.replace(" ", ""):
            theirs = _beside(word, own)
            if not about or not theirs or about & theirs:
                return True
    return False


def _beside(word: str, clause: Clause) -> frozenset[str]:
    rest = clause.text.replace(" ", "").replace(word, " ")
    return tokens_of(rest) | (clause.tokens if len(rest.strip()) < 2 else frozenset())


def _squeezed(text: str) -> str:
    return folded_text(text).replace(" ", "")


# Words from nowhere

_STOCK = (
    "您好你好亲请问非常抱歉不好意思对不起感谢您的理解谢谢支持祝您生活愉快如有其他问题随时联系我们客服为您解答"
    "希望对您有帮助可以放心使用的话需要注意建议具体以实际为准是的没问题根据资料显示目前我们店铺这款商品包括以下"
    "关于您咨询的情况如下欢迎再次光临请您稍等一下帮您查询了解更多价格费用时间大约左右而且另外同时如果就能每天早上上午中午下午晚上"
    "您的手机号码尾号是您的收货地址是收件人是您留的联系电话是"
)
_FEW_PAIRS = 6
_WHOLE_KNOWN, _SENTENCE_KNOWN = 0.4, 0.2


def _unrelated(text: str, evidence: Sequence[Source], said: Sequence[str]) -> list[Objection]:
    """Sentences that share next to no words with the evidence, the customer or courtesy."""
    stock = _pairs(_STOCK)
    own = frozenset[str]().union(*(_personal_pairs(one) for one in said))
    known = stock.union(*(_pairs(one) for one in said))
    grounded = frozenset[str]().union(*(_pairs(source.text) for source in evidence))
    whole = _pairs(text)
    strange = [text] if _is_strange(whole, known | grounded, _WHOLE_KNOWN) else []
    strange += [text] if _is_strange(whole - known, grounded, _SENTENCE_KNOWN) else []
    strange += [
        sentence
        for sentence in _SENTENCE.findall(text)
        if _is_strange(_pairs(sentence) - stock - own, grounded, _SENTENCE_KNOWN)
    ]
    return [Objection("unrelated", one.strip()[:20]) for one in strange]


def _is_strange(pairs: frozenset[str], known: frozenset[str], share: float) -> bool:
    """Is less than ``share`` of ``pairs`` known? Unknown digits do not count against it: numbers
    are checked by their value."""
    familiar = len(pairs & known)
    novel = sum(not _DIGIT.search(pair) for pair in pairs - known)
    return familiar + novel >= _FEW_PAIRS and familiar < share * (familiar + novel)


@lru_cache(maxsize=1_024)
def _personal_pairs(text: str) -> frozenset[str]:
    """Of a customer's own name, number or address: to repeat them states nothing."""
    return frozenset[str]().union(*(_pairs(value) for value in personal_values(text)))


@lru_cache(maxsize=1_024)
def _pairs(text: str) -> frozenset[str]:
    plain = _plain(text)
    return frozenset(map(add, plain, plain[1:]))


def _plain(text: str) -> str:
    return _SIGNS.sub("", folded_text(text))


_SIGNS = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d")


# Secrets

_TELLING = 8


def _leaks(text: str, secret: str) -> list[Objection]:
    plain, hidden = _plain(text), _runs(_plain(secret))
    runs = (plain[at : at + _TELLING] for at in range(len(plain) - _TELLING + 1))
    return [Objection("secret", run) for run in runs if run in hidden][:1]


@lru_cache(maxsize=8)
def _runs(plain: str) -> frozenset[str]:
    return frozenset(plain[at : at + _TELLING] for at in range(len(plain) - _TELLING + 1))
