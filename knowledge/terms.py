"""Terms of texts as 64-bit keys, for whole batches at once.

For Chinese, characters beat words: terms are characters, character pairs, Latin words and numbers
with their unit (``E03``, ``7kw``), and concepts, under which the ways of saying one thing in
customer service (``多少钱``, ``报价``) are one term. The groups are in ``concepts.json``.

Keys of the kinds never meet: a character is its code point (21 bits), a pair has both (42 bits),
tokens and concepts are hashes with the highest bit set. So a key is the same in every process and
needs no vocabulary.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from domain.text import fold, letters

Keys = NDArray[np.uint64]
Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
CodePoints = NDArray[np.uint32]
Floats = NDArray[np.float32]

STOP_WEIGHT = 0.25
POINT_BITS = 21
HASHED = 1 << 63
LONGEST_STOP = 2

_TOKEN = re.compile(r"[a-z]+\d*|\d+(?:\.\d+)?[a-z]*")
_COURTESY = re.compile(
    r"^(?:请问|你好|您好|哈喽|在吗|在么|亲亲?|老板|客服|麻烦|我?想?(?:问|咨询|了解)(?:一?下|问)?|那个)+"
)
_PARTICLES = re.compile(r"(?:谢谢|啊|呀|呢|吧|哦|哈|么|吗|了|的)+$")
_STOP = (
    "怎么 什么 怎样 如何 为什么 请问 可以 能不能 可不可以 是不是 有没有 多少 我的 你们 我们 一下 "
    "这个 那个 哪个 哪些 是否 需要 想要 我想 问一下 的 了 吗 呢 啊 呀 吧 么 我 你 您 他 它 是 有 "
    "在 要 能 会 就 都 也 还 和 与 或 及 把 被 给 让 到 去 个 些 这 那 哪 不 没 很 太 咋 啥 着 过 "
    "怎么办 咋办 咋整 为啥 干嘛 行不行 好不好 行吗 还是 如果 "
    "一个 里 上 下 里面 得 请 想 问 亲 您好 你好"
)


@dataclass(frozen=True, slots=True)
class Codes:
    """Texts as numbers: the code points of ``letters(text)``, all texts in one array, and the keys
    of each text's tokens and concepts, which cannot be told from its letters.

    Text ``i`` is ``values[bounds[i]:bounds[i + 1]]`` and
    ``extras[extra_bounds[i]:extra_bounds[i + 1]]``.
    """

    values: CodePoints
    bounds: Ints
    extras: Keys
    extra_bounds: Ints

    def __len__(self) -> int:
        return self.bounds.size - 1


def encode(texts: Sequence[str]) -> Codes:
    plain = [letters(text) for text in texts]
    joined = "".join(plain).encode("utf-32-le", "surrogatepass")
    extras, extra_bounds = _extras([fold(text) for text in texts], plain)
    return Codes(np.frombuffer(joined, dtype=np.uint32), _bounds(plain), extras, extra_bounds)


def term_keys(codes: Codes) -> tuple[Keys, Rows]:
    """Every term of every text and the text's number, a key as often as the text has it."""
    points = codes.values.astype(np.uint64)
    owner = np.repeat(np.arange(len(codes), dtype=np.int32), np.diff(codes.bounds))
    pairs = np.flatnonzero(owner[1:] == owner[:-1])
    extra_owner = np.repeat(np.arange(len(codes), dtype=np.int32), np.diff(codes.extra_bounds))
    keys = (points, points[pairs] << np.uint64(POINT_BITS) | points[pairs + 1], codes.extras)
    return np.concatenate(keys), np.concatenate((owner, owner[pairs], extra_owner))


def is_strong(keys: Keys) -> NDArray[np.bool_]:
    """Pairs, tokens and concepts; a single character says little."""
    return np.asarray(keys >> np.uint64(POINT_BITS) != 0, np.bool_)


