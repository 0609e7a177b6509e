"""Patterns that an operator writes and every message is held against: bounded by their grammar.

A small part of regular expressions: characters, classes, groups, choices, anchors, and counts with
an end on single characters. The number of ways in which such a pattern can be tried at one place is
the product of its choices, which is limited, so no message makes it slow.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_PATTERN_CHARS = 300
MAX_COUNT = 40
MAX_WAYS = 500
"""The product of all choices: 2 for each 「?」, n-m+1 for {m,n}, the branches of each group that do
not begin with different characters. A message of 2,000 characters takes 20 ms at the worst."""
_PIECE = re.compile(
    r"(?P<atom>\\[dDwWsSbB]|\\[^a-zA-Z0-9]|\[(?:\\.|[^\]\\\[])+\]|[^\\\[\](){}|?*+^$])"
    r"(?P<count>\?|\{\d{1,2}(?:,\d{1,2})?\})?"
    r"|(?P<open>\((?:\?:)?)|(?P<close>\)\??)|(?P<branch>\|)|(?P<anchor>[\^$])"
)


@dataclass(slots=True)
class _Group:
    """``firsts``: what its branches begin with; None: not with a plain character."""

    firsts: list[str | None] = field(default_factory=lambda: [None])
    begins: bool = True

    def begin(self, sign: str | None) -> None:
        if self.begins:
            self.firsts[-1], self.begins = sign, False

    def branch(self) -> None:
        self.firsts.append(None)
        self.begins = True

    @property
    def ways(self) -> int:
        """Branches that begin with different characters exclude each other."""
        known = {sign for sign in self.firsts if sign is not None}
        return 1 if len(known) == len(self.firsts) else len(self.firsts)


def checked_pattern(text: str) -> str:
    """Raises ValueError that names what is not supported, or says that it may try too much."""
    groups, ways, at = [_Group()], 1, 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"{text!r}: {_refused(text[at])} (character {at + 1})")
        at = piece.end()
        if piece["open"]:
            groups[-1].begin(None)
            groups.append(_Group())
        elif piece["branch"]:
            groups[-1].branch()
        elif piece["close"]:
            if len(groups) == 1:
                raise ValueError(f"{text!r}: a bracket too many (character {at})")
            ways *= groups.pop().ways + piece["close"].endswith("?")
        elif piece["atom"]:
            plain = len(piece["atom"]) == 1 and piece["atom"] != "." and not piece["count"]
            groups[-1].begin(piece["atom"].lower() if plain else None)
            ways *= _ways(text, piece["count"]) if piece["count"] else 1
    if len(groups) > 1:
        raise ValueError(f"{text!r}: a bracket is not closed")
    if ways * groups[0].ways > MAX_WAYS:
        raise ValueError(f"{text!r} may be tried in more than {MAX_WAYS} ways")
    return _compiles(text)


def _refused(sign: str) -> str:
    if sign in "*+":
        return f"{sign} has no end, write {{0,20}} or {{1,20}}"
    if sign in "?{}":
        return f"{sign} may only follow a single character"
    return f"{sign} is not supported here"


def _ways(text: str, count: str) -> int:
    if count == "?":
        return 2
    least, _, most = count.strip("{}").partition(",")
    low, high = int(least), int(most or least)
    if not low <= high <= MAX_COUNT:
        raise ValueError(f"{text!r}: counts go up to {MAX_COUNT}, not {count}")
    return high - low + 1


def _compiles(text: str) -> str:
    try:
        found = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r}: {error.msg}") from None
    if found.search("") is not None:
        raise ValueError(f"{text!r} is found in every message")
    return text


Pattern = Annotated[str, Field(max_length=MAX_PATTERN_CHARS), AfterValidator(checked_pattern)]
