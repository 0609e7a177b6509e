"""Does an answer say only what its evidence says? Whoever sends it answers for every word.

An answer is checked before anybody reads it: numbers by value and unit, prices by what they are
the price of, offers and promises by their wording, names and codes, denials, citations.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from domain.claims import (
    Clause,
    Statement,
    clauses_of,
    only_affirmed,
    only_denied,
    statement,
    tokens_of,
    weight,
)
from domain.quantities import (
    CLOCK,
    DISCOUNT,
    MONEY,
    PERCENT,
    PLAIN,
    Quantity,
    fold_lines,
    numbers_of,
)
from domain.text import fold, letters

Kind = Literal[
    "citation", "number", "offer", "name", "misplaced", "reversed", "unrelated", "secret"
]


class Source(NamedTuple):
    """A piece of evidence: a knowledge entry's question and answer."""

    question: str
    answer: str

    @property
    def text(self) -> str:
        return f"{self.question}\n{self.answer}"


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
    """What the customer reads: no citation marks."""
    return _MARK.sub("", answer).strip()


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
    text = without_marks(answer)
    used = [evidence[n - 1] for n in marks] or list(evidence)
    found = [] if marks or not states_facts(text) else [Objection("citation", "none")]
    found += _leaks(text, secret)
    for sentence, sources in _with_sources(answer, evidence, used):
        found += _ungrounded(sentence, sources, said)
    found += [Objection("misplaced", what) for what in misplaced(text, evidence)]
    found += [Objection("reversed", what) for what in contradicted(text, used)]
    return found + _unrelated(text, used, said)


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
        for own in numbers_of(text).quantities
    )


def _in_table(text: str, quantity: Quantity, own: Quantity) -> bool:
    """A table names the unit once, in its heading."""
    if own.value != quantity.value or "|" not in text:
        return False
    folded = fold_lines(text)
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
    offered = [clause for source in sources for clause in clauses_of(source.text)]
    for clause in clauses_of(text):
        for word in _OFFER.findall(_squeezed(clause.text)):
            if not _grants(word, clause, offered):
                found.add(word)
    return found


def _grants(word: str, clause: Clause, offered: Sequence[Clause]) -> bool:
    """Is ``word`` offered for something that ``clause`` speaks of?"""
    about = _beside(word, clause)
    for own in offered:
        if word in _squeezed(own.text):
            theirs = _beside(word, own)
            if not about or not theirs or about & theirs:
                return True
    return False


def _beside(word: str, clause: Clause) -> frozenset[str]:
    rest = _squeezed(clause.text).replace(word, " ")
    return tokens_of(rest) | (clause.tokens if len(rest.strip()) < 2 else frozenset())


@lru_cache(maxsize=2_048)
def _squeezed(text: str) -> str:
    return fold(text).replace(" ", "")


# Names

_QUOTED = re.compile(
    r"《([^》]{2,40})》|「([^」]{2,40})」|『([^』]{2,40})』|“([^”]{2,40})”|\"([^\"]{2,40})\""
)
_LATIN = re.compile(r"(?<![a-z\d])[a-z]{2,}(?![a-z\d])")
_COMMON = frozenset(("ok", "hi", "hello", "app", "vip", "am", "pm", "no", "rmb", "yuan", "off"))
_COMMON_UNITS = frozenset(("km", "cm", "mm", "kg", "kw", "kwh", "mb", "gb", "kb", "px"))
_PERSON = re.compile(
    r"[赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜谢邹喻潘葛范彭鲁韦马苗方俞任袁柳"
    r"唐罗薛郝安常于傅康伍余顾孟黄穆萧尹姚邵汪毛戴宋庞熊纪舒项董梁杜阮蓝贾江郭梅林钟徐邱骆高夏蔡"
    r"田胡凌霍万丁邓石崔龚程邢裴陆翁段侯武刘龙叶黎白赖卓乔温翟曾关廖](?:\w{0,2}?)"
    r"(?:经理|师傅|老师|主任|总监|设计师|先生|女士|小姐|医生|律师|店长|工程师|总(?![价共计体是之]))"
)
_PLACE = re.compile(
    "北京|上海|天津|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南"
    "|四川|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|广州|深圳|杭州|南京|苏州|武汉"
    "|成都|西安|郑州|长沙|青岛|济南|大连|沈阳|哈尔滨|长春|合肥|福州|厦门|宁波|无锡|佛山|东莞|昆明|贵阳|南宁"
    "|石家庄|太原|兰州|乌鲁木齐|拉萨|银川|西宁|呼和浩特|海口|三亚|珠海|温州|义乌|南昌|常州|徐州|烟台"
)