def strengths(keys: Keys) -> Floats:
    """What a term counts before its rarity: function words little."""
    stops = _stop_keys()
    places = np.minimum(np.searchsorted(stops, keys), stops.size - 1)
    return np.where(stops[places] == keys, STOP_WEIGHT, 1.0).astype(np.float32)


def wording_key(text: str) -> str:
    """What exact matching compares: letters, without courtesies in front and particles behind."""
    key = letters(text)
    return _PARTICLES.sub("", _COURTESY.sub("", key)) or key


def tokens_of(text: str) -> list[str]:
    """Latin words and numbers: model names, error codes, sizes."""
    return _TOKEN.findall(fold(text))


def text_hash(text: str) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _extras(folded: list[str], plain: list[str]) -> tuple[Keys, Ints]:
    tokens = [
        (owner, HASHED | text_hash(token))
        for owner, token in _matches(_TOKEN, folded)
        if len(token) > LONGEST_STOP
    ]
    pattern, key_of = _concepts()
    concepts = [(owner, key_of[word]) for owner, word in _matches(pattern, plain)]
    found = sorted(tokens + concepts)
    keys = np.fromiter((key for _, key in found), np.uint64, len(found))
    owners = np.fromiter((owner for owner, _ in found), np.int64, len(found))
    return keys, np.searchsorted(owners, np.arange(len(plain) + 1))


def _matches(pattern: re.Pattern[str], texts: list[str]) -> Iterator[tuple[int, str]]:
    """``findall`` over all texts in one pass; the line break, which no match holds, parts them."""
    joined = "\n".join(texts)
    if len(texts) == 1:
        yield from ((0, found) for found in pattern.findall(joined))
        return
    ends = np.cumsum([len(text) + 1 for text in texts])
    found = [(match.start(), match.group()) for match in pattern.finditer(joined)]
    owners = np.searchsorted(ends, [start for start, _ in found], side="right")
    yield from zip(owners.tolist(), (word for _, word in found), strict=True)


def _bounds(texts: list[str]) -> Ints:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


@cache
def _stop_keys() -> Keys:
    pieces = {
        phrase[start : start + size]
        for phrase in _STOP.split()
        for size in range(1, LONGEST_STOP + 1)
        for start in range(len(phrase) - size + 1)
    }
    return np.array(sorted(_packed(piece) for piece in pieces), dtype=np.uint64)


def _packed(piece: str) -> int:
    key = 0
    for char in piece:
        key = key << POINT_BITS | ord(char)
    return key


@cache
def _concepts() -> tuple[re.Pattern[str], dict[str, int]]:
    groups: dict[str, list[str]] = json.loads(
        files("knowledge").joinpath("concepts.json").read_text("utf-8")
    )
    key_of: dict[str, int] = {}
    for concept, words in groups.items():
        key = HASHED | text_hash(f"\x01{concept}")
        for word in words:
            key_of.setdefault(word, key)
    return re.compile(_longest_of(sorted(key_of))), key_of


def _longest_of(words: Sequence[str]) -> str:
    """A pattern for the longest of ``words`` at a place, as a tree: an alternation of hundreds of
    words is tried word by word at every character of the text."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
    options = [re.escape(char) + _longest_of(rest) for char, rest in branches.items()]
    if not options:
        return ""
    return f"(?:{'|'.join(options)}){'?' if '' in words else ''}"


_PRONOUNS = re.compile(
    r"它|这个|那个|这款|那款|这种|那种|这样|那样|刚才|刚刚|上面|前面|其中|另外|另一"
)
FOLLOW_UP_CHARS, OWN_CHARS = 20, 4


@cache
def _stop_phrases() -> re.Pattern[str]:
    phrases = sorted(_STOP.split(), key=len, reverse=True)
    return re.compile("|".join(phrases))


def is_follow_up(text: str) -> bool:
    """Whether ``text`` may lean on what was said before: few words of its own, or a pronoun."""
    plain = letters(text)
    if len(plain) > FOLLOW_UP_CHARS:
        return False
    own = _stop_phrases().sub("", wording_key(text))
    return len(own) <= OWN_CHARS or _PRONOUNS.search(plain) is not None
