"""Markdown, written for us (title, topic, question) or not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge.formats import tables
from knowledge.formats.blocks import Block, Section, section_drafts
from knowledge.formats.draft import Draft
from knowledge.formats.text import decode, text_drafts

_HEADING = re.compile(r"^(#{1,6})\s++(.*[^\s#].*)$")
_ALIASES = re.compile(r"^>\s*(?:别名|相似问|aliases?)\s*[:：]\s*(.+)$", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^\s*(?:[-*+]\s+|[•·]\s*|\d{1,3}(?:[)、）]|\.(?!\d))\s*)(?=\S)")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class _Part:
    level: int
    title: str
    parents: tuple[str, ...]
    lines: tuple[str, ...]
    line: int

    def path(self, *, titled: bool) -> tuple[str, ...]:
        names = tuple(name for name in (*self.parents[titled:], self.title) if name)
        return names or (self.title,)


def parse_markdown(data: bytes) -> Iterator[Draft]:
    """``# title``, ``## topic``, ``### question``, an optional ``> 别名: a | b``, the answer.

    In a document without ``###`` headings every heading with text below it is a question; in one
    with them, text right under the title is a remark on the document.
    """
    parts = list(_parts(decode(data)))
    titled = sum(part.level == 1 for part in parts) < 2
    questions = any(part.level == 3 for part in parts)
    for part in parts:
        aliases, body = _split_aliases(part.lines)
        if questions and part.level == 3:
            yield _question(part, aliases, body)
        elif questions and part.level < 2:
            continue
        elif body and part.title:
            section = Section(part.path(titled=titled), tuple(markdown_blocks(body.splitlines())))
            for draft in section_drafts(section, aliases):
                yield replace(draft, line=part.line)
        elif body:
            yield from text_drafts("\n".join(part.lines))


def _question(part: _Part, aliases: tuple[str, ...], body: str) -> Draft:
    topic = part.parents[1] if len(part.parents) > 1 else ""
    position = " > ".join(part.path(titled=True))
    return Draft(part.title, body, part.line, topic, aliases, position=position)


def _parts(text: str) -> Iterator[_Part]:
    """A heading below ``###`` belongs to the answer of the question above it."""
    parents: list[str] = []
    title, level, start, lines, fenced = "", 0, 1, list[str](), False
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= bool(_FENCE.match(line))
        match = None if fenced else _HEADING.match(line)
        if match is None or len(match[1]) > 3:
            lines.append(line)
            continue
        yield _Part(level, title, tuple(parents[: level - 1]), tuple(lines), start)
        level, title, start, lines = len(match[1]), _bare(match[2]), number, []
        parents = [*parents[: level - 1], *[""] * (level - 1 - len(parents)), title]
    yield _Part(level, title, tuple(parents[: level - 1]), tuple(lines), start)


def _bare(title: str) -> str:
    """Without the marks that may close a heading."""
    return title.rstrip().rstrip("#").rstrip()


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


def markdown_blocks(lines: Sequence[str], *, headings: bool = False) -> Iterator[Block]:
    """``headings``: a line of ``#`` marks is a heading; else it belongs to the text."""
    paragraph: list[str] = []
    at = 0
    while at < len(lines):
        block, after = _special(lines, at, headings=headings)
        if block is None and lines[at].strip():
            paragraph.append(lines[at].rstrip())
        elif paragraph:
            yield Block("text", "\n".join(paragraph))
            paragraph = []
        if block is not None:
            yield block
        at = after
    if paragraph:
        yield Block("text", "\n".join(paragraph))


def _special(lines: Sequence[str], at: int, *, headings: bool) -> tuple[Block | None, int]:
    """The block other than a paragraph that starts at a line, and the line after it."""
    line = lines[at]
    heading = _HEADING.match(line) if headings else None
    if heading:
        return Block("heading", _bare(heading[2]), level=len(heading[1])), at + 1
    if _FENCE.match(line):
        end = next((n for n in range(at + 1, len(lines)) if _FENCE.match(lines[n])), len(lines) - 1)
        return Block("code", "\n".join(lines[at : end + 1])), end + 1
    below = "".join(lines[at + 1 : at + 2])
    if line.lstrip().startswith("|") or ("|" in line and _is_rule(below)):
        return _table(lines, at)
    if _ITEM.match(line):
        end = at + 1
        while end < len(lines) and _continues(lines[end]):
            end += 1
        return Block("item", "\n".join(part.rstrip() for part in lines[at:end])), end
    return None, at + 1


def _continues(line: str) -> bool:
    return line.startswith((" ", "\t")) and bool(line.strip()) and not _ITEM.match(line)


def _table(lines: Sequence[str], at: int) -> tuple[Block | None, int]:
    end = at
    while end < len(lines) and "|" in lines[end]:
        end += 1
    rows = [_cells(line) for line in lines[at:end] if not _is_rule(line)]
    tidy = tables.tidy(rows)
    return (Block("table", rows=tidy) if tidy else None), max(end, at + 1)


def _is_rule(line: str) -> bool:
    return "--" in line and not set(line) - set("|:- \t")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip().strip("|"))]
