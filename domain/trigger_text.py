"""A message as triggers read it: letters to compare, clauses to judge, the way back to the text.

Every letter is folded on its own, so the letters of a keyword stand unchanged in the letters of
each message that holds it, and every letter knows where in the text it came from.
"""

import re
import threading
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

from opencc import OpenCC

from domain.text import clean

_REMEMBERED_CHARS = 400

_EMOJI_NAMES = (
    "微笑|撇嘴|色|发呆|得意|流泪|害羞|闭嘴|睡|大哭|尴尬|发怒|调皮|呲牙|惊讶|难过|酷|冷汗|"
    "囧|抓狂|吐|偷笑|愉快|可爱|白眼|傲慢|饥饿|困|惊恐|流汗|憨笑|悠闲|大兵|奋斗|咒骂|疑问|"
    "嘘|晕|疯了|折磨|衰|骷髅|敲打|再见|擦汗|抠鼻|鼓掌|糗大了|坏笑|左哼哼|右哼哼|哈欠|鄙视|"
    "委屈|快哭了|阴险|亲亲|吓|可怜|菜刀|西瓜|啤酒|篮球|乒乓|咖啡|饭|猪头|玫瑰|凋谢|嘴唇|"
    "示爱|爱心|心碎|蛋糕|闪电|炸弹|刀|足球|瓢虫|便便|月亮|太阳|礼物|拥抱|强|弱|握手|胜利|"
    "抱拳|勾引|拳头|差劲|爱你|NO|OK|爱情|飞吻|跳跳|发抖|怄火|转圈|磕头|回头|跳绳|投降|激动|"
    "乱舞|献吻|左太极|右太极|嘿哈|捂脸|奸笑|机智|皱眉|耶|吃瓜|加油|汗|天啊|Emm|社会社会|"
    "旺柴|好的|打脸|哇|翻白眼|666|让我看看|叹气|苦涩|裂开|笑脸|生病|脸红|破涕为笑|恐惧|"
    "失望|无语|嘴巴|合十|福|發|红包|烟花|爆竹|鸡|庆祝|强壮|鬼魂|比心|赞|心|开心|送花|大笑|"
    "色迷迷|花痴|加一|暗中观察|吃惊|思考|抱抱|嘻嘻|Smile|Grin|Rose|Thumbsup|Handshake|"
    "Salute|Heart|Hug"
)
# Longest first: /:-- must not be read where /:--b stands.
_EMOJI_CODES = (
    r"handclap|showlove|basketb|ladybug|coffee|strong|circle|hiphot|heart|break|footb|share|"
    r"shake|kotow|,@\-D|wipe|beer|rose|fade|cake|bome|shit|moon|gift|weak|love|jump|turn|"
    r"skip|kiss|8\-\)|:'\(|:\-\||\-\-b|,@P|,@o|\|\-\)|:,@|,@f|:\-S|,@x|,@@|,@!|!!!|bye|dig|"
    r"\&\-\(|B\-\)|:\-O|>\-\||P\-\(|:'\||X\-\)|<W>|eat|pig|sun|hug|bad|lvu|<L>|<O>|\#\-0|"
    r"\^_\^|\^\$\^|\^x\^|\^O\^|\^W\^|:\)|:\~|:B|:\||:<|:\$|:X|:Z|:@|:P|:D|:O|:\(|:\+|:Q|:T|"
    r":g|:!|:L|:>|:8|xx|<@|@>|:\*|@x|8\*|pd|oo|li|kn|@\)|jj|@@|no|ok|oY|<\&|\&>|\?|v"
)
_SAME_EMOJI = {
    **dict.fromkeys(("[ok]", "/:ok"), "👌"),
    **dict.fromkeys(("[强]", "[赞]", "/:strong", "[thumbsup]"), "👍"),
    **dict.fromkeys(("[弱]", "/:weak"), "👎"),
    **dict.fromkeys(("[握手]", "/:share", "[handshake]"), "🤝"),
    **dict.fromkeys(("[玫瑰]", "/:rose", "[rose]"), "🌹"),
    **dict.fromkeys(("[爱心]", "/:heart", "[heart]"), "❤"),
    **dict.fromkeys(("[合十]",), "🙏"),
    **dict.fromkeys(("[胜利]", "/:v"), "✌"),
}

