"""CSV, JSON Lines and JSON: one question-answer record a row."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from domain.errors import KnowledgeError
from knowledge.formats.draft import Draft, bad, by_line
from knowledge.formats.tables import is_column, question_columns, record
from knowledge.formats.text import decode


def parse_csv(data: bytes) -> Iterator[Draft]:
    """A header row names the columns (English or Chinese); comma, semicolon or tab."""
    text = decode(data)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        if not question_columns(reader.fieldnames or ()):
            raise bad("表头需要有“问题”(question)和“答案”(answer)两列")
        for row in reader:
            yield record(row, reader.line_num, by_line(reader.line_num))
    except csv.Error as error:
        raise bad(f"第 {reader.line_num} 行不是有效的 CSV：{error}") from error


def parse_jsonl(data: bytes) -> Iterator[Draft]:
    """One object with ``question`` and ``answer`` a line."""
    # Not splitlines(): JSON strings may hold U+2028 and U+0085 as they are.
    for number, line in enumerate(decode(data).split("\n"), start=1):
        if line.strip():
            row = _loads(line, by_line(number))
            if not isinstance(row, dict):
                raise bad(f"第 {number} 行不是 JSON 对象")
            yield record(row, number, by_line(number))


def parse_json(data: bytes) -> Iterator[Draft]:
    """An array of such objects, an object with one array in it, or keywords and their answers
    as one object: ``{"发货": "48 小时内发货。"}``."""
    rows = _loads(decode(data), "文件")
    if isinstance(rows, dict) and _is_pairs(rows):
        rows = [{"keywords": words, "answer": answer} for words, answer in rows.items()]
    if isinstance(rows, dict):
        arrays = [value for value in rows.values() if isinstance(value, list)]
        rows = arrays[0] if len(arrays) == 1 else [rows]
    if not isinstance(rows, list):
        raise bad("需要由问答对象组成的 JSON 数组")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise bad(f"第 {number} 条不是 JSON 对象")
        yield record(row, number, f"第 {number} 条")


def _is_pairs(rows: dict[str, Any]) -> bool:
    texts = bool(rows) and all(isinstance(answer, str) for answer in rows.values())
    return texts and not any(is_column(name) for name in rows)


def _loads(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _no_json(what, error.msg) from error
    except (ValueError, RecursionError) as error:
        raise _no_json(what, str(error)) from error


def _no_json(what: str, why: str) -> KnowledgeError:
    return bad(f"{what}不是有效的 JSON：{why}")
