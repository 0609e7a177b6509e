"""Pieces of text on a page -> headings, paragraphs and tables, by size and place.

What PDF pages and pictures have in common: neither says what is a heading or a cell.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from knowledge.formats import tables
from knowledge.formats.blocks import ANSWER, QUESTION, Block

_GAP = 1.2
"""Cells of one row lie further apart than this many heights; words of one line do not."""
_HEADING_RATIO = 1.15
_HEADING_CHARS = 40
_COLUMN_LINES = 3
_COLUMN_CHARS = 8
_SENTENCE_ENDS = "。！？!?；;：:…"
_STARTS = re.compile(
    r"^(?:[•·●◆■▪※*-]\s*|[（(]?[\d一二三四五六七八九十]{1,3}[)）、]|\d{1,2}\.(?!\d)|第[\d一二三四五六七八九十百]+[章节条])"
)
_ITEM = re.compile(r"^(?:[•·●◆■▪*-]\s*|[（(]?\d{1,3}[)）、]|\d{1,2}\.(?!\d))")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text and its box; y grows downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces of one height on the page, left to right; ``edge`` is where its column ends."""

    cells: tuple[Piece, ...]
    page: str = ""
    sheet: int = 0
    edge: float = 0.0

    @property
    def text(self) -> str:
        return "  ".join(cell.text for cell in self.cells)

    @property
    def size(self) -> float:
        return max(cell.height for cell in self.cells)

    @property
    def top(self) -> float:
        return min(cell.top for cell in self.cells)

    @property
    def bottom(self) -> float:
        return max(cell.bottom for cell in self.cells)

    @property
    def left(self) -> float:
        return self.cells[0].left

    @property
    def right(self) -> float:
        return self.cells[-1].right


@dataclass(frozen=True, slots=True)
class Grid:
    """A table whose cells the page itself draws; ``size`` is the usual height of its text."""

    rows: tables.Rows
    page: str
    size: float

    @property
    def chars(self) -> int:
        return sum(len(cell) for row in self.rows for cell in row)


Item = Line | Grid


