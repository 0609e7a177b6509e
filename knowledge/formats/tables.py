"""Tables: rows of cells -> readable lines, or question-answer drafts where the columns say so."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge.formats.draft import Draft

Rows = tuple[tuple[str, ...], ...]

COLUMNS = {
    "question": ("question", "问题", "标准问", "标准问题", "q", "title"),
    "keywords": ("keywords", "keyword", "关键词", "关键字"),
    "answer": ("answer", "答案", "回答", "回复", "a", "content"),
    "aliases": ("aliases", "alias", "别名", "相似问", "相似问题", "similar"),
    "category": ("category", "分类", "类别"),
    "tags": ("tags", "tag", "标签"),
    "topic": ("topic", "主题"),
}
MAX_COLUMNS = 200
"""A wider table is no reading; its further columns are left out."""

_LIST = re.compile(r"[|;；\n]")
_NO_LABEL = re.compile(r"^[\d\s.,，%％:：/¥￥$+~()（）-]*$")
_LABEL_CHARS = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows ``first`` to ``last`` (0 is the header row) and the names in their first column."""

    text: str
    first: int
    last: int
    labels: tuple[str, ...]


def question_columns(header: Sequence[Any]) -> bool:
    names = {str(cell or "").strip().lower() for cell in header}
    asks = {*COLUMNS["question"], *COLUMNS["keywords"]}
    return bool(names & asks) and bool(names & set(COLUMNS["answer"]))


def is_column(name: str) -> bool:
    return any(name.strip().lower() in names for names in COLUMNS.values())


def question_row(header: Sequence[str], row: Sequence[str]) -> Draft | None:
    """None for an empty row."""
    if not any(cell.strip() for cell in row):
        return None
    return record(dict(zip(header, row, strict=False)))


def record(row: Mapping[Any, Any], line: int = 0, position: str = "") -> Draft:
    cells = {str(key or "").strip().lower(): value for key, value in row.items()}

    def cell(column: str) -> Any:
        return next((cells[name] for name in COLUMNS[column] if cells.get(name)), "")

    question, aliases = str(cell("question")).strip(), _values(cell("aliases"))
    if not question:
        question, *others = _values(cell("keywords")) or ("",)
        aliases = (*others, *aliases)
    return Draft(
        question=question,
        answer=str(cell("answer")).strip(),
        line=line,
        topic=str(cell("topic")).strip(),
        aliases=aliases,
        category=str(cell("category")).strip(),
        tags=_values(cell("tags")),
        position=position,
    )


def _values(cell: Any) -> tuple[str, ...]:
    parts = cell if isinstance(cell, list) else _LIST.split(str(cell))
    return tuple(text for part in parts if (text := str(part).strip()))


def tidy(rows: Sequence[Sequence[str]]) -> Rows:
    """Cells on one line each, without the rows and columns that are empty throughout."""
    width = min(max(map(len, rows), default=0), MAX_COLUMNS)
    full = [
        [" ".join(cell.split()) for cell in row[:width]] + [""] * (width - len(row))
        for row in rows
        if any(cell.strip() for cell in row)
    ]
    kept = [column for column in range(width) if any(row[column] for row in full)]
    return tuple(tuple(row[column] for column in kept) for row in full)


def render(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(map(_line, rows))


def _line(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "／") for cell in row) + " |"


def pieces(rows: Rows, limit: int) -> Iterator[Piece]:
    """The whole table, or parts within ``limit`` characters that each repeat the header row."""
    header, lines = _line(rows[0]), [_line(row) for row in rows[1:]]
    if not lines:
        yield Piece(header, 0, 0, ())
        return
    first, chars = 1, len(header)
    for number, line in enumerate(lines, start=1):
        if number > first and chars + len(line) + 1 > limit:
            yield _piece(rows, header, lines, first, number - 1)
            first, chars = number, len(header)
        chars += len(line) + 1
    yield _piece(rows, header, lines, first, len(lines))


def _piece(rows: Rows, header: str, lines: Sequence[str], first: int, last: int) -> Piece:
    text = "\n".join((header, *lines[first - 1 : last]))
    labels = dict.fromkeys(row[0] for row in rows[first : last + 1] if _is_label(row[0]))
    return Piece(text, first, last, tuple(labels)[:_LABEL_CHARS])


def _is_label(cell: str) -> bool:
    """A name that a customer may ask by; not a number, a date or a price."""
    return 2 <= len(cell) <= _LABEL_CHARS and not _NO_LABEL.match(cell)
