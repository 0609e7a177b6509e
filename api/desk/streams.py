"""Server-sent events of the desk. The engine's feed is one look at the rows for all listeners of
this process; a stream asks it for what comes after the event that it sent last. So nothing piles up
for a slow reader, and who comes back goes on where they were.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.desk import Agent
from domain.errors import KefuError
from engine.desk.desk import Desk
from storage.desk_events import DeskEventRow

log = logging.getLogger(__name__)
HEARTBEAT_S = 15.0
SEND_S = 20.0
LIFE_S = 3_600.0
"""Then the browser connects anew: who streams with a token shows it again."""
PAGE = 200
MAX_BEHIND = 2_000
MAX_STREAMS = 12
KEPT = 1_000
RETRY = b"retry: 1500\n"
PING = b": \n"


@dataclass(eq=False, slots=True)
class Open:
    """A stream that somebody reads."""

    owner: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """The open streams of this process, and their events' bytes, made once for all of them."""

    def __init__(self) -> None:
        self._open: dict[Open, None] = {}
        self._texts: dict[int, bytes] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, owner: str) -> Open:
        """The oldest of too many of one agent gives way: forgotten tabs, clients that leak."""
        own = [stream for stream in self._open if stream.owner == owner]
        for stream in own[: max(0, len(own) + 1 - MAX_STREAMS)]:
            stream.ended.set()
        entered = Open(owner)
        if self.closed:
            entered.ended.set()
        self._open[entered] = None
        return entered

    def leave(self, stream: Open) -> None:
        self._open.pop(stream, None)

    def close(self) -> None:
        """All end; to be called before a server waits for its connections to close."""
        self.closed = True
        for stream in self._open:
            stream.ended.set()

    def text_of(self, event: DeskEventRow) -> bytes:
        text = self._texts.get(event.id)
        if text is None:
            text = _event(event.kind, event, event.id)
            if len(self._texts) >= KEPT:
                del self._texts[next(iter(self._texts))]
            self._texts[event.id] = text
        return text


StillMay = Callable[[], Awaitable[Agent | None]]


class EventStream(Response):
    """``after``: the last event that the reader knows, None: none. ``still_may`` is asked with each
    heartbeat who the reader is now; None ends the stream with the event ``goodbye``. More behind
    than is worth telling one by one is told as ``reset``: look anew. A reader that does not take
    one piece within ``send_s`` is cut off."""

    media_type = "text/event-stream"

    def __init__(
        self,
        desk: Desk,
        streams: Streams,
        agent: Agent,
        still_may: StillMay,
        *,
        after: int | None,
        heartbeat_s: float = HEARTBEAT_S,
        send_s: float = SEND_S,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._desk, self._streams, self._agent = desk, streams, agent
        self._still_may, self._after = still_may, after
        self._heartbeat_s, self._send_s = heartbeat_s, send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._streams.enter(self._agent.id)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        telling = asyncio.create_task(self._tell(send), name="desk stream")
        ends = [
            telling,
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(stream.ended.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.leave(stream)
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        await self._finish(telling, send)

    async def _finish(self, telling: asyncio.Task[None], send: Send) -> None:
        """The status line has long gone out: what failed is for the log, and the reader comes
        back."""
        error = None if telling.cancelled() else telling.exception()
        if isinstance(error, KefuError):
            log.error("a stream of the desk's events ends: %s", error)
        elif error is not None and not isinstance(error, TimeoutError):
            log.error("a stream of the desk's events ends", exc_info=error)
        try:
            async with asyncio.timeout(min(self._send_s, 1.0)):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("a reader of the desk's events took nothing any more")

    async def _tell(self, send: Send) -> None:
        begun = checked = time.monotonic()
        newest = await self._desk.newest_event()
        behind = 0 if self._after is None else newest - self._after
        last = self._after if self._after is not None and 0 <= behind <= MAX_BEHIND else newest
        kind = "hello" if self._after is None or last == self._after else "reset"
        await self._send(send, RETRY + _event(kind, {"after": last}, last))
        while True:
            now = time.monotonic()
            left = checked + self._heartbeat_s - now
            if left <= 0:
                if not await self._check(send, last, lived=now - begun):
                    return
                checked = now
                continue
            newest = await self._desk.news(last, left)
            if newest > last:
                last = await self._pass_on(send, last, newest)

    async def _pass_on(self, send: Send, last: int, newest: int) -> int:
        """Returns up to which event the reader knows all that is for them."""
        events = await self._desk.events(self._agent, last, PAGE)
        if events:
            await self._send(send, b"".join(map(self._streams.text_of, events)))
        return events[-1].id if len(events) >= PAGE else max([newest, *(e.id for e in events)])

    async def _check(self, send: Send, last: int, *, lived: float) -> bool:
        """A heartbeat names the event up to which all is told, also what was for others."""
        agent = await self._still_may()
        if agent is None:
            await self._send(send, _event("goodbye", {}))
            return False
        self._agent = agent
        await self._desk.heartbeat(agent)
        await self._send(send, PING + b"id: %d\n\n" % last)
        return lived < LIFE_S

    async def _send(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(self._send_s):
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(kind: str, data: object, ident: int | None = None) -> bytes:
    head = f"event: {kind}\n" if ident is None else f"id: {ident}\nevent: {kind}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"
