"""When does the customer want it? Read from words, against a clock that is passed in."""

import re
from datetime import datetime, timedelta

from domain.quantities import folded_text

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九十")} | {"两": 2}
_NUMBER = r"(?:\d{1,3}(?:\.\d)?|十?[一二两三四五六七八九]|十)"
_WANTED = (
    r"(?:就|能|可以|必须|一定|得|都|我|给我)*"
    r"(?:要(?![求改修注说看])|用(?!户)|交|出图|出来|给我|做好|做完|弄好|弄完|搞定|完成|拿到|(?<=[能得])好|急用|行吗|可以吗|来得及)"
)
_WITHIN = re.compile(
    rf"(?:(?P<number>{_NUMBER})个?(?P<more>半)?|(?P<half>半)个?)(?P<unit>小时|钟头|分钟|天)"
    rf"(?:(?:之|以)?内|{_WANTED})"
)
_DAYS = {"今": 0, "当": 0, "明": 1, "后": 2, "大": 3}
_BY = re.compile(
    r"(?P<day>大后天|[今当明后][天日]|[今明后](?=[早晚]))?的?"
    r"(?P<half>早上|上午|中午|下午|傍晚|晚上|夜里|(?<=[今明后天])[早晚])?"
    rf"(?:(?<![有这那提第几])(?P<hour>{_NUMBER})(?:点|:)(?P<minutes>半|\d{{2}})?钟?)?"
    rf"(?P<by>(?:之|以)?前(?!面)|{_WANTED})"
)
_ENDS = {"早": 9, "早上": 9, "上午": 12, "中午": 12, "下午": 18, "傍晚": 19, "晚": 22, "晚上": 22}
_CLOSING = 22
_AFTERNOON = frozenset(("下午", "傍晚", "晚", "晚上", "夜里"))
_HOURS = {"小时": 1.0, "钟头": 1.0, "分钟": 1 / 60, "天": 24.0}
_MAX_CHARS = 300


def hours_left(text: str, now: datetime) -> float | None:
    """Hours from ``now`` (the shop's own time) until the picture is wanted: the earliest time that
    is named; negative for what is past. None where no time is named.
    """
    said = folded_text(text[:_MAX_CHARS]).replace(" ", "")
    found = [_within(match) for match in _WITHIN.finditer(said)]
    for match in _BY.finditer(said):
        if match["day"] or match["hour"] or match["half"]:
            left = (_moment(match, now) - now).total_seconds() / 3_600
            # 「上午给我发过」 tells of the past, 「上午前要」 asks for it.
            if left > 0 or match["by"][-1] in "要前":
                found.append(left)
    return round(min(found), 2) if found else None


def _within(match: re.Match[str]) -> float:
    number = _value(match["number"]) if match["number"] else 0.0
    return (number + (0.5 if match["half"] or match["more"] else 0.0)) * _HOURS[match["unit"]]


def _moment(match: re.Match[str], now: datetime) -> datetime:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day += timedelta(days=_DAYS[match["day"][0]] if match["day"] else 0)
    half = match["half"] or ""
    if not match["hour"]:
        return day + timedelta(hours=_ENDS.get(half, _CLOSING))
    hour = _value(match["hour"])
    if half in _AFTERNOON and hour < 12:
        hour += 12
    minutes = match["minutes"] or ""
    wanted = day + timedelta(hours=hour, minutes=30 if minutes == "半" else int(minutes or 0))
    # 「3点前要」 said at noon means 15:00.
    return wanted + timedelta(hours=12) if not half and wanted < now and hour < 12 else wanted


def _value(written: str) -> float:
    if written[0].isdecimal():
        return float(written)
    return float(sum(_DIGITS[char] for char in written))
