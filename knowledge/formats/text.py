"""Decoding, and plain text: question-answer pairs where there are any, else its paragraphs."""

import codecs
import re
from collections.abc import Iterator

from knowledge.formats.blocks import (
    ANSWER,
    QUESTION,
    SENTENCE,
    Block,
    Section,
    chunk_drafts,
)
from knowledge.formats.draft import TITLE_CHARS, Draft, bad, by_line

_PARAGRAPH = re.compile(r"(\s*)(\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*)")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(data: bytes, declared: str | None = None) -> str:
    """UTF-8, then the encoding that the document declares, then GB18030; UTF-16 by its mark."""
    if data.startswith(_UTF16):
        encodings: tuple[str, ...] = ("utf-16",)
    elif b"\x00" in data:
        raise bad("不是文本文件")
    else:
        encodings = ("utf-8-sig", *([declared] if declared else []), "gb18030")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise bad("编码既不是 UTF-8 也不是 GB18030")


def parse_text(data: bytes) -> Iterator[Draft]:
    yield from text_drafts(decode(data))


def text_drafts(text: str) -> Iterator[Draft]:
    """``Q:``/``A:`` (``问:``/``答:``) pairs where there are any, else chunks of paragraphs."""
    lines = text.splitlines()
    if any(QUESTION.match(line) for line in lines) and any(ANSWER.match(line) for line in lines):
        yield from _pairs(lines)
        return
    line = 1
    for lead, body in _PARAGRAPH.findall(text.rstrip()):
        line += lead.count("\n")
        title = SENTENCE.split(body, maxsplit=1)[0].strip()[:TITLE_CHARS]
        paragraph = Block("text", body.rstrip(), place=by_line(line))
        yield from chunk_drafts(Section((), (paragraph,)), (paragraph,), title)
        line += body.count("\n")


def _pairs(lines: list[str]) -> Iterator[Draft]:
    question, answer, start, answering = "", list[str](), 1, False
    for number, line in enumerate(lines, start=1):
        asked, answered = QUESTION.match(line.strip()), ANSWER.match(line.strip())
        if asked:
            if question:
                yield _pair(question, answer, start)
            question, answer, start, answering = asked[1].strip(), [], number, False
        elif answered:
            answering = True
            answer.append(answered[1])
        elif answering:
            answer.append(line)
    if question:
        yield _pair(question, answer, start)


def _pair(question: str, answer: list[str], line: int) -> Draft:
    return Draft(question, "\n".join(answer).strip(), line, position=by_line(line))
