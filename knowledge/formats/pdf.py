"""PDF: text with its place and size, drawn tables by their rules, scanned pages by OCR."""

import ctypes
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pypdfium2.raw as raw  # type: ignore[import-untyped]

from domain.errors import KnowledgeError
from knowledge.formats import tables
from knowledge.formats.blocks import drafts_of
from knowledge.formats.draft import Draft, bad
from knowledge.formats.layout import (
    Grid,
    Item,
    Line,
    Piece,
    blocks_of,
    lines_of,
    reading_order,
    without_running_heads,
    without_sizes,
)
from knowledge.formats.ocr import MAX_SIDE, Picture, read_picture
from knowledge.formats.rules import Cells, Rule, grids_of

MAX_PAGES = 1_000
MAX_SCANNED_PAGES = 50
MAX_CHARS_A_PAGE = 100_000
_SCANNED_BELOW_CHARS = 5
_MAX_DRAWN = 5_000
_OCR_SCALE = 200 / 72
_FORM_DEPTH = 4
_SPACES = frozenset((0x09, 0x0A, 0x0D, 0x20, 0xA0, 0x3000))
_UNPRINTED = frozenset((0xFFFE, 0xFFFF, 0xFFFD))
_MADE_UP = "\x00"

_pdfium = threading.Lock()
"""PDFium is not safe to use from two threads."""

Handle = Any


def parse_pdf(data: bytes) -> Iterator[Draft | KnowledgeError]:
    with _pdfium:
        items = list(_items(data))
    if not items:
        raise bad("PDF 里没有文字，也没有认出文字的图片")
    yield from drafts_of(blocks_of(items))


def _items(data: bytes) -> Iterator[Item]:
    document = _open(data)
    try:
        count = len(document)
        if count > MAX_PAGES:
            raise bad(f"PDF 有 {count} 页，超过 {MAX_PAGES} 页，请拆分后再导入")
        pages = _Pages()
        items = [item for number in range(count) for item in pages.read(document, number)]
    except pdfium.PdfiumError as error:
        raise bad("PDF 文件已损坏") from error
    finally:
        document.close()
    kept = {
        id(line) for line in without_running_heads([i for i in items if isinstance(i, Line)], count)
    }
    yield from (item for item in items if isinstance(item, Grid) or id(item) in kept)


def _open(data: bytes) -> Handle:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise bad("文件已加密，请去掉密码后再导入") from error
        raise bad("PDF 文件已损坏") from error


class _Pages:
    def __init__(self) -> None:
        self._scanned = 0

    def read(self, document: Handle, number: int) -> list[Item]:
        page = document[number]
        text_page = page.get_textpage()
        try:
            rules = _rules(page)
            pieces = _pieces(text_page, page.get_height(), rules)
            if sum(len(piece.text) for piece in pieces) >= _SCANNED_BELOW_CHARS:
                return _laid_out(rules, pieces, number)
            return [*self._recognised(page, number)]
        finally:
            text_page.close()
            page.close()

    def _recognised(self, page: Handle, number: int) -> list[Line]:
        if not any(True for _ in page.get_objects([raw.FPDF_PAGEOBJ_IMAGE], max_depth=_FORM_DEPTH)):
            return []
        self._scanned += 1
        if self._scanned > MAX_SCANNED_PAGES:
            raise bad(f"扫描的页面超过 {MAX_SCANNED_PAGES} 页，请拆分后再导入")
        side = max(page.get_size())
        bitmap = page.render(scale=min(_OCR_SCALE, MAX_SIDE / max(side, 1)))
        try:
            picture = Picture(bitmap.to_pil().convert("RGB"))
        finally:
            bitmap.close()
        return without_sizes(lines_of(read_picture(picture), _page(number), number))


def _page(number: int) -> str:
    return f"第 {number + 1} 页"


