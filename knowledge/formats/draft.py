"""What every format's parser gives: drafts of entries, and the bounds that they share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from domain.errors import KnowledgeError

CHUNK_CHARS = 400
"""A chunk of free text: about what one answer can carry."""

LIST_CHARS = 2 * CHUNK_CHARS
"""A list stays whole, with its heading and lead-in, up to here."""

TABLE_CHARS = 3 * CHUNK_CHARS
"""A table stays whole up to here; a longer one is split with its header row repeated."""

TITLE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry as its document states it.

    ``line`` is 1-based and where it starts, 0 where a format has no lines; ``position`` is the
    place that a reader is told.
    """

    question: str
    answer: str
    line: int = 0
    topic: str = ""
    aliases: tuple[str, ...] = ()
    category: str = ""
    tags: tuple[str, ...] = ()
    position: str = ""


Parser = Callable[[bytes], Iterator[Draft | KnowledgeError]]
"""A document's bytes -> its drafts. A yielded error concerns a part, a raised one the document."""


def bad(reason: str) -> KnowledgeError:
    """``knowledge.documents`` knows the document's name and adds it."""
    return KnowledgeError("", reason)


def by_line(number: int) -> str:
    return f"第 {number} 行"
