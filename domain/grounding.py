"""Does an answer say only what its evidence says? Numbers, prices and codes are checked."""

import re
from collections.abc import Iterable

from domain.text import fold

_FACT = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+\d+[a-z\d]*")
_MARK = re.compile(r"\s*(?:\[\d{1,2}\]|【\d{1,2}】)")


def facts_of(text: str) -> set[str]:
    """Numbers and codes (E03, 7kw) in ``text``, folded; thousands separators removed."""
    return {found.replace(",", "").rstrip(".") for found in _FACT.findall(fold(text))}


def unsupported(answer: str, sources: Iterable[str]) -> set[str]:
    """Numbers and codes of ``answer`` that no source contains."""
    known: set[str] = set()
    for source in sources:
        known |= facts_of(source)
    return facts_of(without_marks(answer)) - known


def cited(answer: str) -> list[int]:
    """The evidence numbers that ``answer`` cites as [1] or 【1】, in order, once each."""
    numbers = [int(found) for found in re.findall(r"[\[【](\d{1,2})[\]】]", answer)]
    return list(dict.fromkeys(numbers))


def without_marks(answer: str) -> str:
    """What the customer reads: no citation marks."""
    return _MARK.sub("", answer).strip()
