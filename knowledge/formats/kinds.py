"""What a file is: by its name, and by its content. Where they disagree it is not imported."""

from dataclasses import dataclass
from enum import StrEnum

from knowledge.formats import ole, package
from knowledge.formats.draft import bad


class Kind(StrEnum):
    TEXT = "文本"
    WORD = "Word（.docx）"
    EXCEL = "Excel（.xlsx）"
    OLD_EXCEL = "Excel（.xls）"
    PDF = "PDF"
    HTML = "HTML 网页"
    PICTURE = "图片"


@dataclass(frozen=True, slots=True)
class Content:
    """``kind`` is None for what cannot be imported under any name; ``words`` says what it is."""

    kind: Kind | None
    words: str


LEGACY = {
    ".doc": ".docx",
    ".wps": ".docx",
    ".rtf": ".docx",
    ".odt": ".docx",
    ".docm": ".docx",
    ".dot": ".docx",
    ".et": ".xlsx",
    ".ods": ".xlsx",
    ".xlsb": ".xlsx",
    ".xlsm": ".xlsx",
    ".ppt": ".pdf",
    ".pptx": ".pdf",
    ".dps": ".pdf",
}
"""Formats that are reported, also when a folder is imported: suffix -> what to save it as."""

_PICTURES = {
    b"\x89PNG\r\n\x1a\n": "PNG 图片",
    b"\xff\xd8\xff": "JPEG 图片",
    b"GIF87a": "GIF 图片",
    b"GIF89a": "GIF 图片",
    b"BM": "BMP 图片",
}
_REFUSED = {
    b"{\\rtf": "RTF 文档",
    b"MZ": "Windows 程序",
    b"\x7fELF": "程序",
    b"7z\xbc\xaf\x27\x1c": "7z 压缩包",
    b"Rar!\x1a\x07": "RAR 压缩包",
    b"\x1f\x8b": "gzip 压缩包",
    b"SQLite format 3\x00": "SQLite 数据库",
}
_START_BYTES = 1_024
_HTML_MARKS = (b"<!doctype html", b"<html", b"<head", b"<body")


def content_of(data: bytes) -> Content:
    if data.startswith(b"PK\x03\x04"):
        return _packed(data)
    if data.startswith(ole.MAGIC):
        return _legacy(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Content(Kind.PICTURE, "WebP 图片")
    for mark, words in _PICTURES.items():
        if data.startswith(mark) and (mark != b"BM" or b"\x00" in data[:64]):
            return Content(Kind.PICTURE, words)
    if data[:_START_BYTES].lstrip().startswith(b"%PDF-"):
        return Content(Kind.PDF, Kind.PDF)
    for mark, words in _REFUSED.items():
        if data.startswith(mark) and (mark != b"MZ" or b"\x00" in data[:1_024]):
            return Content(None, words)
    return Content(Kind.HTML, Kind.HTML) if _is_markup(data) else Content(Kind.TEXT, Kind.TEXT)


def _is_markup(data: bytes) -> bool:
    start = data[:_START_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(_HTML_MARKS)


def _packed(data: bytes) -> Content:
    names = package.names(data)
    if any(name.startswith("word/") for name in names):
        return Content(Kind.WORD, Kind.WORD)
    if "xl/workbook.bin" in names:
        return Content(None, "Excel 二进制工作簿（.xlsb）")
    if any(name.startswith("xl/") for name in names):
        return Content(Kind.EXCEL, Kind.EXCEL)
    if any(name.startswith("ppt/") for name in names):
        return Content(None, "PowerPoint（.pptx）")
    return Content(None, "OpenDocument 文档" if "mimetype" in names else "ZIP 压缩包")


def _legacy(data: bytes) -> Content:
    names = ole.streams(data)
    if "EncryptedPackage" in names:
        raise bad("文件已加密，请去掉密码后再导入")
    words = ole.legacy_kind(names)
    if words is None:
        return Content(None, "旧版 Office 文件")
    return Content(Kind.OLD_EXCEL if "xls" in words else None, words)


def check(suffix: str, expected: frozenset[Kind], data: bytes) -> None:
    """Raises KnowledgeError where the content is not what the name says."""
    content = content_of(data)
    if content.kind in expected:
        return
    if Kind.TEXT in expected and content.kind is Kind.HTML:
        return
    if content.kind is Kind.TEXT:
        raise bad(f"文件名是 {suffix}，内容却不是（像是文本，或文件已损坏）")
    advice = "请改正文件名的后缀" if content.kind else "请另存为支持的格式"
    raise bad(f"文件名是 {suffix}，内容其实是{content.words}；{advice}后再导入")
