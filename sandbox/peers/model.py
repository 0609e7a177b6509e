"""OpenAI-compatible model providers: chat (also streamed, tools, JSON mode), embeddings, models.

``/model/v1`` is peer ``model``; ``/model/{name}/v1`` is peer ``model/{name}``, so that several
providers can be had at once, each with its own faults. Shapes: reference, LLM endpoints, 4.1.
"""

import asyncio
import base64
import math
import re
import time
import uuid
import zlib
from array import array
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sandbox.peer import Peer, Place, Sandbox, call_of, json_answer
from sandbox.peers import anthropic
from sandbox.replies import (
    Brain,
    Latency,
    Prompt,
    Reply,
    Script,
    ToolSpec,
    Turn,
    count_tokens,
    picture_named,
    pieces,
)
from sandbox.validation import first_problem

MODELS = ("sandbox-chat", "sandbox-embedding")
EMBEDDING_DIMENSIONS = 1024
# Beyond this many characters embedding would hold up other requests: a thread does it.
_EMBED_INLINE_CHARS = 4_000

_KINDS = {
    "completions": "chat",
    "embeddings": "embeddings",
    "models": "models",
    "messages": anthropic.KIND,
}
_DATA_URL = re.compile(r"data:(image/(?:jpeg|png|webp|gif));base64,([A-Za-z0-9+/=]+)")
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8")
_NAME = re.compile(r"^model(/[^/*]{1,64})?$")
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_balance",
    403: "permission_error",
    404: "not_found_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ChatMessage(_Given):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, JsonValue]] | None = None

    @field_validator("content")
    @classmethod
    def _readable(cls, content: Any) -> Any:
        """Providers refuse pictures that they cannot read."""
        for part in content if isinstance(content, list) else ():
            _part_text(part)
        return content


class Function(_Given):
    name: str = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(_Given):
    type: Literal["function"] = "function"
    function: Function


class ChosenFunction(_Given):
    name: str


class ToolChoice(_Given):
    type: Literal["function"] = "function"
    function: ChosenFunction


class JsonSchema(_Given):
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(_Given):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Given):
    include_usage: bool = False


class ChatRequest(_Given):
    model: str = Field(min_length=1, max_length=256)
    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: Literal[1] | None = None

    def prompt(self) -> Prompt:
        tools = tuple(ToolSpec(t.function.name, t.function.parameters) for t in self.tools or ())
        return Prompt(
            turns=tuple(Turn(message.role, _text(message.content)) for message in self.messages),
            tools=tools,
            forced_tool=self._forced_tool(tools),
            json_schema=self._json_schema(),
            max_tokens=self.max_completion_tokens or self.max_tokens,
        )

    def _forced_tool(self, tools: tuple[ToolSpec, ...]) -> str | None:
        if isinstance(self.tool_choice, ToolChoice):
            return self.tool_choice.function.name
        return tools[0].name if self.tool_choice == "required" and tools else None

    def _json_schema(self) -> dict[str, Any] | None:
        if self.response_format is None or self.response_format.type == "text":
            return None
        given = self.response_format.json_schema
        return given.schema_ if given is not None else {}

    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class EmbeddingRequest(_Given):
    model: str = Field(min_length=1, max_length=256)
    input: str | tuple[str, ...] | tuple[int, ...] | tuple[tuple[int, ...], ...]
    dimensions: int = Field(default=EMBEDDING_DIMENSIONS, ge=1, le=4096)
    encoding_format: Literal["float", "base64"] = "float"

    def texts(self) -> list[str]:
        """Token ids stand for themselves: the same ids give the same vector."""
        if isinstance(self.input, str):
            return [self.input]
        if self.input and isinstance(self.input[0], int):
            return [" ".join(map(str, self.input))]
        return [item if isinstance(item, str) else " ".join(map(str, item)) for item in self.input]  # type: ignore[arg-type]


