"""When people are at the desk: weekly hours, holidays, and weekends that are worked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

MONDAY = 1
_DAYS = re.compile(r"([1-7])(?:-([1-7]))?")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24:00))")
_DAY_MINUTES = 24 * 60
_HORIZON_DAYS = 400
"""A year of holidays and no more is looked through for the next opening."""

Spans = tuple[tuple[int, int], ...]
"""Minutes of the day, [from, to)."""


class HoursRefused(ValueError):
    """``part`` cannot be read; the message says what would be right."""

    def __init__(self, part: str, expected: str) -> None:
        self.part, self.expected = part, expected
        super().__init__(f"{part!r}: expected {expected}")


@dataclass(frozen=True, slots=True)
class Hours:
    """``week``: spans by weekday, Monday 1; empty: always open. ``closed``: holidays; ``worked``:
    days that are worked though their weekday is not, with Monday's hours."""

    week: dict[int, Spans] = field(default_factory=dict)
    closed: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()

    def is_open(self, at: datetime) -> bool:
        """``at``: in the desk's own time zone."""
        minute = at.hour * 60 + at.minute
        return any(start <= minute < end for start, end in self._spans(at.date()))

    def next_opening(self, at: datetime) -> datetime | None:
        """``at`` itself where it is open; None where nothing opens any more."""
        if self.is_open(at):
            return at
        for ahead in range(_HORIZON_DAYS):
            day = at.date() + timedelta(days=ahead)
            for start, _ in self._spans(day):
                opening = datetime.combine(day, time(start // 60, start % 60), at.tzinfo)
                if opening > at:
                    return opening
        return None

    def _spans(self, day: date) -> Spans:
        if day in self.closed:
            return ()
        if not self.week:
            return ((0, _DAY_MINUTES),)
        own = self.week.get(day.isoweekday(), ())
        return own or (self._usual() if day in self.worked else ())

    def _usual(self) -> Spans:
        return self.week.get(MONDAY) or self.week[min(self.week)]


def parse_hours(text: str) -> dict[int, Spans]:
    """``1-5 09:00-12:00,13:30-18:00; 6 10:00-16:00``; a span that ends before it begins goes on
    after midnight. Raises HoursRefused."""
    week: dict[int, list[tuple[int, int]]] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        days, _, spans = part.partition(" ")
        for day in _days(days, part):
            for start, end in _spans(spans, part):
                _add(week, day, start, end)
    return {day: tuple(sorted(spans)) for day, spans in sorted(week.items())}


def parse_holidays(entries: Iterable[str]) -> tuple[frozenset[date], frozenset[date]]:
    """Holidays, and («!» before the date) working days. Raises HoursRefused."""
    closed: set[date] = set()
    worked: set[date] = set()
    for entry in filter(None, (one.strip() for one in entries)):
        try:
            day = date.fromisoformat(entry.removeprefix("!"))
        except ValueError:
            raise HoursRefused(entry, "dates such as 2026-10-01, or !2026-10-10") from None
        (worked if entry.startswith("!") else closed).add(day)
    return frozenset(closed), frozenset(worked)


def _days(text: str, part: str) -> range:
    found = _DAYS.fullmatch(text)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise HoursRefused(part, "weekdays 1 (Monday) to 7 before the hours, such as 1-5 or 6")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _spans(text: str, part: str) -> list[tuple[int, int]]:
    found = [_SPAN.fullmatch(one.strip()) for one in text.split(",")]
    spans = [_minutes(one) for one in found if one is not None]
    if len(spans) != len(found) or any(start == end for start, end in spans):
        raise HoursRefused(part, "hours such as 09:00-12:00,13:30-18:00 behind the weekdays")
    return spans


def _minutes(found: re.Match[str]) -> tuple[int, int]:
    start = int(found[1]) * 60 + int(found[2])
    return start, _DAY_MINUTES if found[5] else int(found[3]) * 60 + int(found[4])


def _add(week: dict[int, list[tuple[int, int]]], day: int, start: int, end: int) -> None:
    if start < end:
        week.setdefault(day, []).append((start, end))
        return
    week.setdefault(day, []).append((start, _DAY_MINUTES))
    if end:
        week.setdefault(day % 7 + 1, []).append((0, end))
