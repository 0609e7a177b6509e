"""Does an answer deny what its evidence says, or say what it denies?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add

from domain.claims import CLAUSE_END, Clause, Source, clauses_of
from domain.quantities import folded_text

# 是不是, 支持不支持 and 有没有 ask; 不仅, 不锈钢 and 无损 deny nothing.
_NO_DENIAL = re.compile(
    r"(\w{1,2})[不没]\1|不(?:仅|但|过|同|锈|少|错|客气|断|妨|管|论|好意思|用谢)"
    r"|没(?:问题|关系)|无(?:理由|损|线|论|缝|障碍|需担心)|非常|特别|分别|个别|别[名的人克]|未来"
)
_DENIAL = re.compile(r"不|没有|没|无法|无|未|非|勿|别|禁止|拒绝|谢绝|切忌")
_DENIED = re.compile(
    r"(?:不(?:能|可以?|会|予|再|用|需要?|提供|支持|得)?|无法|没有?|未|禁止|切勿|请勿|勿)"
    r"([\u4e00-\u9fff]{2})"
)
_SMALL_WORDS = re.compile(
    r"\W+|可以|能够|能|会|暂时|暂|目前|现在|都|也|的|是|我们|您|你|亲|均|可|本店|商城|得|要|有|用"
)
_NEAR_VERBATIM = 0.8
_ASKS = re.compile(r"吗|么\W*$|能不能|可不可以|是否|会不会|有没有|行不行|能用|能做|^可以")
_YES = re.compile(r"是的|可以|能|支持|有的|行|会|没问题|需要|包含|含")
_NO = re.compile(
    r"不可以|不能|不支持|没有(?=[,。!])|不行|不会|不是|暂不|无法|不接|不收|不含|不包|不需要|不用|不提供"
)
_POLITE = re.compile(r"(?:亲|您好|你好|很?抱歉|非常抱歉|不好意思|对不起|请放心|放心)*[,。!~ ]*")
_OPPOSITE = {"yes": "no", "no": "yes"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A clause without its denial: 不支持定制 and 支持定制 have one ``core``."""

    core: str
    pairs: frozenset[str]
    denied: bool


def contradicted(answer: str, evidence: Sequence[Source]) -> list[str]:
    """What ``answer`` turns around: nearly verbatim clauses, words, a leading yes or no."""
    theirs = [one for source in evidence for one in _statements(source)]
    found = [clause.text for clause in clauses_of(answer) if _is_reversed(clause, theirs)]
    return found + _reversed_words(answer, evidence) + _reversed_beginning(answer, evidence)


def _is_reversed(clause: Clause, theirs: Sequence[Statement]) -> bool:
    """The nearest statements decide; if any of them agrees, all is well."""
    own = _statement(clause.text)
    same = {other.denied for other in theirs if other.core == own.core}
    # A single word must be the whole statement on the other side, too.
    if same or not own.core or len(own.pairs) < 2:
        return bool(same) and bool(own.core) and own.denied not in same
    nearest, agreeing = 0, 0
    for other in theirs:
        near = len(own.pairs & other.pairs)
        nearest = max(nearest, near)
        if other.denied == own.denied:
            agreeing = max(agreeing, near)
    return nearest >= _NEAR_VERBATIM * len(own.pairs) and agreeing < nearest


def _reversed_words(answer: str, evidence: Sequence[Source]) -> list[str]:
    """收费 where the evidence only says 不收费, and the other way round."""
    held = "\n".join(one.answer for one in evidence)
    flipped = [word for word in _only_denied(held) if _only_affirmed(word, answer)]
    return flipped + [f"不{word}" for word in _only_denied(answer) if _only_affirmed(word, held)]


def _reversed_beginning(answer: str, evidence: Sequence[Source]) -> list[str]:
    leading = _leading(answer)
    others = {_leading(one.answer) for one in evidence if _ASKS.search(one.question)}
    return [answer[:12]] if leading and others == {_OPPOSITE[leading]} else []


@lru_cache(maxsize=512)
def _statements(source: Source) -> tuple[Statement, ...]:
    found = [_statement(clause.text) for clause in clauses_of(source.answer)]
    leading = _leading(source.answer)
    if leading and _ASKS.search(source.question):
        asked = _statement(re.sub(r"[吗么呢]?[??]?$", "", folded_text(source.question).strip()))
        found.append(Statement(asked.core, asked.pairs, asked.denied != (leading == "no")))
    return tuple(one for one in found if one.core)


def _statement(clause: str) -> Statement:
    """``clause``: folded."""
    bare, denials = _DENIAL.subn("", _neutral(clause))
    core = _SMALL_WORDS.sub("", bare)
    return Statement(core, frozenset(map(add, core, core[1:])), denials % 2 == 1)


@lru_cache(maxsize=512)
def _only_denied(text: str) -> frozenset[str]:
    """Words of two characters that ``text`` never uses without denying them (不收费: 收费)."""
    plain = _neutral(folded_text(text))
    denied = _DENIED.findall(plain)
    return frozenset(word for word in denied if plain.count(word) == denied.count(word))


def _only_affirmed(word: str, text: str) -> bool:
    """Does ``text`` use ``word``, and never in a clause that denies anything?"""
    if word not in text:
        return False
    using = [clause for clause in CLAUSE_END.split(folded_text(text)) if word in clause]
    return not any(_DENIAL.search(_neutral(clause)) for clause in using)


def _neutral(text: str) -> str:
    return _NO_DENIAL.sub(lambda found: found[1] or "", text)


@lru_cache(maxsize=512)
def _leading(text: str) -> str:
    """``yes`` or ``no`` where ``text`` begins with such a word."""
    folded = folded_text(text).strip()
    start = _POLITE.match(folded)
    rest = folded[start.end() :] if start else folded
    if _NO.match(rest):
        return "no"
    return "yes" if _YES.match(rest) else ""
