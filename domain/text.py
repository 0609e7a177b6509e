"""Text normalisation shared by rules, triggers, classification and retrieval."""

import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^\w\u4e00-\u9fff]+")


def clean(text: str) -> str:
    """Drop control, zero-width and direction characters and lone surrogates; keep line breaks."""
    if not text.isprintable():
        text = text.encode("utf-8", "ignore").decode("utf-8")
        text = _CONTROL.sub("", text)
    return text.strip()


def fold(text: str) -> str:
    """NFKC (full width to half width), lower case, single spaces."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip().lower()


def letters(text: str) -> str:
    """Folded text without punctuation and spaces: what exact matching compares."""
    return _NOT_WORD.sub("", fold(text)).replace("_", "")
