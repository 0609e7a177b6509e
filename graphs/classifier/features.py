"""Hashed character n-grams: no vocabulary file, the same numbers on every machine."""

import re
from itertools import pairwise
from zlib import crc32

from domain.text import fold

BUCKETS = 1 << 15
MAX_CHARS = 400
"""Longer messages are read at both ends: what is wanted stands first or last."""

_LINK = re.compile(r"https?://\S+")
_LONG_NUMBER = re.compile(r"\d{5,}")
_DIGIT = re.compile(r"\d")
_START, _END = "\x02", "\x03"


def normalise(text: str) -> str:
    """Folded text in which numbers keep their shape but not their value."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + text[-MAX_CHARS // 2 :]
    text = fold(text)
    if "http" in text:
        text = _LINK.sub("\x04", text)
    return _DIGIT.sub("0", _LONG_NUMBER.sub("00000", text))


def features(text: str) -> list[int]:
    """Buckets (0..BUCKETS-1, sorted, each once) of the character 1- to 3-grams of ``text``."""
    marked = f"{_START}{normalise(text)}{_END}"
    grams = set(marked[1:-1])
    grams.update(map("".join, pairwise(marked)))
    grams.update(map("".join, zip(marked, marked[1:], marked[2:], strict=False)))
    return sorted({crc32(gram.encode("utf-8", "replace")) % BUCKETS for gram in grams})
