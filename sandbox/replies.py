"""What the simulated model says: a scripted reply, a grounded one, or a polite default.

Shared by the OpenAI-compatible and the Anthropic-native surface.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sandbox.jsontext import json_bytes

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

DEFAULT_REPLY = "您好,已收到您的消息。这个问题我需要再确认一下,请您稍等。"

_EVIDENCE = re.compile(r"^[ \t]*\[(\d{1,3})\][ \t]*(\S.*)$", re.MULTILINE)
_NAMED_PICTURE = re.compile(r"\[图片 image/(\w+) ([0-9a-f]{8})\]")
# Where the answer begins in «问:…? 答:…» and in «…?:…».
_ANSWER_MARK = re.compile(
    r"(?:^|[\s|;;])(?:答案?|回答|A|answer)\s*[::]\s*|[??]\s*[::]\s*", re.IGNORECASE
)
_SENTENCE = re.compile(r".*?(?:[。!?!?]+|$)", re.DOTALL)
_TEXT_NAMES = frozenset({"answer", "reply", "text", "content", "message"})
_MAX_SCHEMA_DEPTH = 8
_MAX_ITEMS = 100


class Turn(NamedTuple):
    role: str
    text: str


class ToolSpec(NamedTuple):
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What both surfaces reduce a request to. ``json_schema`` is {} for plain JSON mode."""

    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    forced_tool: str | None = None
    json_schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None

    def last_user(self) -> str:
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    def tokens(self) -> int:
        return 3 + sum(count_tokens(turn.text) + 4 for turn in self.turns)


class ToolCall(NamedTuple):
    """``arguments``: a JSON object as text, as models write it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """``latency`` and ``chunk_latency`` in seconds; ``tokens`` is what it cost to say."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason = "stop"
    reasoning: str = ""
    latency: float = 0.0
    chunk_latency: float = 0.0

    def tokens(self) -> int:
        calls = sum(
            count_tokens(call.name) + count_tokens(call.arguments) for call in self.tool_calls
        )
        return count_tokens(self.text) + count_tokens(self.reasoning) + calls


class ScriptedCall(BaseModel):
    """``arguments`` as an object, or as the exact text (also broken JSON) the model writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=128)
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict)
    id: str | None = Field(default=None, max_length=128)


class Script(BaseModel):
    """``match``: substring or regular expression of the last user message; empty: any message.

    ``peer`` limits it to one provider; ``times``: how often at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    match: str = Field(default="", max_length=2_000)
    reply: str | None = Field(default=None, max_length=200_000)
    tool_calls: tuple[ScriptedCall, ...] = ()
    reasoning: str = Field(default="", max_length=200_000)
    finish_reason: FinishReason | None = None
    latency: float | None = Field(default=None, ge=0, le=3600)
    times: int | None = Field(default=None, ge=1)
    peer: str | None = Field(default=None, max_length=128)


class Latency(BaseModel):
    """Seconds to the first piece of an answer, and between the pieces of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seconds: float = Field(default=0.0, ge=0, le=3600)
    per_chunk: float = Field(default=0.0, ge=0, le=60)
    peer: str | None = Field(default=None, max_length=128)


@dataclass(slots=True)
class _Standing:
    script: Script
    pattern: re.Pattern[str] | None
    used: int = 0

    def matches(self, peer: str, text: str) -> bool:
        if self.script.peer not in (None, peer):
            return False
        if self.script.match in text:
            return True
        return self.pattern is not None and self.pattern.search(text) is not None


@dataclass(slots=True)
class Brain:
    """Scripts in the order they were given; the first that matches speaks."""

    _scripts: list[_Standing] = field(default_factory=list)
    _latency: dict[str | None, Latency] = field(default_factory=dict)
    _calls: int = 0

    def add(self, script: Script) -> None:
        try:
            pattern = re.compile(script.match, re.DOTALL)
        except re.error:
            pattern = None
        self._scripts.append(_Standing(script, pattern))

    def scripts(self) -> list[dict[str, Any]]:
        return [
            standing.script.model_dump() | {"used": standing.used} for standing in self._scripts
        ]

    def clear_scripts(self) -> int:
        count = len(self._scripts)
        self._scripts.clear()
        return count

    def set_latency(self, latency: Latency) -> None:
        self._latency[latency.peer] = latency

    def latencies(self) -> list[dict[str, Any]]:
        return [latency.model_dump() for latency in self._latency.values()]

    def reset(self) -> None:
        self._scripts.clear()
        self._latency.clear()

    def reply(self, peer: str, prompt: Prompt) -> Reply:
        latency = self._latency.get(peer) or self._latency.get(None) or Latency()
        standing = self._scripted(peer, prompt.last_user())
        reply, seconds = self._own_words(prompt), latency.seconds
        if standing is not None:
            reply = self._from_script(standing.script)
            seconds = seconds if standing.script.latency is None else standing.script.latency
        reply = replace(reply, latency=seconds, chunk_latency=latency.per_chunk)
        return _shortened(reply, prompt.max_tokens)

    def _scripted(self, peer: str, text: str) -> _Standing | None:
        for standing in self._scripts:
            if standing.matches(peer, text):
                standing.used += 1
                if standing.used == standing.script.times:
                    self._scripts.remove(standing)
                return standing
        return None

    def _from_script(self, script: Script) -> Reply:
        calls = tuple(
            ToolCall(call.id or self._call_id(), call.name, _arguments(call.arguments))
            for call in script.tool_calls
        )
        text = script.reply if script.reply is not None else ("" if calls else DEFAULT_REPLY)
        finish: FinishReason = script.finish_reason or ("tool_calls" if calls else "stop")
        return Reply(text, calls, finish, script.reasoning)

    def _own_words(self, prompt: Prompt) -> Reply:
        text = described(prompt.last_user()) or grounded(prompt.turns) or DEFAULT_REPLY
        forced = next((tool for tool in prompt.tools if tool.name == prompt.forced_tool), None)
        if forced is not None:
            arguments = json_bytes(example(forced.schema, text)).decode()
            return Reply("", (ToolCall(self._call_id(), forced.name, arguments),), "tool_calls")
        if prompt.json_schema is not None:
            schema = prompt.json_schema or {"properties": {"reply": {"type": "string"}}}
            return Reply(json_bytes(example(schema, text)).decode())
        return Reply(text)

    def _call_id(self) -> str:
        self._calls += 1
        return f"call_sandbox{self._calls:06d}"


def _arguments(arguments: Mapping[str, JsonValue] | str) -> str:
    return arguments if isinstance(arguments, str) else json_bytes(arguments).decode()


def picture_named(media_type: str, data: bytes) -> str:
    """How a picture stands in a prompt's text; scripts can match it."""
    return f"[图片 {media_type} {zlib.crc32(data):08x}]"