def lines_of(pieces: Iterable[Piece], page: str = "", sheet: int = 0) -> list[Line]:
    """Pieces that overlap in height are one line; those that nearly touch are one cell."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: piece.top + piece.bottom):
        if rows and _overlap(rows[-1][-1], piece) > 0.5:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [Line(tuple(_cells(row)), page, sheet) for row in rows]


def reading_order(pieces: Sequence[Piece], page: str = "", sheet: int = 0) -> list[Line]:
    """Down the page, or column by column where the document was written so: there the text goes
    back up, to the right of what it has written."""
    columns, loose = _columns(
        [Line(tuple(_cells(row)), page, sheet) for row in _as_written(pieces)]
    )
    if not columns:
        return lines_of(pieces, page, sheet)
    top = min(line.top for column in columns for line in column)
    above = [line for line in loose if line.top < top]
    below = [line for line in loose if line.top >= top]
    return [*above, *(line for column in columns for line in column), *below]


def _as_written(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    row: list[Piece] = []
    for piece in pieces:
        if row and (_overlap(row[-1], piece) <= 0.5 or piece.left < row[-1].left):
            yield row
            row = []
        row.append(piece)
    if row:
        yield row


def _columns(lines: Sequence[Line]) -> tuple[list[list[Line]], list[Line]]:
    """Columns of prose, none where the page has one; and the lines that belong to no column."""
    runs: list[list[Line]] = []
    for line in lines:
        if runs and line.top > runs[-1][-1].top:
            runs[-1].append(line)
        else:
            runs.append([line])
    columns = [run for run in runs if len(run) >= _COLUMN_LINES]
    prose = all(median(len(line.text) for line in run) >= _COLUMN_CHARS for run in columns)
    if len(columns) < 2 or not prose or not all(map(_is_beside, columns, columns[1:])):
        return [], []
    columns = [_within(column) for column in columns]
    return columns, [line for run in runs if len(run) < _COLUMN_LINES for line in run]


def _within(column: Sequence[Line]) -> list[Line]:
    """A title across the page that was written with the first column has its own width."""
    edge = median(line.right for line in column)
    return [replace(line, edge=max(edge, line.right)) for line in column]


def _is_beside(left: Sequence[Line], right: Sequence[Line]) -> bool:
    edge = min(line.left for line in right)
    level = [line for line in left if line.bottom > min(other.top for other in right)]
    return len(level) >= _COLUMN_LINES and all(line.right <= edge for line in level)


def _overlap(one: Piece, other: Piece) -> float:
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared / max(min(one.height, other.height), 0.1)


def _cells(row: list[Piece]) -> Iterator[Piece]:
    cell: Piece | None = None
    for piece in sorted(row, key=lambda piece: piece.left):
        if cell is not None and piece.left - cell.right <= _GAP * max(cell.height, piece.height):
            cell = Piece(
                _joined(cell.text, piece.text),
                cell.left,
                min(cell.top, piece.top),
                max(cell.right, piece.right),
                max(cell.bottom, piece.bottom),
            )
            continue
        if cell is not None:
            yield cell
        cell = piece
    if cell is not None:
        yield cell


def _joined(before: str, after: str) -> str:
    """Chinese runs on; between words of letters there is a space."""
    latin = before[-1:].isascii() and after[:1].isascii() and not before.endswith((" ", "-"))
    return f"{before} {after}" if latin and before and after else before + after


def blocks_of(items: Sequence[Item]) -> Iterator[Block]:
    levels = _heading_levels(items)
    width = max((item.right for item in items if isinstance(item, Line)), default=0.0)
    at = 0
    while at < len(items):
        item = items[at]
        if isinstance(item, Grid):
            yield Block("table", rows=item.rows, page=item.page)
            at += 1
            continue
        end = _table_end(items, at)
        if end:
            rows = tables.tidy(_aligned([item for item in items[at:end] if isinstance(item, Line)]))
            yield Block("table", rows=rows, page=item.page)
            at = end
            continue
        level = _level(item, levels)
        end = _paragraph_end(items, at, levels, width)
        paragraph = [item for item in items[at:end] if isinstance(item, Line)]
        yield _block(paragraph, level)
        at = end


def _block(lines: Sequence[Line], level: int) -> Block:
    text, page, turns = "", lines[0].page, list[tuple[int, str]]()
    for before, line in zip((lines[0], *lines), lines, strict=False):
        text = _joined(text, line.text) if text else line.text
        if line.page != before.page:
            turns.append((len(text) - len(line.text), line.page))
    if level:
        return Block("text", text, level=level, page=page)
    return Block("item" if _ITEM.match(text) else "text", text, page=page, turns=tuple(turns))


def _heading_levels(items: Sequence[Item]) -> list[float]:
    """Sizes above that of most characters, largest first."""
    chars: Counter[float] = Counter()
    for item in items:
        chars[_rounded(item.size)] += item.chars if isinstance(item, Grid) else len(item.text)
    if not chars:
        return []
    body = chars.most_common(1)[0][0]
    return sorted((size for size in chars if size >= body * _HEADING_RATIO), reverse=True)


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _level(line: Line, levels: Sequence[float]) -> int:
    text = line.text.strip()
    size = _rounded(line.size)
    fits = len(line.cells) == 1 and len(text) <= _HEADING_CHARS and text[-1:] not in "。；;，,"
    return levels.index(size) + 1 if fits and size in levels else 0


def _paragraph_end(items: Sequence[Item], at: int, levels: Sequence[float], width: float) -> int:
    end = at + 1
    first = items[at]
    assert isinstance(first, Line)
    level = _level(first, levels)
    while end < len(items):
        before, after = items[end - 1], items[end]
        if not isinstance(before, Line) or not isinstance(after, Line) or _table_end(items, end):
            break
        if _level(after, levels) != level or not _runs_on(before, after, before.edge or width):
            break
        end += 1
    return end


def _runs_on(before: Line, after: Line, edge: float) -> bool:
    text = before.text.rstrip()
    if _STARTS.match(after.text) or QUESTION.match(after.text) or ANSWER.match(after.text):
        return False
    if before.sheet != after.sheet or after.top < before.top:
        return text[-1:] not in _SENTENCE_ENDS
    if before.right < edge - 3 * before.size:
        return False
    if after.left - before.left > 1.5 * after.size:
        return False
    return after.top - before.bottom < 1.2 * before.size


def _table_end(items: Sequence[Item], at: int) -> int:
    """The end of at least two lines with the same two or more columns, 0 where there is none."""
    first = items[at]
    if not isinstance(first, Line) or len(first.cells) < 2:
        return 0
    end = at + 1
    while end < len(items) and _same_columns(first, items[end]):
        end += 1
    return end if end - at >= 2 else 0


def _same_columns(header: Line, other: Item) -> bool:
    if not isinstance(other, Line) or other.sheet != header.sheet:
        return False
    if not 2 <= len(other.cells) <= len(header.cells):
        return False
    return all(_column(header, cell) is not None for cell in other.cells)


def _column(header: Line, cell: Piece) -> int | None:
    """A cell is under the heading that it overlaps, or that starts or ends where it does."""
    for number, above in enumerate(header.cells):
        reach = above.height
        if cell.left < above.right + reach and cell.right > above.left - reach:
            return number
    return None


def _aligned(lines: Sequence[Line]) -> list[list[str]]:
    rows: list[list[str]] = []
    for line in lines:
        row = [""] * len(lines[0].cells)
        for cell in line.cells:
            column = _column(lines[0], cell) or 0
            row[column] = _joined(row[column], cell.text)
        rows.append(row)
    return rows


def without_running_heads(lines: Sequence[Line], sheets: int) -> list[Line]:
    """Without headers and footers: what stands first or last on most pages, page numbers apart,
    and is no larger than the text, as the headings of chapters are."""
    edges = _edges(lines).values()
    seen = Counter(text for pair in edges for text in {_unnumbered(line) for line in pair})
    repeated = {text for text, count in seen.items() if sheets >= 3 and count > sheets / 2}
    headings = _heading_levels(lines)
    dropped = {
        id(line)
        for pair in edges
        for line in pair
        if _unnumbered(line) in repeated and _rounded(line.size) not in headings
    }
    return [line for line in lines if id(line) not in dropped]


def _edges(lines: Sequence[Line]) -> dict[int, tuple[Line, Line]]:
    pages: dict[int, list[Line]] = {}
    for line in lines:
        pages.setdefault(line.sheet, []).append(line)
    return {
        sheet: (min(on, key=lambda line: line.top), max(on, key=lambda line: line.bottom))
        for sheet, on in pages.items()
    }


def _unnumbered(line: Line) -> str:
    return re.sub(r"\d+", "#", line.text)


def without_sizes(lines: Sequence[Line]) -> list[Line]:
    """A picture's boxes wobble: within a third of the usual height, a line counts as that high."""
    if not lines:
        return []
    usual = median(line.size for line in lines)
    return [
        replace(line, cells=tuple(_steady(cell, usual) for cell in line.cells)) for line in lines
    ]


def _steady(cell: Piece, usual: float) -> Piece:
    if abs(cell.height - usual) > usual / 3:
        return cell
    middle = (cell.top + cell.bottom) / 2
    return replace(cell, top=middle - usual / 2, bottom=middle + usual / 2)