_EMOJI = rf"\[(?:{_EMOJI_NAMES})\]|/:(?:\d{{3}}(?!\d)|{_EMOJI_CODES})"
# WeChat ends a mention with U+2005; who types one by hand ends it with a space or a comma.
_MENTION = r"(?<![a-zA-Z0-9])[@＠](?:[^@＠\u2005\n]{1,40}\u2005|[^\s@＠,，.。、!！?？:：;；]{1,40})"
_HOLE = re.compile(rf"(?P<emoji>{_EMOJI})|(?P<mention>{_MENTION})", re.IGNORECASE)
_EMOJI_ONLY = re.compile(_EMOJI, re.IGNORECASE)
_HOLE_SIGNS = re.compile(r"[\[/@＠]")
# What a desktop client puts above a reply: 「name:what they said」 and a row of dashes.
_QUOTED_MESSAGE = re.compile(r"\A「.*?」\s*\n\s*(?:[-—] ?){5,}\s*", re.DOTALL)

_RUN = re.compile(r"(?P<word>[^\W_]+)|[\W_]+")
_UNITED = re.compile("[\"'`“”‘’「」『』《》〈〉]+")
_INSIDE_NUMBER = re.compile(r"[.,:/\-]")
_BREAKS_LINE = re.compile(r"[\r\n]")


class Break(IntEnum):
    """What stands between two letters: nothing, a space of Latin text, a space, punctuation."""

    NONE = 0
    WORD = 1
    SPACE = 2
    HARD = 3


class Clause(NamedTuple):
    """Letters ``start`` to ``end``. ``asked``: a question mark follows."""

    start: int
    end: int
    asked: bool


class _Sign(NamedTuple):
    """How one character is read: as ``letters``, as ``emoji``, or as what stands between."""

    letters: str
    emoji: str
    gap: str


@dataclass(frozen=True)
class Reading:
    """``letters``: folded, nothing but letters and digits; ``positions``: their places in
    ``text``. ``gaps``: what stands before each letter that something stands before, and what ends
    the message at ``len(letters)``; an emoji is a blank in them and stands in ``emoji_at``.
    """

    text: str
    letters: str
    signs: str
    positions: tuple[int, ...]
    gaps: dict[int, str]
    emoji_at: dict[int, str]

    @cached_property
    def emoji(self) -> str:
        return "".join(self.emoji_at.values())

    @cached_property
    def breaks(self) -> dict[int, Break]:
        return {at: self._break(at, gap) for at, gap in self.gaps.items()}

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """Split at punctuation, line breaks, emoji and the spaces of Chinese text."""
        ends = [at for at, kind in sorted(self.breaks.items()) if kind >= Break.SPACE and at]
        if not ends or ends[-1] != len(self.letters):
            ends.append(len(self.letters))
        starts = [0, *ends[:-1]]
        return tuple(
            Clause(start, end, self.is_asked(end))
            for start, end in zip(starts, ends, strict=True)
            if start < end
        )

    def is_asked(self, at: int) -> bool:
        gap = self.gaps.get(at, "")
        return "?" in gap or "？" in gap

    def original(self, start: int, end: int) -> str:
        """The text that the letters ``start`` to ``end`` were made of."""
        return self.text[self.positions[start] : self.positions[end - 1] + 1]

    @property
    def haystack(self) -> str:
        """Everything that a key can be found in; no key holds a line break."""
        return f"{self.letters}\n{self.emoji}\n{self.signs}"

    def _break(self, at: int, gap: str) -> Break:
        before = self.letters[at - 1 : at] if at else ""
        after = self.letters[at : at + 1]
        if _UNITED.fullmatch(gap):
            return Break.NONE
        if before.isdecimal() and after.isdecimal() and _INSIDE_NUMBER.fullmatch(gap):
            return Break.NONE
        if _UNITED.sub("", gap).isspace() and not _BREAKS_LINE.search(gap):
            latin = before.isascii() and after.isascii() and before and after
            return Break.WORD if latin else Break.SPACE
        return Break.HARD


def read_plain(text: str) -> Reading:
    """``text`` of a keyword or a name: a mention in it is part of it."""
    return _reading(_canonical(text), _EMOJI_ONLY)


