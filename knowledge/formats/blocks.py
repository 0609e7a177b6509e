"""A document as headings, paragraphs, list items and tables -> drafts that keep them whole.

Word, PDF, HTML, pictures and plain Markdown meet here. A section is what stands under one heading.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from knowledge.formats import tables
from knowledge.formats.draft import CHUNK_CHARS, LIST_CHARS, TABLE_CHARS, TITLE_CHARS, Draft

Kind = Literal["heading", "text", "item", "code", "table"]

QUESTION = re.compile(r"^(?:Q|问题?)\s*+\d*+\s*+[:：.．、]\s*+(.+)$", re.IGNORECASE)
ANSWER = re.compile(r"^(?:A|答案?|回答)\s*+\d*+\s*+[:：.．、]\s*+(.*)$", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[。!?！？\n])")

_NUMBERED_HEADING = (
    re.compile(r"^第[一二三四五六七八九十百\d]+[章节篇部][\s、：:]*\S"),
    re.compile(r"^[一二三四五六七八九十]+[、．.]\s*\S"),
    re.compile(r"^[（(][一二三四五六七八九十]+[）)]\s*\S"),
)
_FIRST_TYPED_LEVEL = 7
_NUMBERING = re.compile(
    r"^(?:第[一二三四五六七八九十百\d]+[章节篇部][\s、：:]*|[一二三四五六七八九十]+[、．.]\s*"
    r"|[（(][一二三四五六七八九十\d]+[）)]\s*|\d{1,2}(?:\.\d{1,2})*[.、．)）](?!\d)\s*"
    r"|\d{1,2}(?:\.\d{1,2})+\s+)(?=\S)"
)
_HEADING_CHARS = 40
_ENDS_A_SENTENCE = "。；;，,：:…"
_SHORT_CHARS = 40
"""Without headings a paragraph this short opens the next one rather than standing alone."""


@dataclass(frozen=True, slots=True)
class Block:
    """``page`` always belongs to the position; ``place`` does where no heading says more.

    A text with a ``level`` looks like a heading (bold, large) and is one where text is below it.
    """

    kind: Kind
    text: str = ""
    level: int = 0
    rows: tables.Rows = ()
    page: str = ""
    place: str = ""
    turns: tuple[tuple[int, str], ...] = ()
    """Of a text that runs over pages: from which character on it stands on which page."""

    def page_at(self, char: int) -> str:
        return next((page for start, page in reversed(self.turns) if start <= char), self.page)


@dataclass(frozen=True, slots=True)
class Section:
    path: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def topic(self) -> str:
        return " / ".join(self.path[:-1]) or "".join(self.path[-1:])

    def position(self, block: Block) -> str:
        return " · ".join(
            part for part in (block.page, " > ".join(self.path) or block.place) if part
        )


@dataclass(frozen=True, slots=True)
class _Atom:
    """What is never divided; it joins a chunk that stays within ``limit`` with it."""

    text: str
    limit: int
    block: Block
    labels: tuple[str, ...] = ()


def drafts_of(blocks: Iterable[Block]) -> Iterator[Draft]:
    for section in sections_of(with_typed_headings(list(blocks))):
        yield from section_drafts(section)


def with_typed_headings(blocks: Sequence[Block]) -> list[Block]:
    """What only looks like a heading (``一、安装费用``, a bold line) is one when text or a lesser
    heading follows; else it is a line of a list, a signature, a slogan."""
    levels = [_typed_level(block) for block in blocks]
    following = [*levels[1:], None]
    return [
        replace(block, kind="heading", level=level)
        if level and below is not None and (below == 0 or below > level)
        else block
        for block, level, below in zip(blocks, levels, following, strict=True)
    ]


def _typed_level(block: Block) -> int | None:
    """None for a real heading, 0 for what is no heading at all."""
    if block.kind == "heading":
        return None
    text = block.text.strip()
    if block.kind != "text" or len(text) > _HEADING_CHARS or text[-1:] in _ENDS_A_SENTENCE:
        return 0
    for level, pattern in enumerate(_NUMBERED_HEADING, start=_FIRST_TYPED_LEVEL):
        if not block.level and pattern.match(text):
            return level
    return block.level


def sections_of(blocks: Sequence[Block]) -> Iterator[Section]:
    """A heading that is the only one of the top level and comes first is the document's title:
    it is part of a path only where nothing else is."""
    titled = _has_title(blocks)
    path: list[tuple[int, str]] = []
    body: list[Block] = []
    for block in blocks:
        if block.kind != "heading":
            body.append(block)
            continue
        if body:
            yield Section(_names(path, titled), tuple(body))
        path = [part for part in path if part[0] < block.level]
        path.append((block.level, " ".join(block.text.split())[: 2 * TITLE_CHARS]))
        body = []
    if body:
        yield Section(_names(path, titled), tuple(body))


def _has_title(blocks: Sequence[Block]) -> bool:
    levels = [block.level for block in blocks if block.kind == "heading"]
    return len(levels) > 1 and levels[0] < min(levels[1:])


def _names(path: Sequence[tuple[int, str]], titled: bool) -> tuple[str, ...]:
    names = tuple(name for _, name in path)
    return names[1:] if titled and len(names) > 1 else names


def section_drafts(section: Section, aliases: tuple[str, ...] = ()) -> Iterator[Draft]:
    """Question-answer pairs and tables of them as they are, everything else in chunks."""
    rest: list[Block] = []
    for block in section.blocks:
        asked = block.kind == "table" and tables.question_columns(block.rows[0])
        if asked:
            yield from _passages(section, rest, aliases)
            rest = []
            position = section.position(replace(block, place=block.place or "表格"))
            yield from _table_pairs(block, section.topic, position)
        else:
            rest.append(block)
    yield from _passages(section, rest, aliases)


def _table_pairs(block: Block, topic: str, position: str) -> Iterator[Draft]:
    for number, row in enumerate(block.rows[1:], start=2):
        draft = tables.question_row(block.rows[0], row)
        if draft is not None:
            yield replace(
                draft, topic=draft.topic or topic, position=f"{position}，表格第 {number} 行"
            )


def _passages(
    section: Section, blocks: Sequence[Block], aliases: tuple[str, ...]
) -> Iterator[Draft]:
    before, pairs = _split_pairs(blocks)
    if section.path:
        yield from chunk_drafts(section, before, _NUMBERING.sub("", section.path[-1]), aliases)
    else:
        for group in _groups(before):
            yield from chunk_drafts(section, group, _first_sentence(group[0]), aliases)
    for question, answer in pairs:
        yield Draft(
            question.text,
            "\n".join(map(_render, answer)).strip(),
            topic=section.topic,
            position=section.position(question),
        )


def _split_pairs(blocks: Sequence[Block]) -> tuple[list[Block], list[tuple[Block, list[Block]]]]:
    """What precedes the first ``问：`` that has its ``答：``, and the pairs from there on."""
    before: list[Block] = []
    pairs: list[tuple[Block, list[Block]]] = []
    pending: list[Block] | None = None
    answered = False
    for block in _lines(blocks):
        asked, answer = _marked(QUESTION, block), _marked(ANSWER, block)
        if asked is not None:
            if pending is not None and not answered:
                (pairs[-1][1] if pairs else before).extend(pending)
            pending, answered = [block], False
        elif answer is not None and pending is not None and not answered:
            wording = " ".join(part.text for part in pending)
            match = QUESTION.match(wording.replace("\n", " "))
            pairs.append((replace(pending[0], text=match[1] if match else wording), [answer]))
            answered = True
        elif pending is not None and not answered:
            pending.append(block)
        else:
            (pairs[-1][1] if pairs else before).append(block)
    if pending is not None and not answered:
        (pairs[-1][1] if pairs else before).extend(pending)
    return before, pairs


def _lines(blocks: Iterable[Block]) -> Iterator[Block]:
    """A paragraph with marked lines in it, one block a line."""
    for block in blocks:
        lines = block.text.split("\n")
        marked = any(QUESTION.match(line.strip()) or ANSWER.match(line.strip()) for line in lines)
        if block.kind in ("text", "item") and len(lines) > 1 and marked:
            yield from (replace(block, text=line) for line in lines if line.strip())
        else:
            yield block


def _marked(pattern: re.Pattern[str], block: Block) -> Block | None:
    match = pattern.match(block.text.strip()) if block.kind in ("text", "item") else None
    return replace(block, text=match[1].strip()) if match else None


def _groups(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Without headings every paragraph is its own entry, with the list or table below it."""
    group: list[Block] = []
    chars = 0
    for block in blocks:
        if group and block.kind == "text" and chars >= _SHORT_CHARS:
            yield group
            group, chars = [], 0
        group.append(block)
        chars += len(_render(block))
    if group:
        yield group


