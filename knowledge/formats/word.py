"""Word documents: headings by style, lists, tables, and the text of pictures where they stand."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from zipfile import BadZipFile

from docx import Document
from docx.document import Document as WordDocument
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from lxml import etree  # type: ignore[import-untyped]

from domain.errors import KnowledgeError
from knowledge.formats import package, tables
from knowledge.formats.blocks import Block, drafts_of
from knowledge.formats.draft import Draft, bad
from knowledge.formats.ocr import open_picture
from knowledge.formats.picture import picture_blocks

MAX_PICTURES = 50

Element = Any
"""lxml has no types."""

_HEADING_STYLE = re.compile(r"^(?:heading|标题)\s*([1-9])$", re.IGNORECASE)
_TITLE_STYLES = ("title", "标题", "subtitle", "副标题")
_LIST_STYLE = re.compile(r"^(?:list|列表|项目符号|编号)", re.IGNORECASE)
_BOLD_HEADING_LEVEL = 10


def parse_word(data: bytes) -> Iterator[Draft | KnowledgeError]:
    reading = _Reading(_open(data))
    blocks = list(reading.blocks())
    yield from drafts_of(blocks)
    if reading.skipped:
        yield bad(f"图片超过 {MAX_PICTURES} 张，其余 {reading.skipped} 张没有识别文字")


def _open(data: bytes) -> WordDocument:
    try:
        return Document(io.BytesIO(package.stored(data)))
    except (OpcError, BadZipFile, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise bad("Word 文件已损坏，或是带宏、模板等其他类型；请另存为普通 .docx") from error


@dataclass
class _Reading:
    document: WordDocument
    paragraphs: int = 0
    tables: int = 0
    pictures: int = 0
    skipped: int = 0
    _styles: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def blocks(self) -> Iterator[Block]:
        self._styles = dict(self._named_styles())
        yield from self._children(self.document.element.body)

    def _named_styles(self) -> Iterator[tuple[str, tuple[str, int | None]]]:
        """Style id -> its name and outline level, which localised and WPS styles keep."""
        for style in self.document.styles.element.iter(qn("w:style")):
            name = style.find(qn("w:name"))
            level = style.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
            yield (
                style.get(qn("w:styleId"), ""),
                (name.get(qn("w:val"), "") if name is not None else "", _outline(level)),
            )

    def _children(self, parent: Element) -> Iterator[Block]:
        for child in parent.iterchildren():
            if child.tag == qn("w:p"):
                yield from self._paragraph(child)
            elif child.tag == qn("w:tbl"):
                yield from self._table(child)
            elif child.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:ins"), qn("w:customXml")):
                yield from self._children(child)

    def _paragraph(self, paragraph: Element) -> Iterator[Block]:
        text = _text(paragraph).strip()
        if text:
            self.paragraphs += 1
            yield replace(self._styled(paragraph, text), place=f"第 {self.paragraphs} 段")
        for box in _inside(paragraph, qn("w:txbxContent")):
            yield from self._children(box)
        yield from self._pictures_in(paragraph)

    def _styled(self, paragraph: Element, text: str) -> Block:
        properties = paragraph.find(qn("w:pPr"))
        style = properties.find(qn("w:pStyle")) if properties is not None else None
        key = style.get(qn("w:val"), "") if style is not None else ""
        name, outline = self._styles.get(key, (key, None))
        own = properties.find(qn("w:outlineLvl")) if properties is not None else None
        level = _heading_level(name, outline if own is None else _outline(own))
        if level is not None:
            return Block("heading", text, level=level)
        numbered = properties is not None and properties.find(qn("w:numPr")) is not None
        if numbered or _LIST_STYLE.match(name):
            return Block("item", f"- {text}")
        return Block("text", text, level=_BOLD_HEADING_LEVEL if _is_bold(paragraph) else 0)

    def _table(self, table: Element) -> Iterator[Block]:
        self.tables += 1
        rows = tables.tidy(list(_rows(table)))
        if rows:
            yield Block("table", rows=rows, place=f"表 {self.tables}")
        yield from self._pictures_in(table)

    def _pictures_in(self, element: Element) -> Iterator[Block]:
        for blip in _inside(element, qn("a:blip")):
            key = blip.get(qn("r:embed"), "")
            part = self.document.part.related_parts.get(key)
            if part is None or key in self._seen or not part.content_type.startswith("image/"):
                continue
            self._seen.add(key)
            self.pictures += 1
            if self.pictures > MAX_PICTURES:
                self.skipped += 1
                continue
            for block in _picture_blocks(part.blob):
                yield replace(block, place=f"图 {self.pictures}")


def _picture_blocks(data: bytes) -> list[Block]:
    """A drawing format that OCR cannot read, or a broken picture, leaves the rest of the text."""
    try:
        picture = open_picture(data)
    except KnowledgeError:
        return []
    if picture.is_icon:
        return []
    # A picture has no say in the outline of the document that it stands in.
    return [replace(block, level=0) for block in picture_blocks(picture)]


def _outline(level: Element | None) -> int | None:
    value = level.get(qn("w:val"), "") if level is not None else ""
    return int(value) + 1 if value.isdecimal() and int(value) < 9 else None


def _heading_level(style: str, outline: int | None) -> int | None:
    match = _HEADING_STYLE.match(style.strip())
    if match:
        return int(match[1])
    return 0 if style.strip().lower() in _TITLE_STYLES else outline


def _is_bold(paragraph: Element) -> bool:
    runs = [run for run in paragraph.iter(qn("w:r")) if run.find(qn("w:t")) is not None]
    marks = [run.find(f"{qn('w:rPr')}/{qn('w:b')}") for run in runs]
    return bool(marks) and all(
        m is not None and m.get(qn("w:val")) not in ("0", "false") for m in marks
    )


_SKIPPED = {qn("w:del"), qn("w:txbxContent"), qn("w:tbl")}
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {qn("w:tab"): " ", qn("w:br"): "\n", qn("w:cr"): "\n"}


def _text(element: Element) -> str:
    """Of the runs that a reader sees: inserted ones too, deleted and hidden ones not."""
    parts: list[str] = []
    for child in element.iterchildren():
        if child.tag in _SKIPPED or child.tag == _FALLBACK or _is_hidden(child):
            continue
        if child.tag == qn("w:t"):
            parts.append(child.text or "")
        elif child.tag in _BREAKS and element.tag == qn("w:r"):
            parts.append(_BREAKS[child.tag])
        elif isinstance(child.tag, str):
            parts.append(_text(child))
    return "".join(parts)


def _is_hidden(child: Element) -> bool:
    return child.tag == qn("w:r") and child.find(f"{qn('w:rPr')}/{qn('w:vanish')}") is not None


def _inside(element: Element, tag: str) -> Iterator[Element]:
    """Descendants, once each: a text box is kept a second time as a fallback for old readers."""
    for found in element.iter(tag):
        if all(parent.tag != _FALLBACK for parent in found.iterancestors()):
            yield found


def _rows(table: Element) -> Iterator[list[str]]:
    """A cell merged to the right says its text once, one merged downwards in each row."""
    above: list[str] = []
    for row in table.iterchildren(qn("w:tr")):
        cells: list[str] = []
        for cell in row.iterchildren(qn("w:tc"), qn("w:sdt")):
            properties = cell.find(qn("w:tcPr"))
            merge = properties.find(qn("w:vMerge")) if properties is not None else None
            span = properties.find(qn("w:gridSpan")) if properties is not None else None
            continues = merge is not None and merge.get(qn("w:val")) != "restart"
            at = len(cells)
            cells.append(above[at] if continues and at < len(above) else _cell_text(cell))
            cells += [""] * (_span(span) - 1)
        above = cells
        yield cells


def _span(span: Element | None) -> int:
    value = span.get(qn("w:val"), "") if span is not None else ""
    return min(int(value), 63) if value.isdecimal() and int(value) > 0 else 1


def _cell_text(cell: Element) -> str:
    return " ".join(filter(None, (_text(p).strip() for p in cell.iter(qn("w:p")))))
