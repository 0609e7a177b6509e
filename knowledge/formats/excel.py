"""Excel workbooks: question-answer rows where the columns say so, other sheets as tables."""

import datetime
import io
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lxml import etree  # type: ignore[import-untyped]
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    load_workbook,
)

from knowledge.formats import ole, package, tables
from knowledge.formats.draft import TABLE_CHARS, Draft, bad

MAX_CELLS = 5_000_000
"""From the first to the last cell of a sheet, empty ones included: calamine lays them all out."""
MAX_FILLED = 1_000_000
"""Cells that take the text of a merged cell."""
_HEADER_WITHIN = 5
_REFERENCE = re.compile(r"^([A-Za-z]{1,3})(\d{1,7})$")

Value = (
    int
    | float
    | str
    | bool
    | datetime.time
    | datetime.date
    | datetime.datetime
    | datetime.timedelta
)


def parse_excel(data: bytes) -> Iterator[Draft]:
    """Hidden sheets stay hidden: they hold what is not for customers."""
    workbook = _open(data)
    shown = [
        sheet.name
        for sheet in workbook.sheets_metadata
        if sheet.typ is SheetTypeEnum.WorkSheet and sheet.visible is SheetVisibleEnum.Visible
    ]
    with workbook:
        for name in shown:
            yield from _sheet(_Sheet(name, *_rows(workbook, name)))


def _open(data: bytes) -> CalamineWorkbook:
    if data.startswith(ole.MAGIC):
        _check_records(data)
    else:
        data = package.stored(data)
        _check_extents(data)
    with _reported():
        return load_workbook(io.BytesIO(data))