def _first_sentence(block: Block) -> str:
    text = block.text or " ".join(block.rows[0] if block.rows else ())
    return SENTENCE.split(text.strip(), maxsplit=1)[0].strip()[:TITLE_CHARS]


def chunk_drafts(
    section: Section, blocks: Sequence[Block], title: str, aliases: tuple[str, ...] = ()
) -> Iterator[Draft]:
    for number, atoms in enumerate(_packed(blocks), start=1):
        labels = dict.fromkeys(label for atom in atoms for label in atom.labels)
        yield Draft(
            title if number == 1 else f"{title} ({number})",
            "".join(atom.text for atom in atoms).strip(),
            topic=section.topic,
            aliases=(*aliases, *(f"{label} {title}" for label in labels)),
            position=section.position(atoms[0].block),
        )


def _packed(blocks: Sequence[Block]) -> Iterator[list[_Atom]]:
    chunk: list[_Atom] = []
    for atom in (atom for block in blocks for atom in _atoms(block)):
        chars = sum(len(part.text) for part in chunk)
        if chunk and chars + len(atom.text) > atom.limit:
            yield chunk
            chunk = []
        chunk.append(atom)
    if any(atom.text.strip() for atom in chunk):
        yield chunk


def _atoms(block: Block) -> Iterator[_Atom]:
    if block.kind == "table":
        for piece in tables.pieces(block.rows, TABLE_CHARS):
            yield _Atom(piece.text + "\n", TABLE_CHARS, block, piece.labels)
    elif block.kind in ("item", "code"):
        yield _Atom(block.text + "\n", LIST_CHARS, block)
    else:
        chars = 0
        for sentence in _sentences(block.text + "\n"):
            yield _Atom(sentence, CHUNK_CHARS, replace(block, page=block.page_at(chars)))
            chars += len(sentence)


def _sentences(text: str) -> Iterator[str]:
    """Whole sentences; one longer than two chunks is cut."""
    for sentence in SENTENCE.split(text):
        while len(sentence) > 2 * CHUNK_CHARS:
            yield sentence[:CHUNK_CHARS]
            sentence = sentence[CHUNK_CHARS:]
        if sentence:
            yield sentence


def _render(block: Block) -> str:
    return tables.render(block.rows) if block.kind == "table" else block.text
