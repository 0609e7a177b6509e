"""Fields in the texts of a task's action: ``{{customer.name}}, 您的文件好了``.

A field is named in double braces, spaces around the name allowed; single braces and a lone ``}}``
are plain text. What is put in for a field is never read for fields again: a customer who writes
``{{task.id}}`` sees just that.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from domain.errors import InvalidInput
from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS
from domain.text import clean, one_line

LONGEST: Mapping[str, int] = {
    "customer.name": MAX_NAME_CHARS,
    "customer.id": MAX_ID_CHARS,
    "trigger.keyword": 128,
    "trigger.text": 500,
    "trigger.time": 32,
    "task.id": MAX_ID_CHARS,
}
"""Every field that there is, and the characters at which its value is cut."""

MAX_DEPTH = 16
_MULTI_LINE = frozenset({"trigger.text"})
_FIELD = re.compile(r"\{\{([^{}]*)\}\}")
_OPENING = "{{"


def fields_in(value: object) -> set[str]:
    """Names between double braces anywhere in nested dicts and lists, whether known or not."""
    return {
        name.strip() for _, text in _texts(value, "", MAX_DEPTH) for name in _FIELD.findall(text)
    }


def check(arguments: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises InvalidInput with the path of the first text that `fill` could not fill.

    ``known``: the fields that will have a value when it is filled.
    """
    for path, text in _texts(arguments, "", MAX_DEPTH):
        for name in _FIELD.findall(text):
            if name.strip() not in known:
                raise InvalidInput(path, _unusable(name.strip(), known))
        if any(_OPENING in part for part in _FIELD.split(text)[::2]):
            raise InvalidInput(path, "有未闭合的“{{”,字段应写作 {{customer.name}}")


def fill(arguments: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A copy of ``arguments`` with each field's value in its place.

    Values are cut to `LONGEST`, without control characters, line breaks only in trigger.text.
    Raises InvalidInput for a field that has no value.
    """
    ready = {name: _plain(name, value) for name, value in values.items()}
    filled = _filled(arguments, "", ready)
    assert isinstance(filled, dict)
    return filled


def longest_values() -> dict[str, str]:
    """For each field a value as long, and as odd, as it gets: arguments that are valid filled with
    these are valid filled with any. They hold ``{{``, as a customer's words may, so that whatever
    must not be decided by a customer (an address, whom a call is for) refuses them."""
    return {name: "{{" + "字" * (size - 2) for name, size in LONGEST.items()}


def _plain(name: str, value: str) -> str:
    # Twice the length before cleaning: what is cleaned away is little, a novel is not worth it.
    limit = LONGEST.get(name, MAX_NAME_CHARS)
    tidy: Callable[[str], str] = clean if name in _MULTI_LINE else one_line
    return tidy(value[: 2 * limit])[:limit]


def _texts(value: object, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
        return
    if not isinstance(value, Mapping | list | tuple):
        return
    if depth == 0:
        raise InvalidInput(path, f"嵌套超过 {MAX_DEPTH} 层")
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in pairs:
        yield from _texts(inner, _joined(path, key), depth - 1)


def _filled(value: object, path: str, values: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _FIELD.sub(lambda found: _value(found, path, values), value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, _joined(path, key), values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, _joined(path, at), values) for at, inner in enumerate(value)]
    return value


def _value(found: re.Match[str], path: str, values: Mapping[str, str]) -> str:
    name = found[1].strip()
    if name not in values:
        raise InvalidInput(path, _unusable(name, frozenset(values)))
    return values[name]


def _unusable(name: str, known: frozenset[str]) -> str:
    problem = "在这个任务里没有值" if name in LONGEST else "不存在"
    usable = ", ".join(sorted(known)) or "无"
    return f"字段 {name[:MAX_NAME_CHARS]!r} {problem};可用字段:{usable}"


def _joined(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
