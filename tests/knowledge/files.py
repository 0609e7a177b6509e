"""Real documents for import tests: what Office, a scanner or a shop's web page would send."""

import io
import struct
import subprocess
from collections.abc import Callable, Sequence
from functools import cache

import openpyxl  # type: ignore[import-untyped]
from docx import Document
from docx.document import Document as WordDocument
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib import colors  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from reportlab.platypus import (  # type: ignore[import-untyped]
    Flowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

Row = Sequence[str | int | float | None]

PRICES: tuple[tuple[str, ...], ...] = (
    ("项目", "价格"),
    ("基础安装", "800 元"),
    ("超出每米", "45 元"),
)


def word(write: Callable[[WordDocument], None]) -> bytes:
    document = Document()
    write(document)
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


def word_table(document: WordDocument, rows: Sequence[Sequence[str]]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.cell(number, column).text = text


def workbook(sheets: dict[str, Sequence[Row]], hidden: Sequence[str] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name in hidden:
            sheet.sheet_state = "hidden"
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def heading(text: str) -> Flowable:
    return Paragraph(text, _style(18))


def paragraph(text: str) -> Flowable:
    return Paragraph(text, _style(11))


def ruled_table(rows: Sequence[Sequence[str]], widths: Sequence[int], padding: int = 6) -> Flowable:
    cells = [[Paragraph(cell, _style(11)) for cell in row] for row in rows]
    everywhere = (0, 0), (-1, -1)
    grid = TableStyle(
        [
            ("GRID", *everywhere, 0.5, colors.black),
            ("LEFTPADDING", *everywhere, padding),
            ("RIGHTPADDING", *everywhere, padding),
        ]
    )
    return Table(cells, colWidths=widths, style=grid)


def columns(*texts: Sequence[str]) -> bytes:
    """A page with a title and columns of lines, the last ended by a full stop."""
    _register()
    data = io.BytesIO()
    canvas = Canvas(data, pagesize=A4)
    canvas.setFont("STSong-Light", 18)
    canvas.drawString(72, 780, "两栏的说明")
    canvas.setFont("STSong-Light", 11)
    for number, lines in enumerate(texts):
        end = "。" if number == len(texts) - 1 else ""
        for row, line in enumerate((*lines[:-1], lines[-1] + end)):
            canvas.drawString(72 + 240 * number, 740 - 16 * row, line)
    canvas.save()
    return data.getvalue()


def plain_table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Flowable:
    font = TableStyle([("FONT", (0, 0), (-1, -1), "STSong-Light", 11)])
    return Table(rows, colWidths=widths, style=font)


def pdf(*pages: Sequence[Flowable], footer: str = "", encrypt: object = None) -> bytes:
    def draw(canvas: object, document: object) -> None:
        canvas.setFont("STSong-Light", 9)  # type: ignore[attr-defined]
        canvas.drawString(72, 30, footer.format(document.page))  # type: ignore[attr-defined]

    _register()
    data = io.BytesIO()
    flowables = [part for page in pages for part in (*page, PageBreak())]
    template = SimpleDocTemplate(data, pagesize=A4, encrypt=encrypt)
    template.build(flowables, onFirstPage=draw, onLaterPages=draw)
    return data.getvalue()


@cache
def _register() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))


def _style(size: int) -> ParagraphStyle:
    _register()
    return ParagraphStyle(
        f"s{size}", fontName="STSong-Light", fontSize=size, leading=size * 1.5, wordWrap="CJK"
    )


@cache
def chinese_font() -> str:
    found = subprocess.run(
        ["fc-list", ":lang=zh", "file"], capture_output=True, text=True, check=True
    ).stdout
    assert found, "no font with Chinese: run `make browser`"
    return sorted(found.splitlines())[0].rstrip(": ")


def photo(*lines: str | Sequence[str], scale: int = 1) -> Image.Image:
    """Black on white; a line of several texts is a row of cells."""
    font = ImageFont.truetype(chinese_font(), 32 * scale)
    image = Image.new("RGB", (800 * scale, (60 * len(lines) + 40) * scale), "white")
    drawing = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        for column, text in enumerate([line] if isinstance(line, str) else line):
            place = ((40 + 400 * column) * scale, (20 + 60 * number) * scale)
            drawing.text(place, text, font=font, fill="black")
    return image


def saved(image: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def container(streams: dict[str, bytes]) -> bytes:
    """An OLE file ([MS-CFB]) with these streams, as legacy Office writes."""
    contents = [content.ljust(4_096, b"\0") for content in streams.values()]
    contents = [content + bytes(-len(content) % _SECTOR) for content in contents]
    directory = -(-(len(streams) + 1) // 4)
    body = directory + sum(len(content) // _SECTOR for content in contents)
    tables = 1
    while tables * _SECTOR // 4 < tables + body:
        tables += 1
    fat = [_FAT] * tables + _chain(tables, directory)
    starts = []
    for content in contents:
        starts.append(len(fat))
        fat += _chain(len(fat), len(content) // _SECTOR)
    fat += [_FREE] * (tables * _SECTOR // 4 - len(fat))
    entries = [_entry("Root Entry", 5, 1, _FREE, _END, 0)]
    for number, (name, start, content) in enumerate(
        zip(streams, starts, contents, strict=True), start=1
    ):
        sibling = number + 1 if number < len(streams) else _FREE
        entries.append(_entry(name, 2, _FREE, sibling, start, len(content)))
    entries += [bytes(128)] * (directory * 4 - len(entries))
    return b"".join(
        (_header(tables), struct.pack(f"<{len(fat)}I", *fat), b"".join(entries), *contents)
    )


def _chain(first: int, count: int) -> list[int]:
    return [*range(first + 1, first + count), _END]


def _header(tables: int) -> bytes:
    fat = [*range(tables), *[_FREE] * (109 - tables)]
    return struct.pack(
        "<8s16sHHHHH6xIIIIIIIII109I",
        bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6,
        0, tables, tables, 0, 4_096, _END, 0, _END, 0, *fat,
    )  # fmt: skip


def _entry(name: str, kind: int, child: int, right: int, start: int, size: int) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII36xIQ", text, len(text), kind, 1, _FREE, right, child, start, size
    )


def old_workbook(name: str, rows: Sequence[Row], *, password: bool = False) -> bytes:
    """An .xls ([MS-XLS], BIFF8) with one sheet."""
    return container({"Workbook": _book(name, rows, password=password)})


def _book(name: str, rows: Sequence[Row], *, password: bool) -> bytes:
    begin = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0x07CC, 0, 6))
    begin += _record(0x002F, bytes(54)) if password else b""
    code_page, end = _record(0x0042, struct.pack("<H", 1_200)), _record(0x000A, b"")
    label = struct.pack("<BB", len(name), 1) + name.encode("utf-16-le")
    size = len(begin) + len(code_page) + 4 + 6 + len(label) + len(end)
    bound = _record(0x0085, struct.pack("<IBB", size, 0, 0) + label)
    sheet = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0x07CC, 0, 6))
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet += cell_record(number, column, value)
    return begin + code_page + bound + end + sheet + end


def cell_record(row: int, column: int, value: str | int | float | None) -> bytes:
    place = struct.pack("<HHH", row, column, 0)
    if isinstance(value, str):
        text = struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")
        return _record(0x0204, place + text)
    return _record(0x0203, place + struct.pack("<d", value)) if value is not None else b""


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content
