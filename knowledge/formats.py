"""Text of a document -> drafts of entries, by format. Pure; a format that cannot be parsed raises
KnowledgeError, a draft that lacks something is judged by `knowledge.documents`."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import KnowledgeError

CHUNK_CHARS = 400
"""A paragraph chunk of free text: about what one answer can carry."""

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
_ALIASES = re.compile(r"^>\s*(?:别名|相似问|aliases?)\s*[:：]\s*(.+)$", re.IGNORECASE)
_FENCE = re.compile(r"^(```|~~~)")
_QUESTION = re.compile(r"^(?:Q|问|问题)\s*\d*\s*[:：.．、]\s*(.+)$", re.IGNORECASE)
_ANSWER = re.compile(r"^(?:A|答|答案|回答)\s*\d*\s*[:：.．、]\s*(.*)$", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[。!?！？\n])")
_LIST = re.compile(r"[|;；\n]")

_COLUMNS = {
    "question": ("question", "问题", "标准问", "标准问题", "q", "title"),
    "answer": ("answer", "答案", "回答", "回复", "a", "content"),
    "aliases": ("aliases", "alias", "别名", "相似问", "相似问题", "similar"),
    "category": ("category", "分类", "类别"),
    "tags": ("tags", "tag", "标签"),
    "topic": ("topic", "主题"),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry as its document states it; ``line`` is 1-based and where it starts."""

    question: str
    answer: str
    line: int
    topic: str = ""
    aliases: tuple[str, ...] = ()
    category: str = ""
    tags: tuple[str, ...] = ()
    position: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    level: int
    title: str
    parents: tuple[str, ...]
    lines: tuple[str, ...]
    line: int


def parse_markdown(text: str) -> Iterator[Draft]:
    """``# title``, ``## topic``, ``### question``, an optional ``> 别名: a | b``, the answer.

    In a document without ``###`` headings every heading with text below it is a question; in one
    with them, text right under the title is a remark on the document.
    """
    sections = list(_sections(text))
    questions = any(section.level == 3 for section in sections)
    for section in sections:
        aliases, body = _split_aliases(section.lines)
        if questions and section.level == 3:
            topic = section.parents[1] if len(section.parents) > 1 else ""
            yield Draft(section.title, body, section.line, topic, aliases)
        elif questions and section.level < 2:
            continue
        elif body and section.title:
            topic = " / ".join(title for title in section.parents[1:] if title)
            for draft in _passages(section.title, body, section.line, topic or section.title):
                yield Draft(draft.question, draft.answer, draft.line, draft.topic, aliases)
        elif body:
            yield from parse_text(body)


def _sections(text: str) -> Iterator[_Section]:
    """A heading below ``###`` belongs to the answer of the question above it."""
    parents: list[str] = []
    title, level, start, lines, fenced = "", 0, 1, list[str](), False
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= bool(_FENCE.match(line))
        match = None if fenced else _HEADING.match(line)
        if match is None or len(match[1]) > 3:
            lines.append(line)
            continue
        yield _Section(level, title, tuple(parents[: level - 1]), tuple(lines), start)
        level, title, start, lines = len(match[1]), match[2], number, []
        parents = [*parents[: level - 1], *[""] * (level - 1 - len(parents)), title]
    yield _Section(level, title, tuple(parents[: level - 1]), tuple(lines), start)


def _split_aliases(lines: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    aliases: list[str] = []
    body: list[str] = []
    for line in lines:
        match = _ALIASES.match(line)
        if match:
            aliases += [alias.strip() for alias in match[1].split("|")]
        else:
            body.append(line)
    return tuple(aliases), "\n".join(body).strip()


def parse_text(text: str) -> Iterator[Draft]:
    """``Q:``/``A:`` (``问:``/``答:``) pairs where there are any, else chunks of paragraphs."""
    lines = text.splitlines()
    if any(_QUESTION.match(line) for line in lines) and any(_ANSWER.match(line) for line in lines):
        yield from _pairs(lines)
        return
    line = 1
    for block in re.split(r"\n\s*\n", text):
        body = block.strip()
        if body:
            title = _SENTENCE.split(body, maxsplit=1)[0].strip()[:60]
            yield from _passages(title, body, line, "")
        line += block.count("\n") + 2


def _pairs(lines: list[str]) -> Iterator[Draft]:
    question, answer, start, answering = "", list[str](), 1, False
    for number, line in enumerate(lines, start=1):
        asked, answered = _QUESTION.match(line.strip()), _ANSWER.match(line.strip())
        if asked:
            if question:
                yield Draft(question, "\n".join(answer).strip(), start)
            question, answer, start, answering = asked[1].strip(), [], number, False
        elif answered:
            answering = True
            answer.append(answered[1])
        elif answering:
            answer.append(line)
    if question:
        yield Draft(question, "\n".join(answer).strip(), start)


def _passages(title: str, body: str, line: int, topic: str) -> Iterator[Draft]:
    for number, chunk in enumerate(_chunks(body), start=1):
        question = title if number == 1 else f"{title} ({number})"
        yield Draft(question, chunk, line, topic)


def _chunks(body: str) -> Iterator[str]:
    """Whole sentences up to CHUNK_CHARS; a longer sentence is cut."""
    chunk = ""
    for sentence in _SENTENCE.split(body):
        if chunk and len(chunk) + len(sentence) > CHUNK_CHARS:
            yield chunk.strip()
            chunk = ""
        while len(sentence) > 2 * CHUNK_CHARS:
            yield sentence[:CHUNK_CHARS].strip()
            sentence = sentence[CHUNK_CHARS:]
        chunk += sentence
    if chunk.strip():
        yield chunk.strip()


def parse_csv(text: str) -> Iterator[Draft]:
    """A header row names the columns (English or Chinese); comma, semicolon or tab."""
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    names = {(name or "").strip().lower() for name in reader.fieldnames or ()}
    if not names & set(_COLUMNS["question"]) or not names & set(_COLUMNS["answer"]):
        raise KnowledgeError("", "表头需要有“问题”(question)和“答案”(answer)两列")
    try:
        for row in reader:
            yield _row(row, reader.line_num)
    except csv.Error as error:
        raise KnowledgeError("", f"第 {reader.line_num} 行不是有效的 CSV：{error}") from error


def parse_jsonl(text: str) -> Iterator[Draft]:
    """One object with ``question`` and ``answer`` a line; a broken line is a draft without both."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"第 {number} 行不是有效的 JSON：{error.msg}"
            raise KnowledgeError("", reason) from error
        if not isinstance(row, dict):
            raise KnowledgeError("", f"第 {number} 行不是 JSON 对象")
        yield _row(row, number)


def _row(row: Mapping[Any, Any], line: int) -> Draft:
    cells = {str(key or "").strip().lower(): value for key, value in row.items()}

    def cell(column: str) -> Any:
        return next((cells[name] for name in _COLUMNS[column] if cells.get(name)), "")

    return Draft(
        question=str(cell("question")).strip(),
        answer=str(cell("answer")).strip(),
        line=line,
        topic=str(cell("topic")).strip(),
        aliases=_values(cell("aliases")),
        category=str(cell("category")).strip(),
        tags=_values(cell("tags")),
    )


def _values(cell: Any) -> tuple[str, ...]:
    parts = cell if isinstance(cell, list) else _LIST.split(str(cell))
    return tuple(text for part in parts if (text := str(part).strip()))


PARSERS: dict[str, Callable[[str], Iterator[Draft]]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".txt": parse_text,
    ".csv": parse_csv,
    ".jsonl": parse_jsonl,
}
