"""What the console says, one table a language, and how it writes numbers and instants."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import resources
from typing import Literal

Language = Literal["zh", "en"]
LANGUAGES: Mapping[Language, str] = {"zh": "中文", "en": "English"}
HTML_LANGUAGES: Mapping[Language, str] = {"zh": "zh-CN", "en": "en"}
_FOLDER = resources.files("api.console") / "words"


@functools.cache
def table(language: Language) -> Mapping[str, str]:
    loaded: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))
    return loaded


def language_of(chosen: str, accepted: str) -> Language:
    """``chosen`` by the reader, else what the browser would like best of ours."""
    if chosen in LANGUAGES:
        return "en" if chosen == "en" else "zh"
    for part in accepted.lower().split(","):
        tag = part.partition(";")[0].strip().partition("-")[0]
        if tag in LANGUAGES:
            return "en" if tag == "en" else "zh"
    return "zh"


@dataclass(frozen=True, slots=True)
class Words:
    """One reader's language and time of day."""

    language: Language
    zone: tzinfo
    now: float

    def __call__(self, key: str, /, **values: object) -> str:
        return table(self.language)[key].format_map(values)

    def of(self, group: str, code: object) -> str:
        """The name of a code, such as ``status.open``; the code itself where it has none."""
        return table(self.language).get(f"{group}.{code}", str(code or ""))

    def has(self, key: str) -> bool:
        return key in table(self.language)

    def when(self, instant: str | float | None) -> str:
        """Today only the time, this year without the year."""
        found = instant_of(instant, self.zone)
        if found is None:
            return ""
        at, today = found.astimezone(self.zone), self._today()
        if at.date() == today.date():
            return f"{at:%H:%M}"
        if at.date() == (today - timedelta(days=1)).date():
            return self("time.yesterday", time=f"{at:%H:%M}")
        return f"{at:%m-%d %H:%M}" if at.year == today.year else f"{at:%Y-%m-%d %H:%M}"

    def whole(self, instant: str | float | None) -> str:
        found = instant_of(instant, self.zone)
        return f"{found.astimezone(self.zone):%Y-%m-%d %H:%M:%S}" if found else ""

    def iso(self, instant: str | float | None) -> str:
        found = instant_of(instant, self.zone)
        return found.isoformat() if found else ""

    def span(self, seconds: float | None) -> str:
        """A stretch of time, in its largest unit."""
        if seconds is None:
            return ""
        left = max(0, int(seconds))
        for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
            if left >= size:
                return self(f"span.{unit}", count=left // size)
        return self("span.second", count=left)

    def ms(self, value: float | None) -> str:
        return "<1 ms" if value is not None and value < 1 else f"{round(value or 0)} ms"

    def _today(self) -> datetime:
        return datetime.fromtimestamp(self.now, self.zone)


def instant_of(instant: str | float | None, zone: tzinfo = UTC) -> datetime | None:
    """``zone``: of a text that names none, as Tianwang's tasks have them."""
    if instant is None or instant == "":
        return None
    if isinstance(instant, int | float):
        return datetime.fromtimestamp(instant, UTC)
    try:
        found = datetime.fromisoformat(instant)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone)
