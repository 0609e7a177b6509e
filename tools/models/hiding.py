"""What a provider is told in place of personal data, and its answer with that data again."""

import json
from collections.abc import Sequence
from dataclasses import replace

from domain.placeholders import HINT, Placeholders
from tools.models.attempts import OnRestart
from tools.models.calls import ChatMessage, ModelAnswer
from tools.models.reply import OnToken


class Hidden:
    """One call. ``messages``: what may go out; the callbacks stand before the caller's own."""

    def __init__(
        self,
        messages: Sequence[ChatMessage],
        names: Sequence[str] = (),
        on_token: OnToken | None = None,
        on_restart: OnRestart | None = None,
    ) -> None:
        self._placeholders = Placeholders(names)
        self._stream = self._placeholders.restoring()
        self._on_token, self._on_restart = on_token, on_restart
        hidden = [replace(one, content=self._placeholders.hide(one.content)) for one in messages]
        self.messages = _explained(hidden) if self._placeholders.used else hidden

    async def on_token(self, piece: str) -> None:
        await self._say(self._stream.feed(piece))

    async def on_restart(self) -> None:
        self._stream.restart()
        if self._on_restart is not None:
            await self._on_restart()

    async def restored(self, answer: ModelAnswer, *, json_mode: bool) -> ModelAnswer:
        """``answer`` as its caller may read it; what the stream still held goes out first."""
        await self._say(self._stream.finish())
        if json_mode and self._placeholders.used:
            return replace(answer, text=self._restored_json(answer.text))
        return replace(answer, text=self._placeholders.restore(answer.text))

    async def _say(self, text: str) -> None:
        if text and self._on_token is not None:
            await self._on_token(text)

    def _restored_json(self, text: str) -> str:
        """Value by value: what is put back may hold quotes."""
        return json.dumps(self._restored_value(json.loads(text)), ensure_ascii=False)

    def _restored_value(self, value: object) -> object:
        if isinstance(value, str):
            return self._placeholders.restore(value)
        if isinstance(value, list):
            return [self._restored_value(one) for one in value]
        if isinstance(value, dict):
            return {key: self._restored_value(one) for key, one in value.items()}
        return value


def _explained(messages: list[ChatMessage]) -> list[ChatMessage]:
    first, *rest = messages
    if first.role == "system":
        return [replace(first, content=f"{first.content}\n\n{HINT}"), *rest]
    return [ChatMessage("system", HINT), *messages]
