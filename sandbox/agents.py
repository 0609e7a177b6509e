"""Agents who work at the service's human desk by themselves, each with a habit of theirs.

answer   takes what waits, answers each message, and resolves after a few answers
idle     is online and says nothing: what it is given has to go to somebody else
leave    takes a conversation, answers once, and is gone without a word
collide  takes whatever appears at once, so that several of them want the same
"""

import asyncio
import contextlib
import time
import uuid
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sandbox.desk_client import DeskClient, Event, Refused

Habit = Literal["answer", "idle", "leave", "collide"]
SAID = "您好，我是{login}，您的问题已经收到，马上为您处理。"
SETTLED = "都处理好了，还有需要随时找我们。"
_MOVES = frozenset({"queued", "assigned", "transferred", "message", "reopened", "mode", "hello"})
_BEHIND = frozenset({"reset", "overdue"})
_FIRST_REST_S, _LONGEST_REST_S = 0.2, 5.0
_KEPT = 1_000


class Hiring(BaseModel):
    """``reply_s``: how long it thinks before it answers. ``answers``: after so many of its own it
    resolves the conversation; 0: never. ``takes``: it helps itself from the queue, else it waits
    to be given something."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    login: str = Field(min_length=1, max_length=64)
    password: SecretStr = Field(min_length=1, max_length=256)
    habit: Habit = "answer"
    reply_s: float = Field(default=0.5, ge=0, le=600)
    answers: int = Field(default=2, ge=0, le=1_000)
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Deed:
    """``did``: signed_in, took, lost (somebody has it), said, resolved, left, refused, away."""

    seq: int
    at: float
    did: str
    conversation_id: str = ""
    detail: str = ""


class Robot:
    """``told`` is called after each deed. `work` runs until it is cancelled, or has left."""

    def __init__(self, hiring: Hiring, target: Callable[[], str], told: Callable[[], None]) -> None:
        self.hiring = hiring
        self.state: Literal["working", "left", "fired"] = "working"
        self.deeds: deque[Deed] = deque(maxlen=_KEPT)
        self.done: Counter[str] = Counter()
        self._target, self._told = target, told
        self._client: DeskClient | None = None
        self._last_event = ""
        self._answered: Counter[str] = Counter()
        self._run = uuid.uuid4().hex[:8]

    def shown(self) -> dict[str, Any]:
        """All but the password."""
        return {
            "login": self.hiring.login,
            "habit": self.hiring.habit,
            "state": self.state,
            "done": dict(self.done),
            "deeds": [asdict(deed) for deed in self.deeds],
        }

    async def work(self) -> None:
        """Signs in again, with growing rests, whenever the desk was away or threw it out."""
        rest = _FIRST_REST_S
        while self.state == "working":
            try:
                await self._shift()
                rest = _FIRST_REST_S
            except (Refused, httpx.HTTPError, httpx.InvalidURL) as error:
                self._note("away", detail=f"{type(error).__name__}: {error}"[:300])
                await asyncio.sleep(rest)
                rest = min(2 * rest, _LONGEST_REST_S)
            finally:
                await self._hang_up()

    async def _shift(self) -> None:
        self._client = client = DeskClient(self._target())
        await client.sign_in(self.hiring.login, self.hiring.password.get_secret_value())
        await client.presence("online")
        self._note("signed_in")
        async with contextlib.aclosing(self._listen(client)) as events:
            async for event in events:
                if event.kind == "goodbye":
                    return
                if event.kind in _MOVES | _BEHIND:
                    await self._look(client, event)
                if self.state != "working":
                    return

    async def _listen(self, client: DeskClient) -> AsyncGenerator[Event, None]:
        """Comes back where it was, whenever the stream ends."""
        while True:
            async with contextlib.aclosing(client.events(self._last_event)) as events:
                async for event in events:
                    yield event
                    self._last_event = event.id or self._last_event
            await asyncio.sleep(_FIRST_REST_S)

    async def _look(self, client: DeskClient, event: Event) -> None:
        if self.hiring.habit == "idle":
            return
        if self.hiring.habit == "collide" and event.kind == "queued":
            await self._take(client, event.data["conversation_id"])
        elif self.hiring.takes:
            for item in await client.queue("waiting", limit=5):
                await self._take(client, item["conversation_id"])
        for item in await client.queue("mine"):
            await self._serve(client, item)

    async def _take(self, client: DeskClient, conversation: str) -> None:
        if await self._try(client.act(conversation, "take"), conversation, lost="lost"):
            self._note("took", conversation)

    async def _serve(self, client: DeskClient, item: dict[str, Any]) -> None:
        conversation, unread = item["conversation_id"], item["unread"]
        first = not self._answered[conversation]
        if not unread and not first:
            return
        await asyncio.sleep(self.hiring.reply_s)
        number = self._answered[conversation] + 1
        last = 0 < self.hiring.answers <= number
        text = SETTLED if last and not first else SAID.format(login=self.hiring.login)
        name = f"robot-{self._run}-{conversation}-{number}"  # said once, though it be sent twice
        said = client.act(conversation, "say", text=text, message_id=name)
        if not await self._try(said, conversation, lost="lost"):
            return
        self._answered[conversation] = number
        self._note("said", conversation, text)
        if self.hiring.habit == "leave":
            self.state = "left"
            self._note("left", conversation)
        elif last and await self._try(client.act(conversation, "resolve"), conversation):
            del self._answered[conversation]
            self._note("resolved", conversation)

    async def _try(
        self, act: Awaitable[object], conversation: str, *, lost: str = "refused"
    ) -> bool:
        """What another agent was first with is no reason to stop working."""
        try:
            await act
        except Refused as error:
            if error.status not in (404, 409, 422):
                raise
            self._note(lost if error.status == 409 else "refused", conversation, error.reason)
            return False
        return True

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _note(self, did: str, conversation: str = "", detail: str = "") -> None:
        self.done[did] += 1
        number = sum(self.done.values())
        self.deeds.append(Deed(number, time.time(), did, conversation, detail))
        self._told()
