"""One notice as one text, cut as its platform counts."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable

from tools.notify.protocol import StaffNotice

_CUT = "…"
_ALARM = "🚨"


def plain(notice: StaffNotice) -> str:
    """As seed 004 prints it: what it is about, then the facts."""
    return f"{headline(notice)}\n\n{sendable(notice.text)}"


def headline(notice: StaffNotice) -> str:
    """Titles of dispatches bring a sign of their own, and stars for robots that read markdown."""
    title = " ".join(sendable(notice.title).replace("**", "").split())
    marked = bool(title) and unicodedata.category(title[0]) == "So"
    return title if marked else f"{_ALARM} {title}"


def sendable(text: str) -> str:
    # A lone surrogate or a NUL in a customer's words must not stop a notice.
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def fitting(text: str, limit: int, size: Callable[[str], int]) -> str:
    """``text``, or the longest beginning of it that has with an ellipsis at most ``limit`` by
    ``size``, which must not shrink as a text grows."""
    if size(text) <= limit:
        return text
    longest = bisect_right(range(1, len(text)), limit, key=lambda at: size(text[:at] + _CUT))
    return text[:longest] + _CUT


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
