"""Numbers with their units, compared by value: 1,980 元, 一千九百八十块 and ¥1980.00 are one price.

Also 九折 and 优惠 10 %, 7kW and 7000 瓦, 24 小时 and 一天, 下午3点 and 15:00.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

MONEY, DISCOUNT, PERCENT, CLOCK, ORDINAL, PLAIN = "元", "折", "%", "时刻", "第", ""

_SCALES: dict[str, Mapping[str, float]] = {
    MONEY: {"元": 1, "元钱": 1, "块": 1, "块钱": 1, "人民币": 1, "rmb": 1, "cny": 1, "yuan": 1}
    | {"角": 0.1, "毛": 0.1, "毛钱": 0.1},
    "美元": {"美元": 1, "美金": 1, "usd": 1},
    DISCOUNT: {"折": 1},
    PERCENT: {"%": 1, "成": 10},
    "秒": {"秒": 1, "秒钟": 1, "分钟": 60, "小时": 3_600, "个小时": 3_600, "钟头": 3_600}
    | {"个钟头": 3_600, "天": 86_400, "日": 86_400, "周": 604_800, "星期": 604_800}
    | {"个星期": 604_800, "礼拜": 604_800, "个礼拜": 604_800},
    "工作日": {"工作日": 1, "个工作日": 1},
    "个月": {"个月": 1, "季度": 3, "个季度": 3, "年": 12},
    "月": {"月": 1, "月份": 1},
    "瓦": {"w": 1, "瓦": 1, "kw": 1_000, "千瓦": 1_000},
    "度": {"度": 1, "度电": 1, "kwh": 1, "千瓦时": 1},
    "°c": {"°c": 1, "摄氏度": 1},
    "v": {"v": 1, "伏": 1, "kv": 1_000},
    "a": {"a": 1, "安": 1, "ma": 0.001, "毫安": 0.001},
    "毫米": {"mm": 1, "毫米": 1, "cm": 10, "厘米": 10, "公分": 10, "m": 1_000, "米": 1_000}
    | {"km": 1e6, "公里": 1e6, "千米": 1e6},
    "克": {"g": 1, "克": 1, "kg": 1_000, "公斤": 1_000, "千克": 1_000, "斤": 500, "吨": 1e6},
    "mb": {"mb": 1, "兆": 1, "gb": 1_024, "kb": 1 / 1_024},
    "平方": {"平方": 1, "平方米": 1, "平米": 1},
    "像素": {"像素": 1, "px": 1},
    "字": {"字": 1, "个字": 1},
}
_COUNTS = (
    "个件张台次人枪款份幅套版只条把双位名枚根本页倍档级楼层号岁瓶盒箱袋支片颗组批单笔家间辆遍回"
    "屏格户场期分种点类样步项包"
)
_UNITS = {unit: (kind, by) for kind, units in _SCALES.items() for unit, by in units.items()}
_UNITS |= {unit: (unit, 1.0) for unit in _COUNTS}
_COUNTABLE = frozenset(_COUNTS) - frozenset("次倍楼层号岁分档级点")
_LOOSE = frozenset("个件张台款份条只位种点类样步项")
"""一个, 一款, 两种: small Chinese numerals before these are grammar as often as counts."""

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_POWERS = {"十": 10, "百": 100, "千": 1_000}
_FORMAL = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千")
_CHINESE = "[零〇一二两三四五六七八九十百千万亿]"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_UNIT = "|".join(
    f"{unit}(?![a-z\\d])" if unit.isascii() and unit.isalpha() else unit
    for unit in _UNIT.split("|")
)
_FOUND = re.compile(
    # Most characters begin nothing: one look tells.
    r"(?=[a-z\d¥零〇一二两三四五六七八九十百千万亿半上早凌中下傍晚])(?:"
    r"(?P<code>(?<![a-z\d])(?!rmb)[a-z]+(?:[-_]?\d)[a-z\d]*(?:[-_.][a-z\d]+)*)"
    r"|(?:(?P<half>上午|早上|早|凌晨|中午|下午|晚上|傍晚|晚) ?)?"
    r"(?<![\d.:])(?P<hour>[01]?\d|2[0-4])(?::(?P<minute>[0-5]\d)(?![\d:])|点(?P<thirty>半)?钟?(?!\d))"
    rf"|百分之 ?(?P<percent>\d+(?:\.\d+)?|{_CHINESE}+(?:点{_CHINESE}+)?)"
    rf"|(?P<mark>¥|rmb ?)?(?P<number>\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?"
    rf"|(?<![第周期拜统唯之万]){_CHINESE}+(?:点{_CHINESE}+)?|半(?=年|天|小时|个小时|个月|日))"
    r" ?(?P<times>[百千万亿](?![瓦克米帕卡]))? ?"
    rf"(?P<unit>{_UNIT})?(?P<off> ?off)?(?P<cents>(?<=块)[1-9](?! ?(?:[\d.]|{_UNIT})))?)"
)
_NO_NUMBERS = re.compile(
    r"万一|千万(?=[别不要记注])|十分(?!钟|之)|一一|一块(?!钱)|一点(?!钟|半)|一分(?!钟)"
)
_LIST_NUMBER = re.compile(
    r"(?m)(?:^|(?<=[\n。;:])) ?(?:\d{1,2}[.、)](?!\d)|\(\d{1,2}\)|步骤 ?\d{1,2})"
)
_BETWEEN = re.compile(r" ?(?:~|-|—|–|到|至|×|x|\*|、|或|和|/) ?¥?")
_PRICED = re.compile(
    r"(?:价格?|价钱|只要|只需|仅需|仅|才|收费?|费用?|合计|共计|总共|一共|卖|付款?|支付|到手|[定押]金"
    r"|满|减|抵|返|赔|补|给您)[::为是约只需要才仅就算 ]{0,3}$"
)
_CHEAPER = re.compile(r"(?:优惠|便宜|立减|减免?|省|降价?|让利|折扣|少收)[了到达高约为: ]{0,3}$")
_OF_PRICE = re.compile(r"(?:原价|价格|全价|定价)的? ?$|按 ?$")
_SPACES = re.compile(r"[^\S\n]+")
_HALF_DAY = 12 * 60
_AFTERNOON = frozenset(("下午", "晚上", "傍晚", "晚"))


@dataclass(frozen=True, slots=True)
class Quantity:
    """``value`` in the base unit of ``kind``; ``start`` and ``end``: where in the folded text.

    ``written``: the number as it stands there.
    """

    value: float
    kind: str
    written: str
    start: int
    end: int

    def agrees(self, source: "Quantity") -> bool:
        """Does ``source`` say the same? A number without a unit agrees with any unit."""
        if self.kind == CLOCK == source.kind and "点" in self.written[1:3]:
            # 4 点 may be either, 下午4点 and 4:00 are one.
            return (self.value - source.value) % _HALF_DAY == 0
        if self.value != source.value:
            return False
        if self.kind == source.kind or self.kind == PLAIN:
            return True
        counts = {self.kind, source.kind}
        return "个" in counts and counts <= _COUNTABLE


@dataclass(frozen=True, slots=True)
class Numbers:
    """``codes``: E03, zx-300: letters with digits, without joining signs."""

    quantities: tuple[Quantity, ...]
    codes: tuple[str, ...]
    by_value: Mapping[float, Sequence[Quantity]]

    def like(self, quantity: Quantity) -> list[Quantity]:
        """Those of the same value, whatever their unit."""
        if quantity.kind != CLOCK:
            return list(self.by_value.get(quantity.value, ()))
        times = (quantity.value, (quantity.value + _HALF_DAY) % (2 * _HALF_DAY))
        return [one for time in times for one in self.by_value.get(time, ())]


@lru_cache(maxsize=1_024)
def numbers_of(text: str) -> Numbers:
    """What ``text`` says in numbers; list numbering does not count."""
    folded = _without_noise(folded_text(text))
    quantities: list[Quantity] = []
    codes: list[str] = []
    for match in _FOUND.finditer(folded):
        if match["code"]:
            codes.append(match["code"].replace("-", "").replace("_", ""))
        elif (found := _quantity(match, folded)) is not None:
            quantities.append(found)
    shared = tuple(_shared_units(quantities, folded))
    by_value: dict[float, list[Quantity]] = {}
    for quantity in shared:
        by_value.setdefault(quantity.value, []).append(quantity)
    return Numbers(shared, tuple(codes), by_value)


@lru_cache(maxsize=1_024)
def folded_text(text: str) -> str:
    """Folded with its line breaks, Chinese numerals in their plain form: quantities' positions
    refer to this."""
    narrow = unicodedata.normalize("NFKC", text).lower().translate(_FORMAL)
    return _SPACES.sub(" ", narrow)


def _without_noise(folded: str) -> str:
    def blank(match: re.Match[str]) -> str:
        return " " * len(match[0])

    return _NO_NUMBERS.sub(blank, _LIST_NUMBER.sub(blank, folded))


def _quantity(match: re.Match[str], text: str) -> Quantity | None:
    if match["hour"]:
        return _clock(match)
    if match["percent"]:
        return _percent(match, text, _value(match["percent"]))
    return _measured(match, text)


def _clock(match: re.Match[str]) -> Quantity:
    hour = int(match["hour"]) + (
        12 if match["half"] in _AFTERNOON and int(match["hour"]) < 12 else 0
    )
    minutes = hour * 60 + int(match["minute"] or 0) + (30 if match["thirty"] else 0)
    return Quantity(minutes, CLOCK, match[0].strip(), *match.span())


def _percent(match: re.Match[str], text: str, value: float) -> Quantity:
    """优惠 10 % and 原价的 90 % are both 九折."""
    before = text[max(0, match.start() - 10) : match.start()]
    kind = PERCENT
    if match["off"] or _CHEAPER.search(before):
        kind, value = DISCOUNT, 100 - value
    elif _OF_PRICE.search(before):
        kind = DISCOUNT
    return Quantity(round(value, 6), kind, match[0].strip(), *match.span())


def _measured(match: re.Match[str], text: str) -> Quantity | None:
    number, unit = match["number"], match["unit"] or ""
    kind, factor = _UNITS.get(unit, (PLAIN, 1.0))
    value = _value(number) * _times(match["times"])
    if not number[0].isdigit() and not _is_meant(number, value, unit):
        return None
    if unit == "%" or unit == "成":
        return _percent(match, text, value * factor)
    before = text[max(0, match.start() - 10) : match.start()]
    if kind == DISCOUNT:
        value = value * 10 if value < 10 else value
    elif before.rstrip().endswith("第"):
        kind = ORDINAL
    elif match["mark"] or (kind == PLAIN and _PRICED.search(before)):
        kind = MONEY
    value = value * factor
    if match["cents"]:
        value += int(match["cents"]) / 10
    written = number.replace(",", "") if number[0].isdigit() else number + unit
    end = match.end() if unit != "" else match.end("number")
    return Quantity(round(value, 6), kind, written, match.start(), end)


def _is_meant(number: str, value: float, unit: str) -> bool:
    """Chinese numerals are part of many words: 一般, 千万, 三角."""
    if unit in ("角", "毛"):
        return False
    if unit in _LOOSE and value <= 10:
        return False
    if unit == "次" and value == 1:
        return False
    if unit:
        return True
    return len(number) > 1 and value >= 10 and number[0] not in "百千万亿"


def _times(word: str | None) -> float:
    return {"百": 1e2, "千": 1e3, "万": 1e4, "亿": 1e8}[word] if word else 1.0


@lru_cache(maxsize=1_024)
def _value(written: str) -> float:
    if written[0].isdigit():
        return float(written.replace(",", ""))
    if written == "半":
        return 0.5
    whole, _, decimals = written.partition("点")
    fraction = "".join(str(_DIGITS.get(char, 0)) for char in decimals)
    return _chinese(whole) + (float(f"0.{fraction}") if fraction else 0.0)


def _chinese(written: str) -> float:
    """一千九百八十, 三百五 (350), 九五 (95), 一万二 (12000)."""
    if not set(written) & set("十百千万亿"):
        return float("".join(str(_DIGITS[char]) for char in written))
    for sign, factor in (("亿", 1e8), ("万", 1e4)):
        if sign in written:
            high, _, low = written.rpartition(sign)
            rest = _DIGITS[low] * factor / 10 if len(low) == 1 and low in _DIGITS else None
            return (_chinese(high) if high else 1) * factor + (
                rest if rest is not None else (_chinese(low) if low else 0)
            )
    return _under_myriad(written)


def _under_myriad(written: str) -> float:
    total, digit, power = 0, 0, 1
    for char in written:
        if char in _POWERS:
            power = _POWERS[char]
            total += (digit or 1) * power
            digit = 0
        else:
            digit, power = _DIGITS[char], (power if _DIGITS[char] else 10)
    # 三百五 is 350 and 三百零五 305.
    return total + digit * (power // 10 if power > 10 else 1)


def _shared_units(found: list[Quantity], text: str) -> Iterator[Quantity]:
    """99 到 299 元, 38×34×10 厘米, ¥99-299: one unit for all numbers of a row."""
    for number in range(len(found) - 2, -1, -1):
        one, following = found[number], found[number + 1]
        if not _BETWEEN.fullmatch(text, one.end, following.start):
            continue
        if one.kind == PLAIN and following.kind not in (PLAIN, CLOCK):
            found[number] = _as(one, following)
    for number in range(1, len(found)):
        one, before = found[number], found[number - 1]
        if (
            one.kind == PLAIN
            and before.kind == MONEY
            and _BETWEEN.fullmatch(text, before.end, one.start)
        ):
            found[number] = replace(one, kind=MONEY)
    yield from found


def _as(one: Quantity, following: Quantity) -> Quantity:
    """``one`` in the unit of ``following``."""
    if following.kind == DISCOUNT:
        return replace(one, kind=DISCOUNT, value=one.value * 10 if one.value < 10 else one.value)
    number = re.sub(r"[^\d.]", "", following.written)
    written = float(number) if number and number != "." else 0.0
    factor = following.value / written if written else 1.0
    return replace(one, kind=following.kind, value=round(one.value * factor, 6))