def trigger_key(text: str) -> str:
    """What comparing goes by: letters and digits alone, folded in width, case and script.

    A text of emoji alone is its emoji, one of punctuation alone its punctuation.
    """
    return _remembered_key(text) if len(text) <= _REMEMBERED_CHARS else _key(text)


def read_message(text: str) -> Reading:
    """``text`` without mentions and without the message that it quotes."""
    return _remembered_reading(text) if len(text) <= _REMEMBERED_CHARS else _read(text)


def _key(text: str) -> str:
    found = read_plain(text)
    return found.letters or found.emoji or found.signs


def _read(text: str) -> Reading:
    return _reading(_QUOTED_MESSAGE.sub("", _canonical(text)), _HOLE)


_remembered_key = lru_cache(maxsize=4_096)(_key)
_remembered_reading = lru_cache(maxsize=1_024)(_read)


def _canonical(text: str) -> str:
    return unicodedata.normalize("NFC", clean(text))


def _reading(text: str, holes: re.Pattern[str]) -> Reading:
    written = _Written()
    done = 0
    for hole in holes.finditer(text) if _HOLE_SIGNS.search(text) else ():
        written.add(text, done, hole.start())
        written.leave_out(hole)
        done = hole.end()
    written.add(text, done, len(text))
    return written.read(text)


class _Written:
    """A reading that is being made, from the left."""

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._positions: list[int] = []
        self._gaps: dict[int, str] = {}
        self._emoji: dict[int, str] = {}
        self._signs: list[str] = []

    def add(self, text: str, start: int, end: int) -> None:
        for run in _RUN.finditer(text, start, end):
            if run.lastgroup == "word":
                self._add_word(run[0], run.start())
            else:
                self._add_signs(run[0], run.start())

    def _add_word(self, word: str, start: int) -> None:
        folded = word.translate(_FOLDED)
        self._letters.append(folded)
        if len(folded) == len(word):
            self._positions.extend(range(start, start + len(word)))
            return
        for at, char in enumerate(word, start):
            self._positions.extend([at] * len(_FOLDED[ord(char)]))

    def _add_signs(self, signs: str, start: int) -> None:
        for at, char in enumerate(signs, start):
            sign = _sign(char)
            self._letters.append(sign.letters)
            self._positions.extend([at] * len(sign.letters))
            self._signs.append(sign.gap)
            self._leave(sign.gap, sign.emoji)

    def leave_out(self, hole: re.Match[str]) -> None:
        code = "" if hole[0][0] in "@＠" else hole[0].lower()
        self._leave(_BLANK, _SAME_EMOJI.get(code, code))

    def _leave(self, gap: str, emoji: str) -> None:
        at = len(self._positions)
        if gap:
            self._gaps[at] = self._gaps.get(at, "") + gap
        if emoji:
            self._emoji[at] = self._emoji.get(at, "") + emoji

    def read(self, text: str) -> Reading:
        signs = "".join("".join(self._signs).replace(_BLANK, "").split())
        letters, positions = "".join(self._letters), tuple(self._positions)
        return Reading(text, letters, signs, positions, self._gaps, self._emoji)


_BLANK = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a gap for an emoji or a mention: it ends a clause and is nobody's punctuation."""


@lru_cache(maxsize=65_536)
def _sign(char: str) -> _Sign:
    folded = _FOLDED[ord(char)]
    if folded:
        return _Sign(folded, "", "")
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Mc", "Cf", "Sk") and not char.isascii():
        return _Sign("", "", "")  # variation selectors, skin tones, accents of nothing
    # Unassigned and private signs are emoji newer or older than Python's tables.
    if category in ("So", "Co", "Cn"):
        return _Sign("", char, _BLANK)
    return _Sign("", "", " " if category == "Zs" else char)


class _Folded(dict[int, str]):
    """Letters of a character in width, case and script of the keys; filled as they are met."""

    def __missing__(self, code: int) -> str:
        plain = unicodedata.normalize("NFKC", chr(code)).lower()
        self[code] = "".join(_simplified(one) for one in plain if one.isalnum())
        return self[code]


_converting = threading.Lock()
_converter: list[OpenCC] = []


def _simplified(char: str) -> str:
    if char.isascii():
        return char
    if char == "妳":
        return "你"
    with _converting:
        if not _converter:
            _converter.append(OpenCC("t2s"))
        return str(_converter[0].convert(char))


_FOLDED = _Folded()
