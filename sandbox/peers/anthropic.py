"""The Anthropic-native surface of a simulated provider: ``/v1/messages`` and its stream events.

Shapes: reference, LLM endpoints, 4.4.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sandbox.peer import Sandbox, call_of, json_answer
from sandbox.replies import Brain, Prompt, Reply, ToolSpec, Turn, pieces
from sandbox.validation import first_problem

KIND = "messages"

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

_Content = str | list[dict[str, JsonValue]]


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Message(_Given):
    role: Literal["user", "assistant"]
    content: _Content


class Tool(_Given):
    name: str = Field(min_length=1)
    input_schema: dict[str, Any] = Field(default_factory=dict)


class ToolChoice(_Given):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class MessagesRequest(_Given):
    model: str = Field(min_length=1, max_length=256)
    max_tokens: int = Field(ge=1)
    messages: tuple[Message, ...] = Field(min_length=1)
    system: _Content = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    stream: bool = False

    def prompt(self) -> Prompt:
        turns: tuple[Turn, ...] = (Turn("system", _text(self.system)),) if self.system else ()
        turns += tuple(Turn(message.role, _text(message.content)) for message in self.messages)
        return Prompt(
            turns=turns,
            tools=tuple(ToolSpec(tool.name, tool.input_schema) for tool in self.tools),
            forced_tool=self._forced_tool(),
            max_tokens=self.max_tokens,
        )

    def _forced_tool(self) -> str | None:
        if self.tool_choice is None or not self.tools:
            return None
        if self.tool_choice.type == "any":
            return self.tools[0].name
        return self.tool_choice.name if self.tool_choice.type == "tool" else None


def routes(sandbox: Sandbox, brain: Brain) -> APIRouter:
    """For the router of the model peer, whose scripts and latency it shares."""
    surface = _Surface(sandbox, brain)
    router = APIRouter()
    for path in ("/v1/messages", "/{provider}/v1/messages"):
        router.add_api_route(path, surface.messages, methods=["POST"], response_model=None)
    return router


def error_body(status: int, message: str) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(status, "api_error")
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": _id("req")}


class _Surface:
    def __init__(self, sandbox: Sandbox, brain: Brain) -> None:
        self._sandbox, self._brain = sandbox, brain

    async def messages(self, request: Request) -> Response:
        """Anthropic messages, also as a stream."""
        if (refusal := _refusal(request)) is not None:
            return refusal
        try:
            asked = MessagesRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(400, first_problem(error))
        prompt = asked.prompt()
        call = call_of(request)
        reply = Reply() if call.empty else self._brain.reply(call.entry.peer, prompt)
        if not await self._sandbox.pause(request.receive, reply.latency):
            return Response(status_code=499)
        call.verdict(accepted=True)
        headers = {"request-id": _id("req")}
        if asked.stream:
            events = _stream(asked.model, prompt, reply)
            return StreamingResponse(events, headers=headers, media_type="text/event-stream")
        return json_answer(_message(asked.model, prompt, reply), headers=headers)


def _text(content: _Content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, map(_block_text, content)))


def _block_text(block: dict[str, JsonValue]) -> str:
    if block.get("type") == "tool_result":
        inner = block.get("content")
        if isinstance(inner, list):
            return _text([part for part in inner if isinstance(part, dict)])
        return str(inner or "")
    return str(block.get("text") or "")


def _refusal(request: Request) -> Response | None:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
    if not key.strip():
        return _error(401, "x-api-key header is required")
    if not request.headers.get("anthropic-version"):
        return _error(400, "anthropic-version: header is required")
    return None


def _error(status: int, message: str) -> Response:
    body = error_body(status, message)
    return json_answer(body, status, {"request-id": body["request_id"]})


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:24]}"


def _arguments(text: str) -> Any:
    """A script may hold broken JSON; this surface can only show it as a string."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": ""})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for call in reply.tool_calls:
        tool_use = {"type": "tool_use", "id": call.id, "name": call.name}
        blocks.append(tool_use | {"input": _arguments(call.arguments)})
    return blocks


def _envelope(model: str, prompt: Prompt, output_tokens: int) -> dict[str, Any]:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": prompt.tokens(), "output_tokens": output_tokens},
    }


def _message(model: str, prompt: Prompt, reply: Reply) -> dict[str, Any]:
    return _envelope(model, prompt, reply.tokens()) | {
        "content": _blocks(reply),
        "stop_reason": _STOP_REASONS[reply.finish],
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind} | fields) + b"\n\n"


async def _stream(model: str, prompt: Prompt, reply: Reply) -> AsyncIterator[bytes]:
    yield _event("message_start", message=_envelope(model, prompt, 1))
    yield _event("ping")
    for index, (start, deltas) in enumerate(_streamed_blocks(reply)):
        yield _event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
            if reply.chunk_latency:
                await asyncio.sleep(reply.chunk_latency)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": _STOP_REASONS[reply.finish], "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage={"output_tokens": reply.tokens()})
    yield _event("message_stop")


def _streamed_blocks(reply: Reply) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each content block as it starts, and the deltas that fill it."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if reply.reasoning:
        thoughts = [
            {"type": "thinking_delta", "thinking": part} for part in pieces(reply.reasoning)
        ]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, thoughts))
    if reply.text:
        texts = [{"type": "text_delta", "text": part} for part in pieces(reply.text)]
        blocks.append(({"type": "text", "text": ""}, texts))
    for call in reply.tool_calls:
        start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        parts = pieces(call.arguments, 12)
        blocks.append((start, [{"type": "input_json_delta", "partial_json": p} for p in parts]))
    return blocks
