"""Small tools that show what a desk does with any: effects, failures, reach, delay."""

import asyncio
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from domain.decisions import Effect, EffectKind
from domain.errors import InvalidInput, PeerUnavailable
from tools.registry import EVERYBODY, STAFF, Tool, ToolCall, ToolOutcome


class Note(BaseModel):
    """``about``: a contact; empty for the caller's own."""

    model_config = ConfigDict(extra="forbid")

    tag: str
    about: str = ""
    extra: dict[str, Any] = {}


class Noted(BaseModel):
    tag: str
    about: str


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fail(BaseModel):
    how: Literal["peer", "input", "bug", "result"]


class Seen(BaseModel):
    runs: int


class Samples:
    """``runs`` counts each run of a tool's function, ``started`` lets a test wait for one; ``go``
    lets the patient ones on."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        self.started = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.keys: list[str] = []

    def _ran(self, name: str, call: ToolCall) -> int:
        self.keys.append(call.key)
        self.started.release()
        self.runs[name] = self.runs.get(name, 0) + 1
        return self.runs[name]

    async def _note(self, call: ToolCall, args: Note) -> ToolOutcome:
        self._ran("sample_note", call)
        own = call.recipient.contact_id if call.recipient else call.caller.contact_id
        payload = {"contact_id": args.about or own, "add": [args.tag], "remove": []}
        return ToolOutcome(
            {"tag": args.tag, "about": args.about or own},
            (Effect(EffectKind.TAG, "note", payload),),
        )

    async def _count(self, call: ToolCall, args: Nothing) -> ToolOutcome:
        return ToolOutcome({"runs": self._ran("sample_count", call)})

    async def _wait(self, call: ToolCall, args: Nothing) -> ToolOutcome:
        runs = self._ran("sample_wait", call)
        await self.go.wait()
        return ToolOutcome({"runs": runs})

    async def _fail(self, call: ToolCall, args: Fail) -> ToolOutcome:
        self._ran("sample_fail", call)
        if args.how == "peer":
            raise PeerUnavailable("designer", "refused, with key s3cret")
        if args.how == "input":
            raise InvalidInput("how", "不行")
        if args.how == "bug":
            raise ZeroDivisionError("s3cret")
        return ToolOutcome({"runs": "no number"})

    def tools(self) -> tuple[Tool[Any], ...]:
        """Customers may use ``sample_note`` and ``sample_count``."""
        return (
            Tool("sample_note", "记一个标签", Note, Noted, EVERYBODY, self._note, title="记标签"),
            Tool("sample_count", "数一数", Nothing, Seen, EVERYBODY, self._count),
            Tool("sample_wait", "等一等", Nothing, Seen, STAFF, self._wait, inline=False),
            Tool("sample_fail", "出错", Fail, Seen, STAFF, self._fail, inline=False),
        )
