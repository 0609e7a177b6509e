"""What a customer's text says of work, amounts and prices: keywords, counts, negations."""

import re
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from domain.text import letters

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "俩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = r"(\d{1,9}|[零一二两俩三四五六七八九十百千]{1,7})"
_NOT_A_COUNT = frozenset("第几.")

QUANTITY = re.compile(
    _NUMBER + r" ?[多来几]? ?(?:张|幅"
    r"|[个款套份版](?=的?(?:图|照片|原图|主图|logo|海报|头像|名片|菜单|包装|详情|设计|素材)))"
)
TEXT_CHARS = re.compile(_NUMBER + r" ?[多来几]? ?个?(?:汉字|文字|字)(?![体号])")

_ADDS = r"(?<!不)(?<!不要)(?<!别)(?<!不用)(?:加|添|补|写|印|排)(?!急)"
_ADDED_TEXT = re.compile(_ADDS + r"[^,.;!?。、\n“「\"]{0,12}[“「\"]([^”」\"]*)[”」\"]")
_ADDED_CHARS = re.compile(
    _ADDS + r"[^,.;!?。、\n\d]{0,8}?" + _NUMBER + r" ?[多来几]? ?个?(?:汉字|文字|字)(?![体号])"
)

TOGETHER = re.compile(r"合成|合在|合到|拼[到成在图]|拼一起|放到一起|放在一起|组成一|p到一")

# 「抠一下图」, 「抠这3张图」 and 「抠图」 are one request: measure words would hide the keyword.
_MEASURE = re.compile(
    r"[这那每几\d零一二两俩三四五六七八九十百千]{1,9}[多来]? ?[个张幅款套份副版]"
    r"|[个张的 ]|一[下点]|下(?=图|照|背景|字)"
)

GAP = "*"
_IN_ONE_CLAUSE = r"[^吗,.;!?。、\n]{0,6}?"

NEGATIONS = (
    *("不", "别", "没", "没有", "无需", "不用", "不要", "不需要", "不必", "不是", "不算", "不想"),
    *("不太", "不怎么", "没那么", "不那么", "不是很", "不用太"),
)
# End like a negation and are none.
_NOT_NEGATIONS = (
    *("要不要", "用不用", "需不需要", "想不想", "是不是", "有没有", "能不", "要不"),
    *("特别", "分别", "个别", "级别"),
)

ASKS = (
    *(
        "多少钱",
        "多少",
        "价格",
        "价位",
        "怎么收费",
        "收费",
        "什么价",
        "报价",
        "报个价",
        "几块",
        "几元",
    ),
    *("能做", "可以做", "能处理", "能弄", "能p", "能搞", "处理", "怎么卖", "费用", "贵不贵"),
)

PICTURE_WORDS = ("图片", "照片", "相片", "这张图", "这图", "图", "截图", "p图")
SMALL_WORDS = (
    *("请问", "你好", "您好", "老板", "亲", "客服", "大概", "大约", "一共", "总共", "帮我", "麻烦"),
    *("看看", "看下", "看一下", "一下", "这种", "这样", "这个", "那个", "这些", "这", "那", "它"),
    *("我", "你", "您", "们", "想", "要", "需要", "问", "的", "了", "吗", "呢", "呀", "啊", "哦"),
    *("吧", "嘛", "么", "张", "个", "是", "得", "钱", "做", "弄", "给", "把", "能", "可以", "不"),
    *("帮", "看", "发", "有", "下", "搞", "在", "元", "块", "每", "一", "按", "算", "咋", "怎么"),
)
PUNCTUATION = re.compile(r"[\W\d_]+")
T = TypeVar("T")


class Phrases(Generic[T]):
    """Finds words in folded text in one pass; a negated word (「不加急」) is not found.

    「做*logo」 also finds 「做火锅店logo」: the gap is a few characters of one clause.
    """

    def __init__(self, owners: Iterable[tuple[str, T]]) -> None:
        owned = dict(owners)
        self._owners = {word: owner for word, owner in owned.items() if GAP not in word}
        self._pattern = any_of(self._owners)
        self._gapped = [
            (word.rpartition(GAP)[2], _gap_pattern(word), word, owner)
            for word, owner in owned.items()
            if GAP in word
        ]

    def find(self, text: str) -> Iterator[tuple[str, T]]:
        """Each place's longest word, overlapping words included."""
        position = 0
        while match := self._pattern.search(text, position):
            position = match.start() + 1
            if not _negated(text, match.start()):
                yield match[0], self._owners[match[0]]
        for tail, pattern, word, owner in self._gapped:
            found = pattern.search(text) if tail in text else None
            if found and not _negated(text, found.start()):
                yield word, owner

    def any(self, text: str) -> bool:
        return next(self.find(text), None) is not None


def _gap_pattern(word: str) -> re.Pattern[str]:
    return re.compile(_IN_ONE_CLAUSE.join(map(re.escape, word.split(GAP))))


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _negated(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start]
    return before.endswith(NEGATIONS) and not before.endswith(_NOT_NEGATIONS)


def squash(text: str) -> str:
    return _MEASURE.sub("", text)


def added_chars(text: str) -> int:
    """Of the text that is to be put on the picture beside what it has: 「加一行“全场五折”」."""
    written = sum(len(letters(match[1])) for match in _ADDED_TEXT.finditer(text))
    counted = [_number(match[1]) for match in _ADDED_CHARS.finditer(text)]
    return written + sum(counted)


def numbers(pattern: re.Pattern[str], text: str) -> list[int]:
    return [
        _number(match[1])
        for match in pattern.finditer(text)
        if text[match.start() - 1 : match.start()] not in _NOT_A_COUNT
    ]


def _number(written: str) -> int:
    """「25」, 「二十五」 and 「百」 as numbers up to 9999."""
    if written.isdecimal():
        return int(written)
    total, digit = 0, None
    for char in written:
        if char in _UNITS:
            total += (1 if digit is None else digit) * _UNITS[char]
            digit = None
        else:
            digit = _DIGITS[char]
    return total + (digit or 0)