def _pieces(text_page: Handle, height: float, rules: list[Rule]) -> list[Piece]:
    """Characters, joined where they touch and no rule divides them. y grows downwards."""
    down = [rule for rule in rules if rule.straight and not rule.horizontal]
    count = text_page.count_chars()
    if count > MAX_CHARS_A_PAGE:
        raise bad(f"PDF 的一页超过 {MAX_CHARS_A_PAGE} 字")
    box, pieces, gap = raw.FS_RECTF(), list[Piece](), ""
    for index in range(count):
        code = raw.FPDFText_GetUnicode(text_page, index)
        if code in _SPACES:
            # PDFium makes spaces up where it sees a gap; Chinese with Latin is set with gaps.
            made_up = raw.FPDFText_IsGenerated(text_page, index) == 1
            gap = _MADE_UP if made_up and gap != " " else " "
        elif code > 0x20 and code not in _UNPRINTED and not 0xD800 <= code < 0xE000:
            if raw.FPDFText_GetLooseCharBox(text_page, index, box):
                char = Piece(chr(code), box.left, height - box.top, box.right, height - box.bottom)
                if pieces and _touches(pieces[-1], char, down):
                    pieces[-1] = _grown(pieces[-1], char, gap)
                else:
                    size = _size(text_page, index) or char.height
                    pieces.append(replace(char, top=char.bottom - size))
            gap = ""
    return pieces


def _size(text_page: Handle, index: int) -> float:
    """Of the font as it is drawn: boxes of characters differ within one font."""
    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(text_page, index, matrix):
        return 0.0
    size: float = raw.FPDFText_GetFontSize(text_page, index) * math.hypot(matrix.b, matrix.d)
    return size


def _touches(before: Piece, after: Piece, down: list[Rule]) -> bool:
    height, gap = before.height, after.left - before.right
    if abs(before.bottom - after.bottom) >= height / 2 or not -height / 2 < gap < height * 0.6:
        return False
    return gap < 1 or not any(rule.divides(before, after) for rule in down)


def _grown(piece: Piece, char: Piece, gap: str) -> Piece:
    between = gap
    if gap == _MADE_UP:
        between = " " if piece.text[-1].isascii() and char.text.isascii() else ""
    return replace(piece, text=piece.text + between + char.text, right=max(piece.right, char.right))


def _laid_out(rules: list[Rule], pieces: list[Piece], number: int) -> list[Item]:
    """Lines in the order of reading, with each drawn table before what is below it."""
    grids = grids_of(rules)
    free = [piece for piece in pieces if not any(grid.holds(piece) for grid in grids)]
    items: list[Item] = [*reading_order(free, _page(number), number)]
    for grid in reversed(grids):
        rows = tables.tidy(_cell_texts(grid, pieces))
        at = (n for n, item in enumerate(items) if isinstance(item, Line) and grid.precedes(item))
        if rows:
            inside = [piece.height for piece in pieces if grid.holds(piece)]
            items.insert(next(at, len(items)), Grid(rows, _page(number), median(inside)))
    return items


def _cell_texts(grid: Cells, pieces: list[Piece]) -> list[list[str]]:
    cells: dict[tuple[int, int], list[Piece]] = {}
    for piece in pieces:
        at = grid.cell(piece)
        if at is not None:
            cells.setdefault(at, []).append(piece)
    return [
        [_cell_text(cells.get((row, column), [])) for column in range(grid.columns)]
        for row in range(grid.rows)
    ]


def _cell_text(pieces: list[Piece]) -> str:
    lines = [line.text for line in lines_of(pieces)]
    text = ""
    for line in lines:
        latin = text[-1:].isascii() and line[:1].isascii()
        text += (" " if text and latin else "") + line
    return text


def _rules(page: Handle) -> list[Rule]:
    """Horizontal and vertical lines, drawn as strokes or as thin boxes."""
    rules: list[Rule] = []
    height = page.get_height()
    for drawn, path in enumerate(page.get_objects([raw.FPDF_PAGEOBJ_PATH], max_depth=_FORM_DEPTH)):
        if drawn >= _MAX_DRAWN:
            return []
        rules += _path_rules(path, height)
    return rules


def _path_rules(path: Handle, height: float) -> Iterator[Rule]:
    matrix = path.get_matrix()
    x, y = ctypes.c_float(), ctypes.c_float()
    points: list[tuple[float, float]] = []
    for index in range(min(raw.FPDFPath_CountSegments(path), _MAX_DRAWN)):
        segment = raw.FPDFPath_GetPathSegment(path, index)
        if not raw.FPDFPathSegment_GetPoint(segment, x, y):
            continue
        at_x, at_y = matrix.on_point(x.value, y.value)
        point = (at_x, height - at_y)
        if raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_MOVETO:
            points = [point]
        else:
            points.append(point)
            yield Rule.between(points[-2] if len(points) > 1 else point, point)
        if raw.FPDFPathSegment_GetClose(segment) and len(points) > 1:
            yield Rule.between(points[-1], points[0])
