"""What a text claims, clause by clause: its words, its numbers, and whether it denies them."""

import re
from dataclasses import dataclass
from functools import lru_cache

from domain.quantities import Numbers, Quantity, fold_lines, numbers_of
from domain.text import letters

_CLAUSE_END = re.compile(r"(?<!\d),|,(?!\d)|(?<!\d):|:(?!\d\d)|[。;!?、\n|]")
_WORD = re.compile(r"[a-z][a-z\d]*|[\u4e00-\u9fff]+")
_GRAMMAR = frozenset("的了吗呢是在就都也和与及或有我您你们这那请会到啊呀哦个为把被给让很最约每起")
_FEW_WORDS = 3

# 是不是, 支持不支持 and 有没有 ask; 不仅, 不锈钢 and 无损 deny nothing.
_NEITHER_NOR = re.compile(
    r"(\w{1,2})[不没]\1|不(?:仅|但|过|同|锈|少|错|客气|断|妨|管|论|好意思|用谢)"
    r"|没(?:问题|关系)|无(?:理由|损|线|论|缝|障碍|需担心)|非常|特别|分别|个别|别[名的人克]|未来"
)
_DENIAL = re.compile(r"不|没有|没|无法|无|未|非|勿|别|禁止|拒绝|谢绝|切忌")
_AUXILIARY = re.compile(
    r"可以|能够|能|会|暂时|暂|目前|现在|都|也|的|是|我们|您|你|亲|均|可|本店|商城|得|要|有|用"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """``tokens``: single characters and pairs of Chinese, #words and #numbers of other scripts.

    A clause that says little but numbers (169 元) speaks of what the one before it spoke of.
    """

    text: str
    tokens: frozenset[str]
    quantities: tuple[Quantity, ...]
    codes: tuple[str, ...] = ()

    def about(self, quantity: Quantity) -> frozenset[str]:
        """What is said of ``quantity``: words, and numbers of other kinds."""
        return self.tokens | {
            f"#{other.value:g}{other.kind}"
            for other in self.quantities
            if other.kind != quantity.kind
        }


def weight(tokens: frozenset[str]) -> int:
    """Pairs count double, words of other scripts and numbers three times."""
    return sum(3 if token[0] == "#" else len(token) for token in tokens)


@lru_cache(maxsize=1_024)
def tokens_of(text: str) -> frozenset[str]:
    found: set[str] = set()
    for word in _WORD.findall(fold_lines(text)):
        if word[0].isascii():
            found.add(f"#{word}")
            continue
        found.update(char for char in word if char not in _GRAMMAR)
        found.update(word[at : at + 2] for at in range(len(word) - 1))
    return frozenset(found)


@lru_cache(maxsize=512)
def clauses_of(text: str) -> tuple[Clause, ...]:
    found: list[Clause] = []
    before: frozenset[str] = frozenset()
    for text_of_clause, numbers in _split(text):
        tokens = tokens_of(text_of_clause)
        if numbers.quantities and weight(_words_beside(text_of_clause)) < _FEW_WORDS:
            tokens |= before
        found.append(Clause(text_of_clause, tokens, numbers.quantities, numbers.codes))
        before = tokens or before
    return tuple(found)


def _split(text: str) -> list[tuple[str, Numbers]]:
    parts = _CLAUSE_END.split(fold_lines(text))
    return [(part.strip(), numbers_of(part)) for part in parts if part.strip()]


def _words_beside(clause: str) -> frozenset[str]:
    """Tokens of ``clause`` without its numbers and units."""
    rest, found = clause, numbers_of(clause).quantities
    for quantity in reversed(found):
        rest = rest[: quantity.start] + " " + rest[quantity.end :]
    return tokens_of(rest)


@dataclass(frozen=True, slots=True)
class Statement:
    """A clause without its denial: 不支持定制 and 支持定制 have the same ``pairs``."""

    pairs: frozenset[str]
    core: str
    denied: bool


def statement(clause: str) -> Statement:
    plain = _neutral(clause)
    core = _AUXILIARY.sub("", letters(_DENIAL.sub("", plain)))
    pairs = frozenset(core[at : at + 2] for at in range(len(core) - 1))
    return Statement(pairs, core, len(_DENIAL.findall(plain)) % 2 == 1)


_DENIED = re.compile(
    r"(?:不(?:能|可以?|会|予|再|用|需要?|提供|支持|得)?|无法|没有?|未|禁止|切勿|请勿|勿)([\u4e00-\u9fff]{2})"
)


@lru_cache(maxsize=512)
def only_denied(text: str) -> frozenset[str]:
    """Words of two characters that ``text`` never uses without denying them (不收费: 收费)."""
    plain = _neutral(text)
    denied = _DENIED.findall(plain)
    return frozenset(word for word in denied if plain.count(word) == denied.count(word))


def only_affirmed(word: str, text: str) -> bool:
    """Does ``text`` use ``word``, and never in a clause that denies anything?"""
    using = [clause for clause in _CLAUSE_END.split(text) if word in clause]
    return bool(using) and not any(_DENIAL.search(_neutral(clause)) for clause in using)


def _neutral(text: str) -> str:
    return _NEITHER_NOR.sub(lambda found: found[1] or "", text)
