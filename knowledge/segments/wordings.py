"""The texts of an entry: its units, and which of them stand for it as vectors."""

from enum import IntEnum
from typing import NamedTuple

from knowledge.documents import Entry
from knowledge.terms import text_hash

SHORT_ANSWER_CHARS = 160
"""A longer answer speaks of too much for one vector; its words are on the keyword side."""


class UnitKind(IntEnum):
    QUESTION = 0
    ALIAS = 1
    ANSWER = 2


_LETTERS = "qla"


class Wording(NamedTuple):
    """A text that has a vector."""

    kind: UnitKind
    text: str


def units_of(entry: Entry) -> list[Wording]:
    """Question, aliases, answer: in this order, the answer also where it is empty."""
    return [
        Wording(UnitKind.QUESTION, entry.question),
        *(Wording(UnitKind.ALIAS, alias) for alias in entry.aliases),
        Wording(UnitKind.ANSWER, entry.answer),
    ]


def wordings_of(entry: Entry) -> list[Wording]:
    """The units that have vectors, in the order of the units."""
    units = units_of(entry)
    return units if 0 < len(entry.answer) <= SHORT_ANSWER_CHARS else units[:-1]


def record_id(entry_id: str, kind: int, digest: int) -> str:
    """A vector's name in the vector store: another text is another record."""
    return f"{entry_id}:{_LETTERS[kind]}:{digest:016x}"


def record_ids(entry: Entry) -> list[str]:
    return [record_id(entry.id, kind, text_hash(text)) for kind, text in wordings_of(entry)]


def entry_of_record(record: str) -> str:
    return record.rsplit(":", 2)[0]