class ModelPeer(Peer):
    name = "model"
    title = "大模型(OpenAI 兼容与 Anthropic 原生)"
    summary = "可设定回复、延迟与工具调用;默认依据提示中的 [1] 证据作答。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("模型列表(需 Bearer 密钥)", "/model/v1/models"),
        ("已设定的回复", "/_sandbox/model/script"),
    )
    empties = frozenset({"chat", "messages"})

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.brain = Brain()
        for base in ("/v1", "/{provider}/v1"):
            self._route(f"{base}/chat/completions", self.chat, "POST")
            self._route(f"{base}/embeddings", self.embeddings, "POST")
            self._route(f"{base}/models", self.models, "GET")
        self.router.include_router(anthropic.routes(sandbox, self.brain))
        self._admin_routes()

    def _route(self, path: str, endpoint: Any, method: str) -> None:
        self.router.add_api_route(path, endpoint, methods=[method], response_model=None)

    def _admin_routes(self) -> None:
        add = self.admin.add_api_route
        add("/script", self.add_script, methods=["POST"], status_code=201)
        add("/script", self.list_scripts, methods=["GET"])
        add("/script", self.clear_scripts, methods=["DELETE"])
        add("/latency", self.set_latency, methods=["POST"])
        add("/latency", self.list_latencies, methods=["GET"])

    # What a provider answers ---------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        """OpenAI chat completions, also as a stream."""
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        try:
            asked = ChatRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return _refused(first_problem(error))
        prompt = asked.prompt()
        call = call_of(request)
        reply = Reply() if call.empty else self.brain.reply(call.entry.peer, prompt)
        if not await self.sandbox.pause(request.receive, reply.latency):
            return Response(status_code=499)
        call.verdict(accepted=True)
        if asked.stream:
            return StreamingResponse(
                self._stream(request, asked, prompt, reply), media_type="text/event-stream"
            )
        return json_answer(_completion(asked.model, prompt, reply))

    async def _stream(
        self, request: Request, asked: ChatRequest, prompt: Prompt, reply: Reply
    ) -> AsyncIterator[bytes]:
        head = _head("chat.completion.chunk", asked.model)
        usage = asked.wants_usage()
        for delta in _deltas(reply):
            yield _event(_chunk(head, usage, delta, None))
            if reply.chunk_latency:
                await asyncio.sleep(reply.chunk_latency)
        yield _event(_chunk(head, usage, {}, reply.finish))
        if usage:
            yield _event(head | {"choices": [], "usage": _usage(prompt, reply)})
        yield b"data: [DONE]\n\n"

    async def embeddings(self, request: Request) -> Response:
        """Deterministic vectors: texts that share characters are near each other."""
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        try:
            asked = EmbeddingRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return _refused(first_problem(error))
        texts = asked.texts()
        if not texts:
            return _refused("input: must not be empty")
        call_of(request).verdict(accepted=True)
        if sum(map(len, texts)) > _EMBED_INLINE_CHARS:
            return json_answer(await asyncio.to_thread(_embedded, asked, texts))
        return json_answer(_embedded(asked, texts))

    async def models(self, request: Request) -> Response:
        """The models' list; any other model name is accepted too."""
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        owner = call_of(request).entry.peer
        data = [
            {"id": model, "object": "model", "created": 1_700_000_000, "owned_by": owner}
            for model in MODELS
        ]
        return json_answer({"object": "list", "data": data})

    # What drives it ------------------------------------------------------------------------

    async def add_script(self, script: Script) -> dict[str, Any]:
        """Script a reply to messages that match; earlier scripts go first."""
        self.brain.add(script)
        return {"scripts": len(self.brain.scripts())}

    async def list_scripts(self) -> dict[str, Any]:
        return {"scripts": self.brain.scripts()}

    async def clear_scripts(self) -> dict[str, Any]:
        return {"cleared": self.brain.clear_scripts()}

    async def set_latency(self, latency: Latency) -> dict[str, Any]:
        """Delay all answers, or one provider's."""
        self.brain.set_latency(latency)
        return {"latency": self.brain.latencies()}

    async def list_latencies(self) -> dict[str, Any]:
        return {"latency": self.brain.latencies()}

    # What the sandbox asks -----------------------------------------------------------------

    def locate(self, path: str) -> Place:
        parts = path.strip("/").split("/")
        kind = _KINDS.get(parts[-1], "unknown")
        provider = parts[1] if len(parts) > 2 and parts[1] != "v1" else ""
        return Place(f"model/{provider}" if provider else "model", kind)

    def knows(self, name: str) -> bool:
        return _NAME.match(name) is not None

    def error(self, kind: str, status: int) -> Any:
        message = f"injected by the sandbox (HTTP {status})"
        if kind == anthropic.KIND:
            return anthropic.error_body(status, message)
        return _error_body(status, message)

    def facts(self) -> dict[str, Any]:
        return {"scripts": len(self.brain.scripts()), "latency": self.brain.latencies()}

    async def reset(self) -> None:
        self.brain.reset()