@contextmanager
def _reported() -> Iterator[None]:
    """calamine's errors, and its panics, which are no Exception to Python."""
    try:
        yield
    except PasswordError as error:
        raise bad("文件已加密，请去掉密码后再导入") from error
    except CalamineError as error:
        raise bad(f"Excel 文件已损坏：{error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise bad("Excel 文件已损坏") from error


@dataclass(frozen=True, slots=True)
class _Sheet:
    """``numbers``: the row of each of ``rows`` as Excel shows it."""

    name: str
    rows: tables.Rows
    numbers: tuple[int, ...]

    def position(self, first: int, last: int) -> str:
        numbers = self.numbers[first], self.numbers[last]
        rows = f"{numbers[0]}" if first == last else f"{numbers[0]}–{numbers[1]}"
        return f"工作表「{self.name}」第 {rows} 行"


def _rows(workbook: CalamineWorkbook, name: str) -> tuple[tables.Rows, tuple[int, ...]]:
    with _reported():
        sheet = workbook.get_sheet_by_name(name)
        first = (sheet.start or (0, 0))[0] + 1
        cells = _unmerged(
            sheet, [list(map(_text, row[: tables.MAX_COLUMNS])) for row in _values(sheet)]
        )
    numbers = tuple(first + n for n, row in enumerate(cells) if any(map(str.strip, row)))
    return tables.tidy(cells), numbers


def _values(sheet: CalamineSheet) -> Iterator[list[Value]]:
    return sheet.iter_rows() if sheet.start is not None else iter(())


def _unmerged(sheet: CalamineSheet, rows: list[list[str]]) -> list[list[str]]:
    """What a merged cell says downwards holds for each of its rows."""
    top, left = sheet.start or (0, 0)
    filled = 0
    for (row, column), (last, _) in sheet.merged_cell_ranges or ():
        above, at = row - top, column - left
        if 0 <= above < len(rows) and 0 <= at < len(rows[above]):
            filled += last - row
            if filled > MAX_FILLED:
                raise bad("合并的单元格过多")
            for below in rows[above + 1 : last - top + 1]:
                below[at] = below[at] or rows[above][at]
    return rows


def _text(value: Value) -> str:
    match value:
        case bool():
            return "是" if value else "否"
        case float():
            return f"{value:.10g}"
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(" ", "minutes")
        case datetime.time():
            return value.isoformat("minutes")
    return str(value)


def _sheet(sheet: _Sheet) -> Iterator[Draft]:
    for at, row in enumerate(sheet.rows[:_HEADER_WITHIN]):
        if tables.question_columns(row):
            yield from _pairs(sheet, at)
            return
    if sheet.rows:
        yield from _table(sheet)


def _pairs(sheet: _Sheet, header: int) -> Iterator[Draft]:
    for at in range(header + 1, len(sheet.rows)):
        draft = tables.question_row(sheet.rows[header], sheet.rows[at])
        if draft is not None:
            topic = draft.topic or sheet.name
            yield replace(
                draft, topic=topic, line=sheet.numbers[at], position=sheet.position(at, at)
            )


def _table(sheet: _Sheet) -> Iterator[Draft]:
    """Lines of one cell above the table are its caption."""
    header = next((n for n, row in enumerate(sheet.rows) if sum(map(bool, row)) > 1), 0)
    caption = " ".join(cell for row in sheet.rows[:header] for cell in row if cell)
    title = f"{sheet.name} {caption}".strip()
    for number, piece in enumerate(tables.pieces(sheet.rows[header:], TABLE_CHARS), start=1):
        first = header + (piece.first if number > 1 else 0)
        yield Draft(
            title if number == 1 else f"{title} ({number})",
            piece.text,
            line=sheet.numbers[first],
            topic=sheet.name,
            aliases=tuple(f"{label} {title}" for label in piece.labels),
            position=sheet.position(first, header + piece.last),
        )


def _check_extents(data: bytes) -> None:
    """calamine allocates the rectangle around all cells of a sheet, and ends the process where
    there is no memory for it: one cell in the last corner is enough."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as workbook:
            for name in workbook.namelist():
                if name.lower().startswith("xl/worksheets/") and name.lower().endswith(".xml"):
                    with workbook.open(name) as sheet:
                        _check_sheet(_Extent(), etree.iterparse(sheet, **_EVENTS))
    except etree.XMLSyntaxError as error:
        raise bad("Excel 文件已损坏：工作表不是有效的 XML") from error


_EVENTS = {
    "events": ("start", "end"),
    "tag": ("{*}row", "{*}c"),
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
}


class _Extent:
    """The rectangle around the cells seen so far."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._columns: list[int] = []

    def add(self, row: int, column: int) -> None:
        if not self._rows:
            self._rows, self._columns = [row, row], [column, column]
        self._rows = [min(self._rows[0], row), max(self._rows[1], row)]
        self._columns = [min(self._columns[0], column), max(self._columns[1], column)]
        height, width = self._rows[1] - self._rows[0] + 1, self._columns[1] - self._columns[0] + 1
        if height * width > MAX_CELLS:
            raise bad(f"工作表的范围超过 {MAX_CELLS // 10_000} 万个单元格，请删去远处的空白行列")


def _check_sheet(extent: _Extent, events: Iterator[tuple[str, etree._Element]]) -> None:
    row, column = 0, 0
    for event, element in events:
        is_cell = element.tag.endswith("}c")
        if event == "start" and not is_cell:
            row, column = _number(element.get("r"), row + 1), 0
        elif event == "end" and is_cell:
            at = _REFERENCE.match(element.get("r") or "")
            row, column = (int(at[2]), _column(at[1])) if at else (row, column + 1)
            if len(element):
                extent.add(row, column)
        elif event == "end":
            element.clear()


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() else otherwise


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


_CELL_RECORDS = frozenset(
    (0x0006, 0x0206, 0x0406, 0x0203, 0x0204, 0x0205, 0x027E, 0x00BD, 0x00FD, 0x00D6)
)
_BOF, _FILEPASS = 0x0809, 0x002F
_MULRK = 0x00BD


def _check_records(data: bytes) -> None:
    """The same for .xls. Source: [MS-XLS] 2.4."""
    names = ole.streams(data)
    first, size = names.get("Workbook") or names["Book"]
    book = ole.stream(data, first, size)
    extent = _Extent()
    for record, content in _records(book):
        if record == _FILEPASS:
            raise bad("文件已加密，请去掉密码后再导入")
        if record == _BOF:
            extent = _Extent()
        elif record in _CELL_RECORDS and len(content) >= 4:
            row, column = struct.unpack_from("<HH", content)
            extent.add(row, column)
            if record == _MULRK:
                extent.add(row, struct.unpack_from("<H", content, len(content) - 2)[0])


def _records(book: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(book):
        record, size = struct.unpack_from("<HH", book, at)
        yield record, book[at + 4 : at + 4 + size]
        at += 4 + size