def unknown_names(answer: str, known: Iterable[str]) -> set[str]:
    """Names of ``answer`` (quoted, Latin, persons, places) that nobody has mentioned."""
    text, mentioned = fold(answer), "\n".join(fold(one) for one in known)
    plain = letters(mentioned)
    quoted = {name for groups in _QUOTED.findall(text) for name in groups if name}
    found = {name for name in quoted if letters(name) not in plain}
    words = set(_LATIN.findall(mentioned)) | set(re.findall(r"[a-z]{2,}", mentioned))
    found |= {word for word in _LATIN.findall(text) if word not in words | _COMMON | _COMMON_UNITS}
    found |= {name for name in _PERSON.findall(text) if name not in mentioned}
    return found | {name for name in _PLACE.findall(text) if name not in mentioned}


# Prices of the right thing

_CLEARLY = 2


class _Ground(NamedTuple):
    clause: Clause
    topic: frozenset[str]


def misplaced(answer: str, evidence: Sequence[Source]) -> list[str]:
    """Clauses whose numbers or codes stand in ``evidence``, but with something else.

    «圆领卫衣 199 元,连帽卫衣 239 元» is no ground for «圆领卫衣 239 元».
    """
    theirs = [
        _Ground(clause, tokens_of(source.question))
        for source in evidence
        for clause in clauses_of(source.answer)
        if clause.quantities or clause.codes
    ]
    return [
        clause.text
        for clause in clauses_of(answer)
        if any(_is_elsewhere(clause, quantity, theirs) for quantity in clause.quantities)
        or any(_is_of_another(clause, code, theirs) for code in clause.codes)
    ]


def _is_elsewhere(clause: Clause, quantity: Quantity, theirs: Sequence[_Ground]) -> bool:
    if quantity.kind == PLAIN:
        return False
    about = clause.about(quantity)
    best, rival = -1, -1
    for own, topic in theirs:
        same_kind = [one for one in own.quantities if one.kind == quantity.kind]
        if not same_kind:
            continue
        near = weight(about & (own.about(quantity) | topic))
        if any(quantity.agrees(one) for one in same_kind):
            best = max(best, near)
        elif not any(said.agrees(one) for said in clause.quantities for one in same_kind):
            rival = max(rival, near)
    return best >= 0 and rival >= best + _CLEARLY


def _is_of_another(clause: Clause, code: str, theirs: Sequence[_Ground]) -> bool:
    """«E03 是通信故障» is no ground for «E05 是通信故障»."""
    about = frozenset(token for token in clause.tokens if token[0] != "#")
    best, rival = -1, -1
    for own, topic in theirs:
        if own.codes:
            near = weight(about & (own.tokens | topic))
            if code in own.codes:
                best = max(best, near)
            elif not set(own.codes) & set(clause.codes):
                rival = max(rival, near)
    return best >= 0 and rival >= best + _CLEARLY


# Denials

_NEAR_VERBATIM = 0.8
_ASKS = re.compile(r"吗|[??]?么$|能不能|可不可以|是否|会不会|有没有|行不行|能用|能做|^可以")
_YES = re.compile(r"(?:是的|可以|能|支持|有的|行|会|没问题|需要|包含|含)")
_NO = re.compile(
    r"(?:不可以|不能|不支持|没有(?=[,。!])|不行|不会|不是|暂不|无法|不接|不收|不含|不包|不需要|不用|不提供)"
)
_POLITE = re.compile(r"(?:亲|您好|你好|很?抱歉|非常抱歉|不好意思|对不起|请放心|放心)*[,。!~ ]*")


def contradicted(answer: str, evidence: Sequence[Source]) -> list[str]:
    """Clauses of ``answer`` that deny what ``evidence`` says nearly in the same words, or say
    what it denies."""
    theirs = [one for source in evidence for one in _statements(source)]
    found = []
    for clause in clauses_of(answer):
        own = statement(clause.text)
        if own.core and _is_reversed(own, theirs):
            found.append(clause.text)
    said, held = fold(answer), "\n".join(fold(source.answer) for source in evidence)
    found += [word for word in only_denied(held) if only_affirmed(word, said)]
    found += [f"不{word}" for word in only_denied(said) if only_affirmed(word, held)]
    leading = _leading(answer)
    others = {_leading(one.answer) for one in evidence if _ASKS.search(one.question)}
    if leading and others == {_OPPOSITE[leading]}:
        found.append(answer[:12])
    return found


