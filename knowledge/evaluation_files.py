"""What retrieval is evaluated on, as files: entries and questions, one JSON object a line.

FAQ lines: ``{"id", "question", "answer"?, "alts"?}``; ``alts`` are other wordings of the question,
and a line with an answer and no question is a passage. Query lines: ``{"query", "gold_id"}``, with
null where no entry answers. Other keys are ignored.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain.errors import KnowledgeError
from domain.text import letters
from knowledge.documents import Entry, make_entry
from knowledge.evaluation import Question

MAX_LINES = 1_000_000
MAX_CHARS = 20_000
_FAQ = '应为 {"id": "…", "question": "…", "answer": "…"}'
_QUERY = '应为 {"query": "…", "gold_id": "…" 或 null}'


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    name: str
    entries: tuple[Entry, ...]
    questions: tuple[Question, ...]


def read_set(name: str, faq: Path, queries: Path) -> EvaluationSet:
    """Raises KnowledgeError naming file and line of the first that cannot be used."""
    entries = read_faq(faq)
    known = {entry.id for entry in entries}
    return EvaluationSet(name, tuple(entries), tuple(read_queries(queries, known)))


def read_faq(path: Path) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for place, row in _rows(path, _FAQ):
        entry = _entry(place, row)
        if entry.id in entries:
            raise KnowledgeError(place, f"id {entry.id!r} 重复")
        entries[entry.id] = entry
    if not entries:
        raise KnowledgeError(str(path), "没有任何条目")
    return list(entries.values())


def read_queries(path: Path, known: Collection[str]) -> list[Question]:
    """``known``: ids of the entries; a question for any other is a mistake of the file."""
    questions = [_question(place, row, known) for place, row in _rows(path, _QUERY)]
    if not questions:
        raise KnowledgeError(str(path), "没有任何问题")
    return questions


def _entry(place: str, row: dict[str, Any]) -> Entry:
    entry_id = _identifier(place, row, "id")
    if entry_id is None:
        raise KnowledgeError(place, f"缺少 id；{_FAQ}")
    question, answer = _text(place, row, "question"), _text(place, row, "answer")
    if not letters(question) and not letters(answer):
        raise KnowledgeError(place, "question 和 answer 至少要有一个有文字")
    entry = make_entry(question, answer, source=entry_id, aliases=_alts(place, row))
    return replace(entry, id=entry_id)


def _question(place: str, row: dict[str, Any], known: Collection[str]) -> Question:
    if "gold_id" not in row:
        raise KnowledgeError(place, f"缺少 gold_id（无答案时写 null）；{_QUERY}")
    if not isinstance(row.get("query"), str):
        raise KnowledgeError(place, f"缺少 query；{_QUERY}")
    # An empty one is asked as it stands: customers send such messages, too.
    text, gold = _text(place, row, "query"), _identifier(place, row, "gold_id")
    if gold is not None and gold not in known:
        raise KnowledgeError(place, f"gold_id {gold!r} 不在 FAQ 中")
    return Question(text, gold)


def _alts(place: str, row: dict[str, Any]) -> Sequence[str]:
    found = row.get("alts") or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise KnowledgeError(place, "alts 应为字符串数组")
    return found


def _identifier(place: str, row: dict[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise KnowledgeError(place, f"{key} 应为非空字符串")
    return str(value)


def _text(place: str, row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise KnowledgeError(place, f"{key} 应为字符串")
    if len(value) > MAX_CHARS:
        raise KnowledgeError(place, f"{key} 超过 {MAX_CHARS} 个字符")
    return value


def _rows(path: Path, expected: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's place and object; empty lines are passed over."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if number > MAX_LINES:
                    raise KnowledgeError(str(path), f"超过 {MAX_LINES} 行")
                if line.strip():
                    yield f"{path}:{number}", _row(f"{path}:{number}", line, expected)
    except OSError as error:
        raise KnowledgeError(str(path), f"无法读取：{error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KnowledgeError(str(path), "不是 UTF-8 文本") from error


def _row(place: str, line: str, expected: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise KnowledgeError(place, f"不是 JSON；{expected}") from error
    if not isinstance(row, dict):
        raise KnowledgeError(place, expected)
    return row
