"""Bytes of a document -> drafts of entries, one module a format.

Pure but for the models of OCR: no parser opens a file, follows a link, runs a macro or expands an
entity. A draft that lacks something is judged by `knowledge.documents`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import cast

from domain.errors import KnowledgeError
from knowledge.formats.draft import CHUNK_CHARS, Draft, Parser, bad
from knowledge.formats.kinds import LEGACY, Kind, check, content_of

__all__ = ["CHUNK_CHARS", "LEGACY", "PARSERS", "Draft", "Format", "is_named_document", "parse"]


@dataclass(frozen=True, slots=True)
class Format:
    """``parser`` is named, not imported: reading plain text must not load Word's library."""

    kinds: frozenset[Kind]
    parser: str

    def parse(self, data: bytes) -> Iterator[Draft | KnowledgeError]:
        module, _, name = self.parser.partition(":")
        found = getattr(import_module(f"knowledge.formats.{module}"), name)
        return cast(Parser, found)(data)


def _format(parser: str, *kinds: Kind) -> Format:
    return Format(frozenset(kinds), parser)


_MARKDOWN = _format("markdown:parse_markdown", Kind.TEXT)
_EXCEL = _format("excel:parse_excel", Kind.EXCEL, Kind.OLD_EXCEL)
_HTML = _format("html:parse_html", Kind.HTML, Kind.TEXT)
_PICTURE = _format("picture:parse_picture", Kind.PICTURE)

PARSERS: dict[str, Format] = {
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".txt": _format("text:parse_text", Kind.TEXT),
    ".csv": _format("delimited:parse_csv", Kind.TEXT),
    ".jsonl": _format("delimited:parse_jsonl", Kind.TEXT),
    ".json": _format("delimited:parse_json", Kind.TEXT),
    ".docx": _format("word:parse_word", Kind.WORD),
    ".xlsx": _EXCEL,
    ".xls": _EXCEL,
    ".pdf": _format("pdf:parse_pdf", Kind.PDF),
    ".html": _HTML,
    ".htm": _HTML,
    ".png": _PICTURE,
    ".jpg": _PICTURE,
    ".jpeg": _PICTURE,
    ".webp": _PICTURE,
    ".bmp": _PICTURE,
    ".gif": _PICTURE,
}


def parse(name: str, data: bytes) -> Iterator[Draft | KnowledgeError]:
    """Drafts of the document ``name``. Raises KnowledgeError, here or while it is iterated, for an
    empty, mislabelled, encrypted, broken or oversized document."""
    suffix = PurePath(name).suffix.lower()
    if not data.strip():
        raise bad("文件是空的")
    if suffix in LEGACY:
        raise bad(_advice(suffix, data))
    known = PARSERS.get(suffix)
    if known is None:
        raise bad(f"不支持的文件格式；支持 {' '.join(sorted(PARSERS))}")
    check(suffix, known.kinds, data)
    return known.parse(data)


def _advice(suffix: str, data: bytes) -> str:
    kind = content_of(data).kind
    if kind in (Kind.WORD, Kind.PDF):
        return f"文件名是 {suffix}，内容其实是{kind}；请改正文件名的后缀后再导入"
    return f"不支持 {suffix} 格式，请另存为 {LEGACY[suffix].removeprefix('.')}"


def is_named_document(suffix: str) -> bool:
    """Whether a folder's import takes up (or reports) files of this suffix."""
    return suffix.lower() in PARSERS or suffix.lower() in LEGACY
