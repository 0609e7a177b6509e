"""Text normalisation shared by rules, triggers, classification and retrieval."""

import re
import unicodedata
from functools import lru_cache

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^\w\u4e00-\u9fff]+")

# Not str.isprintable(): that also refuses joined emoji, private-use signs and every sign that is
# newer than Python's tables, and nicknames, which some clients send as ids, are full of them.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def is_one_line(text: str) -> bool:
    """No control character, line break, direction override or lone surrogate: fit for an id."""
    return _UNUSABLE.search(text) is None


def one_line(text: str) -> str:
    """``text`` cleaned, with single spaces for line breaks: fit for a name."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """Drop control, zero-width and direction characters and lone surrogates; keep line breaks."""
    if not text.isprintable():
        text = text.encode("utf-8", "ignore").decode("utf-8")
        text = _CONTROL.sub("", text)
    return text.strip()


_REMEMBERED_CHARS = 400
"""One message is folded by rules, classifier, prices and retrieval: a dozen times, mostly short."""


def fold(text: str) -> str:
    """NFKC (full width to half width), lower case, single spaces."""
    return _remembered_fold(text) if len(text) <= _REMEMBERED_CHARS else _fold(text)


def letters(text: str) -> str:
    """Folded text without punctuation and spaces: what exact matching compares."""
    return _remembered_letters(text) if len(text) <= _REMEMBERED_CHARS else _letters(text)


def _fold(text: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip().lower()


def _letters(text: str) -> str:
    return _NOT_WORD.sub("", fold(text)).replace("_", "")


_remembered_fold = lru_cache(maxsize=4_096)(_fold)
_remembered_letters = lru_cache(maxsize=4_096)(_letters)