_OPPOSITE = {"yes": "no", "no": "yes"}


@lru_cache(maxsize=512)
def _statements(source: Source) -> tuple[Statement, ...]:
    found = [statement(clause.text) for clause in clauses_of(source.answer)]
    leading = _leading(source.answer)
    if leading and _ASKS.search(source.question):
        asked = statement(re.sub(r"[吗么呢]?[??]?$", "", fold(source.question)))
        found.append(Statement(asked.pairs, asked.core, asked.denied != (leading == "no")))
    return tuple(one for one in found if one.core)


def _is_reversed(own: Statement, theirs: Sequence[Statement]) -> bool:
    """The nearest statements decide; if any of them agrees, all is well."""
    nearest, agreeing = 0.0, 0.0
    for other in theirs:
        near = _containment(own, other)
        nearest = max(nearest, near)
        if other.denied == own.denied:
            agreeing = max(agreeing, near)
    return nearest >= _NEAR_VERBATIM and agreeing < nearest


def _containment(own: Statement, other: Statement) -> float:
    if own.core == other.core:
        return 1.0
    # Two characters are a word: they must be the whole statement on the other side, too.
    if len(own.pairs) < 2:
        return 0.0
    return len(own.pairs & other.pairs) / len(own.pairs)


def _leading(text: str) -> str:
    """``yes`` or ``no`` where ``text`` begins with such a word."""
    start = _POLITE.match(folded := fold(text))
    rest = folded[start.end() :] if start else folded
    if _NO.match(rest):
        return "no"
    return "yes" if _YES.match(rest) else ""


# Words from nowhere

_STOCK = (
    "您好你好亲请问非常抱歉不好意思对不起感谢您的理解谢谢支持祝您生活愉快如有其他问题随时联系我们客服为您解答"
    "希望对您有帮助可以放心使用的话需要注意建议具体以实际为准是的没问题根据资料显示目前我们店铺这款商品包括以下"
    "关于您咨询的情况如下欢迎再次光临请您稍等一下帮您查询了解更多价格费用时间大约左右而且另外同时如果就能"
)
_FEW_PAIRS = 6
_WHOLE_KNOWN, _SENTENCE_KNOWN = 0.4, 0.2


def _unrelated(text: str, evidence: Sequence[Source], said: Sequence[str]) -> list[Objection]:
    """Sentences that share next to no words with the evidence, the customer or courtesy."""
    known = _pairs(_STOCK).union(*(_pairs(one) for one in said))
    grounded = frozenset().union(*(_pairs(source.text) for source in evidence))
    whole = _pairs(text)
    found = []
    if len(whole) >= _FEW_PAIRS and len(whole & (known | grounded)) < _WHOLE_KNOWN * len(whole):
        found.append(Objection("unrelated", text[:20]))
    rest = whole - known
    if len(rest) >= _FEW_PAIRS and len(rest & grounded) < _SENTENCE_KNOWN * len(rest):
        found.append(Objection("unrelated", text[:20]))
    for sentence in _SENTENCE.findall(text):
        pairs = _pairs(sentence) - _pairs(_STOCK)
        if len(pairs) >= _FEW_PAIRS and len(pairs & grounded) < _SENTENCE_KNOWN * len(pairs):
            found.append(Objection("unrelated", sentence.strip()[:20]))
    return found


@lru_cache(maxsize=1_024)
def _pairs(text: str) -> frozenset[str]:
    plain = letters(text)
    return frozenset(plain[at : at + 2] for at in range(len(plain) - 1))


# Secrets

_TELLING = 8


def _leaks(text: str, secret: str) -> list[Objection]:
    plain, hidden = letters(text), _runs(letters(secret))
    runs = (plain[at : at + _TELLING] for at in range(len(plain) - _TELLING + 1))
    return [Objection("secret", run) for run in runs if run in hidden][:1]


@lru_cache(maxsize=8)
def _runs(plain: str) -> frozenset[str]:
    return frozenset(plain[at : at + _TELLING] for at in range(len(plain) - _TELLING + 1))