def _text(content: str | list[dict[str, JsonValue]] | None) -> str:
    if isinstance(content, list):
        return "\n".join(filter(None, map(_part_text, content)))
    return content or ""


def _part_text(part: dict[str, JsonValue]) -> str:
    """A picture is named by its kind and content, so that the same one gets the same words.

    Raises ValueError for one that is no picture in base64.
    """
    if part.get("type") != "image_url":
        return str(part.get("text") or "")
    given = part.get("image_url")
    url = str(given.get("url") if isinstance(given, dict) else given)
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise ValueError("image_url: must be a data URL of a JPEG, PNG, WebP or GIF in base64")
    data = base64.b64decode(found[2], validate=True)
    if not data.startswith(_PICTURE_MAGIC):
        raise ValueError("image_url: not a picture")
    return picture_named(found[1], data)


def _error_body(status: int, message: str, *, code: str | None = None) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _refused(message: str) -> Response:
    return json_answer(_error_body(400, message), 400)


def _unauthorized(request: Request) -> Response | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return None
    message = "You didn't provide an API key. Send it as: Authorization: Bearer YOUR_KEY"
    return json_answer(_error_body(401, message, code="invalid_api_key"), 401)


def _head(kind: str, model: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _usage(prompt: Prompt, reply: Reply) -> dict[str, int]:
    asked, said = prompt.tokens(), reply.tokens()
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _completion(model: str, prompt: Prompt, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    head = _head("chat.completion", model)
    return head | {"choices": [choice], "usage": _usage(prompt, reply)}


def _deltas(reply: Reply) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in pieces(reply.reasoning)]
    deltas += [{"content": piece} for piece in pieces(reply.text)]
    for index, call in enumerate(reply.tool_calls):
        start = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": call.id, "type": "function", "function": start}
        deltas.append({"tool_calls": [first]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in pieces(call.arguments, 12)
        ]
    return deltas


def _chunk(
    head: dict[str, Any], usage: bool, delta: dict[str, Any], finish: str | None
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return head | {"choices": [choice]} | ({"usage": None} if usage else {})


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _embedded(asked: EmbeddingRequest, texts: list[str]) -> dict[str, Any]:
    data = []
    for index, text in enumerate(texts):
        vector = _vector(text, asked.dimensions)
        shown: Any = vector.tolist()
        if asked.encoding_format == "base64":
            shown = base64.b64encode(vector.tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    tokens = sum(map(count_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": asked.model, "usage": usage}


def _vector(text: str, dimensions: int) -> "array[float]":
    """Hashed character 1- and 2-grams, of length one."""
    folded = text.lower()
    grams = [*folded, *map("".join, pairwise(folded))] or [""]
    vector = array("f", bytes(4 * dimensions))
    for gram in grams:
        hashed = zlib.crc32(gram.encode("utf-8", "replace"))
        vector[hashed % dimensions] += 1.0 if hashed & 0x8000_0000 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return array("f", (value / length for value in vector))
