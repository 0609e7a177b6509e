"""The subset of JSON paths that a mapping file may use, and templates of frames.

``a.b``: members; ``a[0]``, ``a[-1]``: items; ``a[*]``: every item; ``a["x.y"]``: a member whose
name holds signs of its own. An empty path is the whole frame.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain
from typing import Any

MAX_STEPS = 32
Step = str | int
_STEP = re.compile(
    r"""
    (?:^|\.)(?P<member>[^\s.\[\]{}"]+)      # a or .a
    | \[(?P<index>-?\d{1,6})\]
    | \[(?P<every>\*)\]
    | \["(?P<quoted>[^"]+)"\]
    """,
    re.VERBOSE,
)


class EveryItem:
    """The step ``[*]``: a member may well be called ``*``."""


_Steps = tuple[Step | EveryItem, ...]
_EVERY = EveryItem()


@lru_cache(maxsize=1_024)
def compile_path(path: str) -> _Steps:
    """Raises ValueError if ``path`` is none."""
    steps: list[Step | EveryItem] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise ValueError(f"{path!r} is no path: {path[at:]!r} cannot be read")
        steps.append(_step(found))
        at = found.end()
    if len(steps) > MAX_STEPS:
        raise ValueError(f"{path[:60]!r} has more than {MAX_STEPS} steps")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step | EveryItem:
    if found["index"] is not None:
        return int(found["index"])
    if found["every"] is not None:
        return _EVERY
    return found["member"] if found["member"] is not None else found["quoted"]


def find_all(path: str, frame: object) -> list[Any]:
    """Every value at ``path``; none where it leads nowhere."""
    values: Iterator[Any] = iter((frame,))
    for step in compile_path(path):
        values = chain.from_iterable(map(_follower(step), values))
    return list(values)


def _follower(step: Step | EveryItem) -> Callable[[Any], tuple[Any, ...]]:
    return partial(_follow, step)


def _follow(step: Step | EveryItem, value: Any) -> tuple[Any, ...]:
    if isinstance(step, EveryItem):
        return tuple(value) if isinstance(value, list) else ()
    if isinstance(step, int):
        held = isinstance(value, list) and -len(value) <= step < len(value)
        return (value[step],) if held else ()
    return (value[step],) if isinstance(value, dict) and step in value else ()


# Templates ------------------------------------------------------------------------------------

_PLACE = re.compile(r"\{(?P<name>[a-z_]+|frame\.[^{}]+?)(?P<optional>\?)?\}")
_LEFT_OUT = object()


def places(template: object) -> Iterator[str]:
    """The names that ``template`` asks for."""
    if isinstance(template, str):
        yield from (found["name"] for found in _PLACE.finditer(template))
    elif isinstance(template, dict):
        yield from chain.from_iterable(map(places, (*template.keys(), *template.values())))
    elif isinstance(template, list):
        yield from chain.from_iterable(map(places, template))


def fill(template: object, values: Mapping[str, object], frame: object = None) -> Any:
    """``template`` with its places filled, once: what is filled in is never looked at again.

    A string that is nothing but one place becomes the value itself, a number stays a number.
    ``{name?}`` alone drops its member where the value is empty; ``{frame.path}`` is the value in
    ``frame``.
    """
    filled = _fill(template, values, frame)
    return None if filled is _LEFT_OUT else filled


def _fill(template: object, values: Mapping[str, object], frame: object) -> Any:
    if isinstance(template, str):
        return _fill_text(template, values, frame)
    if isinstance(template, dict):
        members = ((name, _fill(part, values, frame)) for name, part in template.items())
        return {name: value for name, value in members if value is not _LEFT_OUT}
    if isinstance(template, list):
        items = (_fill(part, values, frame) for part in template)
        return [value for value in items if value is not _LEFT_OUT]
    return template


def _fill_text(template: str, values: Mapping[str, object], frame: object) -> Any:
    whole = _PLACE.fullmatch(template)
    if whole is not None:
        value = _value(whole["name"], values, frame)
        return _LEFT_OUT if whole["optional"] and value in ("", None) else value
    return _PLACE.sub(lambda found: _shown(_value(found["name"], values, frame)), template)


def _value(name: str, values: Mapping[str, object], frame: object) -> Any:
    if not name.startswith("frame."):
        return values[name]
    found = find_all(name.removeprefix("frame."), frame)
    return found[0] if found else None


def _shown(value: object) -> str:
    return "" if value is None else str(value)
