"""Tools: what the graph, Tianwang's tasks and operators can call.

A tool is one async function with an argument model and a result model, registered once under one
name. Its effects are rows to be (`domain.decisions.Effect`): whoever calls it commits them together
with its own bookkeeping, so a call that is repeated under the same ``key`` does nothing twice. Who
calls comes from the context, never from the arguments.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from domain.decisions import Effect
from domain.errors import InvalidInput, KefuError, NotFound
from domain.spans import Value, span
from storage.database import Database

log = logging.getLogger(__name__)
A = TypeVar("A", bound=BaseModel)


class Role(StrEnum):
    """Who calls. Each tool says which roles may; a viewer looks at figures and uses none."""

    CUSTOMER = "customer"
    AGENT = "agent"
    ADMIN = "admin"
    VIEWER = "viewer"
    TIANWANG = "tianwang"


STAFF = frozenset({Role.AGENT, Role.ADMIN, Role.TIANWANG})
EVERYBODY = STAFF | {Role.CUSTOMER}


class NotAllowed(InvalidInput):
    """The caller's role may not use this tool, or not for this customer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason, status=403)


@dataclass(frozen=True, slots=True)
class Caller:
    """``name`` goes into the audit log. ``contact_id``: the one customer that a caller of role
    customer is; it can reach nobody else's data."""

    role: Role
    name: str
    contact_id: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """The conversation that a call is for. ``pushes``: its channel can deliver by itself."""

    conversation_id: str
    channel: str
    account: str
    chat_id: str
    sender_id: str
    contact_id: str
    name: str = ""
    pushes: bool = True


@dataclass(frozen=True, slots=True)
class ToolCall:
    """``key``: names this call for good; effects made from it are idempotent. ``recipient``: whom
    the call is for, where the caller's context has one (a task's customer, a turn's conversation).
    """

    caller: Caller
    key: str
    now: float
    database: Database
    zone: tzinfo = UTC
    recipient: Recipient | None = None
    channels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """``output``: plain JSON values, valid for the tool's result model."""

    output: dict[str, Any] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """``inline``: makes rows and nothing else, so a turn may call it; others are called after the
    turn, by the task runner, and may be called again with the same key after a crash."""

    name: str
    description: str
    args: type[A]
    result: type[BaseModel]
    roles: frozenset[Role]
    run: Callable[[ToolCall, A], Awaitable[ToolOutcome]]
    inline: bool = True
    title: str = ""

    def parse(self, arguments: dict[str, Any]) -> A:
        """Raises InvalidInput naming the first unusable argument."""
        try:
            return self.args.model_validate(arguments)
        except ValidationError as error:
            raise _invalid(error) from None

    def described(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title or self.name,
            "description": self.description,
            "roles": sorted(self.roles),
            "input_schema": self.args.model_json_schema(),
            "output_schema": self.result.model_json_schema(mode="serialization"),
        }


class ToolRegistry:
    """Filled once by the composition root. Raises ValueError for a name that is taken."""

    def __init__(self, tools: tuple[Tool[Any], ...] = ()) -> None:
        self._tools: dict[str, Tool[Any]] = {}
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool[Any]) -> None:
        if tool.name in self._tools:
            raise ValueError(f"a tool named {tool.name!r} is registered already")
        self._tools[tool.name] = tool

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool[Any]]:
        return iter(self._tools.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def get(self, name: str) -> Tool[Any]:
        """Raises NotFound."""
        try:
            return self._tools[name]
        except KeyError:
            raise NotFound("tool", name) from None

    def allowed(self, caller: Caller) -> tuple[Tool[Any], ...]:
        return tuple(tool for tool in self if caller.role in tool.roles)

    async def call(self, name: str, arguments: dict[str, Any], call: ToolCall) -> ToolOutcome:
        """Raises NotFound, NotAllowed, InvalidInput, or what the tool raises (a KefuError)."""
        tool = self.get(name)
        if call.caller.role not in tool.roles:
            raise NotAllowed("tool", f"{call.caller.role} 无权调用 {name}")
        told: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "kefu.caller.role": call.caller.role.value,
        }
        with span(f"execute_tool {name}", told):
            outcome = await tool.run(call, tool.parse(arguments))
        try:
            tool.result.model_validate(outcome.output)
        except ValidationError as error:
            raise KefuError(f"tool {name}: its result does not fit its model: {error}") from error
        return outcome


def _invalid(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "arguments"
    known = _REASONS.get(first["type"])
    return InvalidInput(place, known.format_map(first.get("ctx", {})) if known else first["msg"])


_REASONS = {
    "missing": "缺少该参数",
    "extra_forbidden": "不支持的参数",
    "string_type": "应为字符串",
    "string_too_short": "不能为空",
    "string_too_long": "太长,最多 {max_length} 个字符",
    "string_unicode": "不是有效的 Unicode 文本",
    "string_pattern_mismatch": "格式不正确,应符合 {pattern}",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_parsing_size": "应为整数",
    "int_from_float": "应为整数",
    "finite_number": "应为整数",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "literal_error": "可用的值:{expected}",
    "too_long": "太多,最多 {max_length} 项",
    "tuple_type": "应为数组",
    "list_type": "应为数组",
    "model_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "bool_type": "应为布尔值",
}
