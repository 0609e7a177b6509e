"""Reading one answer of a LangChain model, whole or in pieces."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from tools.models.failures import BadAnswer
from tools.models.text import AnswerText, without_fence

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import BaseMessage

OnToken = Callable[[str], Awaitable[None]]
Input = list[tuple[str, str | list[str | dict[str, Any]]]]
"""Role and content, as LangChain takes them; a list holds text and picture parts."""

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
    "sensitive": "content_filter",
    "SAFETY": "content_filter",
}


class CallerFailed(Exception):
    """The caller's ``on_token`` raised ``cause``: no fault of the provider."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        super().__init__(str(cause))


class Reply:
    """What has arrived so far. ``tokens_*`` None until the provider has reported them."""

    def __init__(self) -> None:
        self._answer = AnswerText()
        self.arrived = False
        self.shown = False
        self.finish = ""
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None

    @property
    def text(self) -> str:
        return self._answer.text

    async def read(
        self, model: "BaseChatModel", messages: Input, arguments: dict[str, Any]
    ) -> None:
        """Ask for the whole answer at once."""
        self._take(await model.ainvoke(messages, **arguments))
        self._answer.finish()

    async def stream(
        self,
        model: "BaseChatModel",
        messages: Input,
        arguments: dict[str, Any],
        on_token: OnToken,
        timer: asyncio.Timeout,
        idle: Callable[[], float],
    ) -> None:
        """Hand every piece on as it comes. ``idle``: when to give up waiting for the next one."""
        chunks = cast("AsyncGenerator[BaseMessage, None]", model.astream(messages, **arguments))
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._show(self._take(chunk), on_token, timer)
                timer.reschedule(idle())
        await self._show(self._answer.finish(), on_token, timer)
        if not self.finish:
            raise BadAnswer("cut_stream", "the stream ended without a finish reason")

    def check(self, *, json_mode: bool) -> str:
        """The answer's text; raises BadAnswer where it cannot be used."""
        if self.finish == "content_filter":
            raise BadAnswer("content_filter", "the provider's filter stopped the answer")
        if not self.text:
            raise BadAnswer("empty", f"no text (finish reason {self.finish!r})")
        return _json_text(self.text) if json_mode else self.text

    async def _show(self, piece: str, on_token: OnToken, timer: asyncio.Timeout) -> None:
        if not piece:
            return
        # A slow reader must not cost the provider its time.
        timer.reschedule(None)
        self.shown = True
        try:
            await on_token(piece)
        except Exception as error:
            raise CallerFailed(error) from error

    def _take(self, message: "BaseMessage") -> str:
        self.arrived = True
        facts = message.response_metadata
        reason = facts.get("finish_reason") or facts.get("stop_reason")
        if reason:
            self.finish = _FINISH.get(str(reason), str(reason))
        usage = getattr(message, "usage_metadata", None)
        if usage and usage["input_tokens"]:
            self.tokens_in = usage["input_tokens"]
        if usage and usage["output_tokens"]:
            self.tokens_out = usage["output_tokens"]
        return self._answer.feed(str(message.text))


def _json_text(text: str) -> str:
    bare = without_fence(text)
    try:
        json.loads(bare)
    except ValueError as error:
        raise BadAnswer("garbage", f"asked for JSON, got something else: {error}") from error
    return bare
