"""What a message names: goods, places, numbers with their units, codes; without the talk around it.

No dictionary of names can be complete, so it is done from the other side: a message is cut at the
everyday words that stand between what is named (`domain.plain_words`), and what is left is a
mention, as it was written.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from domain.plain_words import BETWEEN, EMPTY, GRAMMAR, PARTICLES

MAX_MENTION_CHARS = 40
MAX_MENTIONS = 24
"""Of one message; the first ones count."""
MAX_TEXT_CHARS = 1_000
ONE_NAME_CHARS = 10
OF = "的"

_SENTENCE = re.compile(r"[。!?;\n]+")
_ASKED = re.compile(
    r"吗|什么|啥|多少|哪|呢|\?|怎么|咋|几[个点分]|告诉|能不能|有没有|是不是|[发说]一?下"
)
_BRACKETS = re.compile(r"([(《「『“\"][^()《》「」『』“”\"]{1,30}[)》」』”\"])")
_PIECE = re.compile(
    r",(?!\d)|(?<!\d),|[、~…|]|(?<!\d):|:(?!\d)|(?<![a-z0-9.&]) (?! ?[-0-9])|#E-s|&nbsp;",
    re.IGNORECASE,
)


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=len, reverse=True))


_BETWEEN = re.compile(rf"(?:(?!是\d)(?:{_longest_first([*BETWEEN, *GRAMMAR])}))+")
_EMPTY = _longest_first([*EMPTY, *BETWEEN, *GRAMMAR, *PARTICLES, OF])
_WORDS = _longest_first(word for word in EMPTY if len(word) > 1)
_ONE = "[也就还再又很挺个为要想找买是]"
_HEAD = re.compile(f"(?:(?:{_WORDS})+{_ONE}?|{_ONE})")
_TAIL = re.compile(f"(?:{_WORDS}|(?<![酒网书茶])[{PARTICLES}]|[啥里中等先都就也才和])+$")
_NOTHING = re.compile(f"(?:{_EMPTY}|[\\W_])*", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_OPEN_END = " -~.,:/*+'"


@dataclass(frozen=True, slots=True)
class Mention:
    """``value`` as written (in half width); ``asked``: it stands in a question, which states
    nothing; ``measured``: it has a number."""

    value: str
    asked: bool
    measured: bool


@lru_cache(maxsize=512)
def mentions(text: str) -> tuple[Mention, ...]:
    """In the order of the text, each value once."""
    found: dict[str, Mention] = {}
    plain = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS])
    begin = 0
    for end in [*(m.end() for m in _SENTENCE.finditer(plain)), len(plain)]:
        sentence, begin = plain[begin:end], end
        asked = _ASKED.search(sentence) is not None
        for value in _named(_SENTENCE.sub("", sentence)):
            measured = _DIGIT.search(value) is not None
            found.setdefault(value, Mention(value, asked and not measured, measured))
    return tuple(found.values())[:MAX_MENTIONS]


@lru_cache(maxsize=512)
def named(text: str) -> tuple[str, ...]:
    """The values of `mentions`."""
    return tuple(one.value for one in mentions(text))


def _named(sentence: str) -> list[str]:
    found = []
    for piece in _PIECE.split(sentence):
        for part in _parted(piece):
            found += [value[:MAX_MENTION_CHARS] for value in _of_each_other(part)]
    return found


def _parted(piece: str) -> list[str]:
    """``piece`` cut at the words between; what stands in brackets stays with what it is of."""
    parts = [""]
    for number, text in enumerate(_BRACKETS.split(piece)):
        if number % 2:
            parts[-1] += text
            continue
        first, *others = _BETWEEN.split(text)
        parts[-1] += first
        parts += others
    return parts


def _of_each_other(part: str) -> list[str]:
    """«长城脚下的公社» is one name, «我看中的那款星河7kW家用充电桩的安装说明» says two things."""
    values = [value for value in map(_trimmed, part.split(OF)) if len(value) > 1]
    values = [value for value in values if not _NOTHING.fullmatch(value)]
    whole = OF.join(values)
    return [whole] if len(values) > 1 and len(whole) <= ONE_NAME_CHARS else values


def _trimmed(part: str) -> str:
    value = part.strip(_OPEN_END)
    head = _HEAD.match(value)
    if head is not None and head.end() < len(value):
        value = value[head.end() :]
    tail = _TAIL.search(value)
    if tail is not None and tail.start() > 0:
        value = value[: tail.start()]
    return value.strip(_OPEN_END)