def described(text: str) -> str | None:
    """What is said of the pictures in ``text``."""
    pictures = _NAMED_PICTURE.findall(text)
    return "".join(f"模拟描述:一张{kind}图片,指纹 {digest}。" for kind, digest in pictures) or None


def grounded(turns: Sequence[Turn]) -> str | None:
    """First sentence of the first evidence line (``[1] …``) of the latest turn that has one."""
    for turn in reversed(turns):
        if turn.role == "assistant":
            continue
        if (evidence := _EVIDENCE.search(turn.text)) is not None:
            number, line = evidence.groups()
            answer = _ANSWER_MARK.split(line, maxsplit=1)[-1]
            sentence = _SENTENCE.match(answer)
            said = sentence.group().strip() if sentence else answer.strip()
            return f"{said}[{number}]"
    return None


def count_tokens(text: str) -> int:
    """Roughly what tokenizers make of it: one per Chinese character, one per four others."""
    wide = sum(char > "\u2e7f" for char in text)
    return wide + -(-(len(text) - wide) // 4)


def _shortened(reply: Reply, max_tokens: int | None) -> Reply:
    if max_tokens is None or count_tokens(reply.text) <= max_tokens:
        return reply
    return replace(reply, text=reply.text[:max_tokens], finish="length")


def example(schema: Mapping[str, Any], text: str) -> Any:
    """The plainest value that fits a JSON schema; members named like an answer get ``text``."""
    return _example(schema, schema, text, "", 0)


def _example(schema: Any, root: Mapping[str, Any], text: str, name: str, depth: int) -> Any:
    schema = _resolved(schema, root)
    if schema is None:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(options := schema.get("enum"), list) and options:
        return options[0]
    if "default" in schema:
        return schema["default"]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    if kind == "object":
        return _example_object(schema, root, text, depth)
    if kind == "array":
        return _example_array(schema, root, text, depth)
    if kind == "string":
        return text if name in _TEXT_NAMES else ""
    least = schema.get("minimum", 0)
    plain: dict[str, Any] = {"integer": least, "number": least, "boolean": False}
    return plain.get(str(kind))


def _example_object(
    schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int
) -> dict[str, Any]:
    if depth >= _MAX_SCHEMA_DEPTH:
        return {}
    members = schema.get("properties")
    if not isinstance(members, Mapping):
        return {}
    return {name: _example(part, root, text, name, depth + 1) for name, part in members.items()}


def _example_array(
    schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int
) -> list[Any]:
    if depth >= _MAX_SCHEMA_DEPTH:
        return []
    least, items = schema.get("minItems", 0), schema.get("items", {})
    if not isinstance(least, int) or not isinstance(items, Mapping):
        return []
    return [_example(items, root, text, "", depth + 1)] * min(least, _MAX_ITEMS)


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Follow ``$ref`` within the document and take the first of alternatives."""
    for _ in range(_MAX_SCHEMA_DEPTH):
        if not isinstance(schema, Mapping):
            return None
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if "$ref" in schema:
            schema = _referred(str(schema["$ref"]), root)
        elif isinstance(options, list) and options and "default" not in schema:
            schema = options[0]
        else:
            return schema
    return None


def _referred(pointer: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in pointer.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def pieces(text: str, size: int = 4) -> list[str]:
    """How a stream cuts a text: a few characters at a time."""
    return [text[start : start + size] for start in range(0, len(text), size)]
