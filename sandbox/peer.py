"""What a simulated peer is, and what the sandbox lends it."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from sandbox.changes import Changes
from sandbox.faults import FaultBook
from sandbox.inbox import Inbox
from sandbox.journal import Entry, Journal
from sandbox.jsontext import json_bytes
from sandbox.settings import SandboxSettings

CALL_KEY = "sandbox.call"


@dataclass(slots=True)
class Sandbox:
    """State that all peers share. ``target`` may be changed while it runs."""

    settings: SandboxSettings
    journal: Journal
    faults: FaultBook
    target: str
    clock: Callable[[], float] = time.time
    chance: random.Random = field(default_factory=random.Random)
    changes: Changes = field(default_factory=Changes)
    target_changes: Changes = field(default_factory=Changes)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    started_at: float = field(default_factory=time.time)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.changes)

    def halt(self) -> None:
        """Let go of every request that waits for something, so that the server can end."""
        self.stopping.set()
        self.changes.close()

    async def pause(self, receive: Receive, seconds: float) -> bool:
        """Wait ``seconds``; False if the client left or the sandbox stops meanwhile."""
        if seconds <= 0:
            return True
        return await self._leaving(receive, seconds) is None

    async def wait_until_left(self, receive: Receive) -> None:
        """Return when the client has left or the sandbox stops."""
        await self._leaving(receive, None)

    async def _leaving(self, receive: Receive, seconds: float | None) -> str | None:
        left = asyncio.ensure_future(_disconnected(receive))
        stopped = asyncio.ensure_future(self.stopping.wait())
        try:
            done, _ = await asyncio.wait(
                {left, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            left.cancel()
            stopped.cancel()
        if not done:
            return None
        return "left" if left in done else "stopped"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Place(NamedTuple):
    """Name under which faults and journal know the receiver, and what kind of request it is."""

    peer: str
    kind: str


@dataclass(slots=True)
class Call:
    """One request at a peer. ``empty``: answer well-formed, but with nothing in it."""

    entry: Entry
    empty: bool = False

    def verdict(self, *, accepted: bool, duplicate: bool = False) -> None:
        """What the peer decided, for the journal."""
        self.entry.accepted, self.entry.duplicate = accepted, duplicate


def call_of(request: Request) -> Call:
    call: Call = request.scope[CALL_KEY]
    return call


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_bytes(body), status, headers, "application/json")


class Peer:
    """One file in ``sandbox/peers`` and one line in its ``PEERS``.

    ``name`` is also the path prefix. ``router`` holds what the real peer would answer, ``admin``
    (under ``/_sandbox/{name}``) what drives and inspects it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    links: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of Chinese label and path, for the index page."""
    empties: ClassVar[frozenset[str]] = frozenset()
    """Kinds of request whose ``empty`` answer the peer makes itself (see ``Call.empty``)."""
    delivers: ClassVar[bool] = False
    """Whether it sends messages to the service, which a ``duplicate`` fault can multiply."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.router = APIRouter(prefix=f"/{self.name}", tags=[self.name])
        self.admin = APIRouter(prefix=f"/_sandbox/{self.name}", tags=[f"{self.name} (sandbox)"])

    def locate(self, path: str) -> Place:
        """``path`` starts with the peer's prefix. Default: the kind is the last segment."""
        return Place(self.name, path.rstrip("/").rpartition("/")[2])

    def knows(self, name: str) -> bool:
        """Whether ``name`` can be given to a fault."""
        return name == self.name

    def error(self, kind: str, status: int) -> Any:
        """Body of an injected error, in the shape of the real peer."""
        return {"error": f"injected by the sandbox: HTTP {status} for {kind!r}"}

    def facts(self) -> dict[str, Any]:
        """Shown by the health page."""
        return {}

    async def start(self) -> None:
        """Open clients and start work; runs on the server's event loop."""

    async def stop(self) -> None:
        """Undo ``start``."""

    async def reset(self) -> None:
        """Forget everything that was received or scripted."""
