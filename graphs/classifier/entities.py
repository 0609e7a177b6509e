"""Order numbers, amounts, dates and the like in a message.

Each kind has one pattern whose repetitions are bounded, so the time grows with the length; what
one kind has found is taken out before the next looks.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NUMERALS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2}
_TENS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_HAN = f"[{''.join(_NUMERALS)}{''.join(_TENS)}]"
_HAN_NUMBER = rf"(?<![第几每]){_HAN}{{1,9}}"
_NUMBER = r"(?<![a-z0-9.])\d{1,9}(?:\.\d{1,3})?"
_ALONE, _ENDS = r"(?<![a-z0-9])", r"(?![a-z0-9])"
_MEASURE = "张|个|件|台|套|份|本|只|条|双|箱|盒|瓶|杯|幅|把|页|支|袋|根"
_NO_MEASURE = "(?!月|多?小时|多?钟头|人|问题|多?星期|礼拜|学期|事|号|价|劲|错|字|工作日)"


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    pattern: re.Pattern[str]
    values: Callable[[re.Match[str]], Iterator[str]]


def _as_written(match: re.Match[str]) -> Iterator[str]:
    yield match[0]


def _upper(match: re.Match[str]) -> Iterator[str]:
    yield match[0].upper()


def _digits(match: re.Match[str]) -> Iterator[str]:
    yield "".join(filter(str.isdigit, match[0]))


def _groups(match: re.Match[str]) -> Iterator[str]:
    yield from (_plain(group) for group in match.groups() if group)


def _counted(match: re.Match[str]) -> Iterator[str]:
    yield _plain(match[1]) + match[2]


def _plain(number: str) -> str:
    """「五百」 → 500, 「1万」 → 10000; a number in digits stays as it is."""
    if number[-1] == "万" and number[:-1].isdigit():
        return str(int(number[:-1]) * 10_000)
    if number[0].isdigit():
        return number
    total, section, digit = 0, 0, 0
    for character in number:
        if character in _NUMERALS:
            digit = _NUMERALS[character]
        elif character == "万":
            total, section, digit = (section + digit or 1) * 10_000, 0, 0
        else:
            section, digit = section + (digit or 1) * _TENS[character], 0
    return str(total + section + digit)


def _kind(name: str, pattern: str, values: Callable[[re.Match[str]], Iterator[str]]) -> _Kind:
    return _Kind(name, re.compile(pattern, re.IGNORECASE), values)


# The order matters: a phone number is not an order number, a date is not a quantity.
_KINDS = (
    _kind("url", r"https?://[a-z0-9\-._~:/?#\[\]@!$&'()*+;=%]{1,2000}", _as_written),
    _kind(
        "phone",
        rf"{_ALONE}(?:1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}|0\d{{2,3}}-\d{{7,8}}|400-?\d{{3}}-?\d{{4}})"
        rf"{_ENDS}",
        _digits,
    ),
    _kind(
        "date",
        r"(?<!\d)20\d\d(?:[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)|年\d{1,2}月(?:\d{1,2}[日号]?)?)"
        r"|(?<!\d)\d{1,2}月(?:\d{1,2}[日号]?|底|初|份)|(?<![\d第])\d{1,2}[号日](?![楼线店馆门桩机柜桌字枪])"
        r"|大前天|大后天|前天|昨天|昨晚|今天|今晚|明天|明晚|后天|月底"
        r"|[这本上下]{1,2}个?(?:周|星期|礼拜)[一二三四五六日天末]?|(?:周|星期|礼拜)[一二三四五六日天末]|[上下]个?月",
        _as_written,
    ),
    _kind(
        "order_no",
        rf"{_ALONE}(?:[a-z]{{1,6}}-?\d{{8,24}}|[a-z]{{2,4}}\d{{6,7}}|\d{{10,32}}){_ENDS}",
        _upper,
    ),
    _kind("power_kw", rf"({_NUMBER}) ?(?:kw(?!h)|千瓦(?!时))", _groups),
    _kind(
        "amount",
        rf"[¥$] ?(\d{{1,9}}(?:\.\d{{1,3}})?)"
        rf"|({_NUMBER})(?:[-~到至](\d{{1,9}}(?:\.\d{{1,3}})?))? ?(?:元|块|圆|rmb|人民币)"
        rf"|({_NUMBER}万|{_HAN_NUMBER})(?:元|块)(?![板地儿屏面])",
        _groups,
    ),
    _kind(
        "error_code",
        rf"{_ALONE}(?:[ef]-?\d{{2,4}}|err(?:or)?[ -]?\d{{1,4}}){_ENDS}",
        _upper,
    ),
    _kind("quantity", rf"((?<!第){_NUMBER}|{_HAN_NUMBER}) ?({_MEASURE}){_NO_MEASURE}", _counted),
)


def entities(text: str) -> dict[str, list[str]]:
    """Entities by kind, each value once, in the order of the message; no key without a value.

    ``amount`` (yuan) and ``power_kw`` are plain numbers, ``quantity`` a number and its measure
    word (「3张」), ``phone`` digits only, ``order_no`` and ``error_code`` upper case, ``date`` and
    ``url`` as written.
    """
    found: dict[str, list[str]] = {}
    rest = unicodedata.normalize("NFKC", text)
    for kind in _KINDS:
        values = [value for match in kind.pattern.finditer(rest) for value in kind.values(match)]
        if values:
            found[kind.name] = list(dict.fromkeys(values))
            rest = kind.pattern.sub("\n", rest)
    return found
