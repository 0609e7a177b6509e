"""One ASGI layer in front of all peers: writes the journal and plays the faults.

It must be outermost: closing a connection needs the server's own ``send``.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import (
    AnswerFault,
    CutFault,
    GarbageFault,
    PlainFault,
    StatusFault,
)
from sandbox.jsontext import json_bytes
from sandbox.peer import CALL_KEY, Call, Peer, Place, Sandbox

OPEN_PAGES = frozenset({"", "_sandbox", "docs", "redoc", "openapi.json", "favicon.ico"})
_BODILESS = frozenset({204, 205, 304})


@runtime_checkable
class Connection(Protocol):
    """The part of an asyncio transport that faults need (uvloop's are no asyncio.Transport)."""

    def abort(self) -> None: ...

    def close(self) -> None: ...


def connection_of(send: Send) -> Connection:
    """The connection under a server's ``send``.

    ASGI has no word for «close without an answer». uvicorn's request cycles (httptools, h11)
    carry their transport; under another server this raises RuntimeError.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, Connection):
        raise RuntimeError("faults that close connections need the sandbox to run on uvicorn")
    return transport


@dataclass(slots=True)
class _Exchange:
    """A request whose body has been read, on its way to an answer."""

    scope: Scope
    body: bytes
    server_receive: Receive
    server_send: Send
    call: Call
    sandbox: Sandbox
    peer: Peer
    place: Place
    _replayed: bool = False

    async def receive(self) -> Message:
        if self._replayed:
            return await self.server_receive()
        self._replayed = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def settle(self, status: int | None, *, answered: bool) -> None:
        entry = self.call.entry
        entry.status, entry.answered = status, answered
        await self.sandbox.journal.settle(entry)

    async def send(self, message: Message) -> None:
        """Send for real; the journal has the outcome before the client has the answer."""
        if message["type"] == "http.response.start":
            await self.settle(message["status"], answered=True)
        await self.server_send(message)

    async def answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        kept = {name.lower(): value for name, value in headers.items()}
        body = b"" if status in _BODILESS else content
        if status not in _BODILESS:
            kept["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode()) for name, value in kept.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    async def hang_up(self, *, flush: bool = False) -> None:
        """Close the connection; ``flush`` lets go out what was already written."""
        connection = connection_of(self.server_send)
        if flush:
            connection.close()
        else:
            connection.abort()
        while (await self.server_receive())["type"] != "http.disconnect":
            pass


class _Cut:
    """A ``send`` that ends the connection part-way through the answer."""

    def __init__(self, exchange: _Exchange, chunks: int, fraction: float) -> None:
        self._exchange, self._left, self._fraction = exchange, chunks, fraction
        self._done = False

    async def __call__(self, message: Message) -> None:
        if self._done:
            return
        if message["type"] != "http.response.body":
            await self._exchange.send(message)
            return
        more = message.get("more_body", False)
        if more and self._left > 0:
            self._left -= 1
            await self._exchange.send(message)
            return
        self._done = True
        if not more:
            await self._first_part(message.get("body", b""))
        await self._exchange.hang_up(flush=True)

    async def _first_part(self, body: bytes) -> None:
        part = body[: int(len(body) * self._fraction)]
        await self._exchange.send({"type": "http.response.body", "body": part, "more_body": True})


class _Nobody(Peer):
    name = "unknown"
    title = "未知"
    summary = "没有这样的平台"


class PeerGate:
    """``app`` answers what no fault decides. Control requests pass unrecorded.

    A request to no peer is recorded as ``unknown``: a wrong base URL should be easy to find.
    """

    def __init__(self, sandbox: Sandbox, peers: Mapping[str, Peer], app: ASGIApp) -> None:
        self._sandbox, self._peers, self._app = sandbox, peers, app
        self._nobody = _Nobody(sandbox)
        self._plays: dict[str, Callable[[_Exchange, Any], Awaitable[None]]] = {
            "refuse": self._refuse,
            "hang": self._hang,
            "lost_answer": self._lose_answer,
            "empty": self._empty,
            "status": self._status,
            "cut_stream": self._cut,
            "garbage": self._garbage,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["path"].lstrip("/").partition("/")[0] if scope["type"] == "http" else ""
        if first in OPEN_PAGES:
            await self._app(scope, receive, send)
            return
        peer = self._peers.get(first, self._nobody)
        body = await self._body(receive)
        if body is None:
            return
        exchange = self._open(scope, receive, send, peer, body)
        try:
            await self._play(exchange)
        finally:
            await exchange.sandbox.journal.settle(exchange.call.entry)

    async def _body(self, receive: Receive) -> bytes | None:
        """The request's body, one byte past the limit if it is longer; None if the client left."""
        limit = self._sandbox.settings.max_body_bytes
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            if size <= limit:
                parts.append(part)
            size += len(part)
            more = message.get("more_body", False)
        return b"".join(parts)[: limit + 1]

    def _open(
        self, scope: Scope, receive: Receive, send: Send, peer: Peer, body: bytes
    ) -> _Exchange:
        place = peer.locate(scope["path"])
        entry = self._sandbox.journal.open(
            peer=place.peer,
            kind=place.kind,
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers=scope["headers"],
            body=body,
        )
        call = scope[CALL_KEY] = Call(entry)
        return _Exchange(scope, body, receive, send, call, self._sandbox, peer, place)

    async def _play(self, exchange: _Exchange) -> None:
        if len(exchange.body) > self._sandbox.settings.max_body_bytes:
            await self._answer_error(exchange, 413, None, {})
            return
        struck = self._sandbox.faults.strike(*exchange.place)
        entry = exchange.call.entry
        if struck.delay:
            entry.delay_seconds, entry.fault = struck.delay, "latency"
            if not await self._sandbox.pause(exchange.server_receive, struck.delay):
                await self._abandon(exchange)
                return
        if struck.fault is None:
            await self._app(exchange.scope, exchange.receive, exchange.send)
            return
        entry.fault = struck.fault.kind
        await self._plays[struck.fault.kind](exchange, struck.fault)

    async def _abandon(self, exchange: _Exchange) -> None:
        await exchange.settle(None, answered=False)
        await exchange.hang_up()

    async def _refuse(self, exchange: _Exchange, _: AnswerFault) -> None:
        await self._abandon(exchange)

    async def _hang(self, exchange: _Exchange, _: AnswerFault) -> None:
        await exchange.settle(None, answered=False)
        await self._sandbox.wait_until_left(exchange.server_receive)
        await exchange.hang_up()

    async def _lose_answer(self, exchange: _Exchange, _: AnswerFault) -> None:
        async def swallow(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.call.entry.status = message["status"]

        await self._app(exchange.scope, exchange.receive, swallow)
        await exchange.settle(exchange.call.entry.status, answered=False)
        await exchange.hang_up()

    async def _empty(self, exchange: _Exchange, _: PlainFault) -> None:
        if exchange.place.kind in exchange.peer.empties:
            exchange.call.empty = True
            await self._app(exchange.scope, exchange.receive, exchange.send)
        else:
            await exchange.answer(200, b"", {"content-type": "application/json"})

    async def _status(self, exchange: _Exchange, fault: StatusFault) -> None:
        params = fault.params
        await self._answer_error(exchange, params.status, params.body, params.headers)

    async def _answer_error(
        self, exchange: _Exchange, status: int, body: Any, headers: Mapping[str, str]
    ) -> None:
        if body is None:
            body = exchange.peer.error(exchange.place.kind, status)
        is_text = isinstance(body, str)
        content = body.encode() if is_text else json_bytes(body)
        content_type = "text/plain; charset=utf-8" if is_text else "application/json"
        await exchange.answer(status, content, {"content-type": content_type, **headers})

    async def _cut(self, exchange: _Exchange, fault: CutFault) -> None:
        cut = _Cut(exchange, fault.params.chunks, fault.params.fraction)
        await self._app(exchange.scope, exchange.receive, cut)

    async def _garbage(self, exchange: _Exchange, fault: GarbageFault) -> None:
        content = fault.params.body.encode()
        await exchange.answer(200, content, {"content-type": "application/json"})
