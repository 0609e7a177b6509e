"""YAML whose every value knows the line that it stands on, and stays the text that was written.

Nothing is guessed: «yes», «1» and «2026-11-21» are what a customer wrote, not a truth value, a
number and a date. Who wants another type converts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from domain.errors import KefuError
from domain.text import one_line

MAX_DEPTH = 12
MAX_BYTES = 1_048_576


class ScriptError(KefuError):
    """``file`` cannot be used as it is: ``reason`` at ``line``, counted from 1."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(f"{file}:{line}: {reason}")


@dataclass(frozen=True, slots=True)
class Document:
    """One of a file's documents: plain values, and the node that each one comes from."""

    file: str
    value: Any
    node: Node

    def line(self, path: tuple[str | int, ...] = ()) -> int:
        """Of the value at ``path``, or of the innermost one around it that there is."""
        at = self.node
        for step in path:
            below = _below(at, step)
            if below is None:
                break
            at = below
        return int(at.start_mark.line) + 1


def documents_of(file: str, data: bytes) -> list[Document]:
    """Raises ScriptError."""
    if len(data) > MAX_BYTES:
        raise ScriptError(file, 1, f"文件超过 {MAX_BYTES // 1024} KB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ScriptError(file, line, "不是 UTF-8 编码的文字") from None
    try:
        nodes = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ScriptError(
            file, line, f"不是正确的 YAML：{error.problem or error.context}"
        ) from None
    except yaml.YAMLError as error:
        raise ScriptError(file, 1, f"不是正确的 YAML：{one_line(str(error))}") from None
    except RecursionError:
        raise ScriptError(file, 1, "嵌套太深") from None
    seen: set[int] = set()
    return [Document(file, _plain(file, node, 0, seen), node) for node in nodes]


def _plain(file: str, node: Node, depth: int, seen: set[int]) -> Any:
    """``seen``: nodes by identity. One that comes twice is an alias, and aliases of aliases make
    a short file endless."""
    line = node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise ScriptError(file, line, "嵌套太深")
    if id(node) in seen:
        raise ScriptError(file, line, "不能使用 YAML 的锚点和引用（& 和 *）")
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        return str(node.value)
    if isinstance(node, SequenceNode):
        return [_plain(file, one, depth + 1, seen) for one in node.value]
    found: dict[str, Any] = {}
    for key, below in _pairs(file, node):
        if key in found:
            raise ScriptError(file, below.start_mark.line + 1, f"{key!r} 写了两次")
        found[key] = _plain(file, below, depth + 1, seen)
    return found


def _pairs(file: str, node: Node) -> Iterator[tuple[str, Node]]:
    assert isinstance(node, MappingNode)
    for key, below in node.value:
        if not isinstance(key, ScalarNode):
            raise ScriptError(file, key.start_mark.line + 1, "字段名应为文字")
        yield str(key.value), below


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: Node = node.value[step]
        return found
    if isinstance(node, MappingNode):
        return next((below for key, below in node.value if key.value == step), None)
    return None
