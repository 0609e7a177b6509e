"""Qingjian (轻简): a WebSocket on which shops' customers write and are answered.

The real software's frames are not public; these are made up, and what the service's default mapping
reads. Every connection gets every message, again and again until one of them says ``received``.
"""

import asyncio
import contextlib
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import orjson
from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS
from sandbox.delivery import TooManyPending
from sandbox.faults import AnswerFault, GarbageFault, StatusFault
from sandbox.grouped import ChatLog
from sandbox.journal import Entry
from sandbox.jsontext import json_bytes
from sandbox.peer import Peer, Sandbox
from sandbox.validation import first_problem

RESEND_SECONDS = 3.0
_TICK_SECONDS = 0.5
_GONE = 1001
_BROKEN = 1011


class Send(BaseModel):
    """A message of ours to a customer; ``seq`` names it for good."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: Literal["send"]
    seq: str = Field(min_length=1, max_length=256, coerce_numbers_to_str=True)
    acc_id: str = Field(min_length=1, max_length=256)
    acc_type: str = Field(min_length=1, max_length=64)
    customer_id: str = Field(min_length=1, max_length=256)
    group_id: str = Field(default="", max_length=256)
    msg_type: Literal["text", "image", "file"] = "text"
    content: str = Field(min_length=1)
    name: str = ""

    @property
    def chat_id(self) -> str:
        return self.group_id or self.customer_id


class Say(BaseModel):
    """What a simulated customer does: writes, in a group or alone, or pays."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    acc_id: str = Field(default="shop_001", min_length=1, max_length=MAX_ID_CHARS)
    acc_type: str = Field(default="AliWorkbench", max_length=64)
    customer_id: str = Field(min_length=1, max_length=MAX_ID_CHARS)
    customer_name: str = Field(default="", max_length=MAX_NAME_CHARS)
    group_id: str = Field(default="", max_length=MAX_ID_CHARS)
    content: str = Field(default="", max_length=100_000)
    images: tuple[str, ...] = Field(default=(), max_length=20)
    files: tuple[str, ...] = Field(default=(), max_length=20)
    msg_id: str | None = Field(default=None, min_length=1, max_length=MAX_ID_CHARS)
    time: float | None = None
    pays: bool = False
    order_id: str = Field(default="", max_length=64)
    amount: str = Field(default="", max_length=32)

    def frame(self, msg_id: str, now: float) -> dict[str, Any]:
        content = self.model_dump(exclude={"pays", "order_id", "amount", "msg_id", "time"})
        known = {"msg_id": msg_id, **content, "time": self.time or int(now)}
        if not self.pays:
            return {"type": "message", **known}
        order = {"order_id": self.order_id, "amount": self.amount}
        return {"type": "event", "event": "payment", **known, **order}


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    messages: tuple[Say, ...] = Field(min_length=1, max_length=10_000)


class RawFrame(BaseModel):
    """``text`` goes out as it is; ``frame`` as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str | None = Field(default=None, max_length=8 * 1024 * 1024)
    frame: JsonValue = None


@dataclass(slots=True)
class _Said:
    """Something that a customer did, on its way to the service."""

    id: str
    chat_id: str
    text: str
    created_at: float
    state: Literal["pending", "delivered"] = "pending"
    attempts: int = 0
    last_sent: float = 0.0
    delivered_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "msg_id": self.id,
            "chat_id": self.chat_id,
            "state": self.state,
            "attempts": self.attempts,
            "created_at": self.created_at,
            "delivered_at": self.delivered_at,
        }


@dataclass(eq=False, slots=True)
class _Client:
    """A connected service. What is put into ``outgoing`` leaves in that order; None closes."""

    socket: WebSocket
    outgoing: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)
    code: int = _GONE

    def say(self, text: str) -> None:
        self.outgoing.put_nowait(text)

    def answer(self, frame: dict[str, Any]) -> None:
        self.say(json_bytes(frame).decode())

    def hang_up(self, code: int) -> None:
        self.code = code
        self.outgoing.put_nowait(None)

    async def write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while (text := await self.outgoing.get()) is not None:
                await self.socket.send_text(text)
            await self.socket.close(self.code)


class QingjianPeer(Peer):
    name = "qingjian"
    title = "轻简 WebSocket"
    summary = "店铺客户的消息经 WebSocket 收发(按 seq 去重),可模拟客户发言、群聊与付款。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("会话列表", "/_sandbox/qingjian/chats"),
        ("客户发言的投递情况", "/_sandbox/qingjian/outgoing"),
        ("已连接的服务", "/_sandbox/qingjian/connections"),
    )
    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._shown = ChatLog(sandbox.settings.max_messages, sandbox.changes)
        self._pending: OrderedDict[str, _Said] = OrderedDict()
        self._finished: deque[_Said] = deque(maxlen=sandbox.settings.max_messages)
        self._delivered = 0
        self._clients: list[_Client] = []
        self._resending: asyncio.Task[None] | None = None
        self.router.add_api_websocket_route("/ws", self.connect)
        add = self.admin.add_api_route
        add("/chats", self._shown.chats, methods=["GET"])
        add("/chats/{chat_id:path}", self._shown.chat, methods=["GET"])
        add("/say", self.say, methods=["POST"], status_code=202)
        add("/say/batch", self.say_batch, methods=["POST"], status_code=202)
        add("/outgoing", self.outgoing, methods=["GET"])
        add("/frame", self.send_frame, methods=["POST"], status_code=202)
        add("/connections", self.connections, methods=["GET"])
        add("/disconnect", self.disconnect, methods=["POST"])

    # The socket ----------------------------------------------------------------------------

    async def connect(self, socket: WebSocket) -> None:
        entry = self._journal(socket, "connect", b"", method="GET")
        struck = self.sandbox.faults.strike(self.name, "connect")
        entry.delay_seconds = struck.delay
        await self._rest(struck.delay)
        if struck.fault is not None:
            entry.fault = struck.fault.kind
            await self._settle(entry, 403, answered=True)
            await socket.close()
            return
        await self._settle(entry, 101, answered=True)
        await socket.accept()
        await self._serve(_Client(socket))

    async def _serve(self, client: _Client) -> None:
        writer = asyncio.create_task(client.write(), name="qingjian writer")
        self._clients.append(client)
        self.sandbox.changes.notify()
        for said in self._pending.values():
            self._push(said, client)
        try:
            while True:
                await self._take(client, await _frame_of(client.socket))
        except WebSocketDisconnect:
            pass
        finally:
            self._clients.remove(client)
            self.sandbox.changes.notify()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _take(self, client: _Client, raw: bytes) -> None:
        frame = _parsed(raw)
        entry = self._journal(client.socket, str(frame.get("type", "unknown"))[:64], raw)
        struck = self.sandbox.faults.strike(self.name, entry.kind)
        if struck.delay:
            entry.delay_seconds, entry.fault = struck.delay, "latency"
            await self._rest(struck.delay)
        if struck.fault is None:
            await self._answer(client, entry, self._act(entry, frame))
            return
        entry.fault = struck.fault.kind
        await self._play(client, entry, frame, struck.fault)

    async def _play(
        self, client: _Client, entry: Entry, frame: dict[str, Any], fault: AnswerFault
    ) -> None:
        """``refuse`` and ``cut_stream`` close the connection, before and after the frame is acted
        on; ``hang`` and ``lost_answer`` give no answer, without and with acting on it."""
        if isinstance(fault, StatusFault):
            status, reason = fault.params.status, "injected by the sandbox"
            refusal = {"type": "ack", "seq": frame.get("seq"), "code": status, "message": reason}
            entry.accepted = False
            await self._answer(client, entry, refusal)
            return
        if fault.kind not in ("refuse", "hang"):
            self._act(entry, frame)
        if isinstance(fault, GarbageFault):
            client.say(fault.params.body)
        elif fault.kind == "empty":
            client.answer({"type": "ack"})
        elif fault.kind in ("refuse", "cut_stream"):
            client.hang_up(_BROKEN)
        await self._settle(entry, None, answered=False)

    async def _answer(self, client: _Client, entry: Entry, answer: dict[str, Any] | None) -> None:
        status = answer.get("code", 0) if answer else 0
        await self._settle(entry, status, answered=answer is not None)
        if answer is not None:
            client.answer(answer)

    def _act(self, entry: Entry, frame: dict[str, Any]) -> dict[str, Any] | None:
        """Do what ``frame`` asks for; returns the answer."""
        kind = frame.get("type")
        if kind == "send":
            return self._show_frame(entry, frame)
        if kind == "received":
            self._received(str(frame.get("msg_id")))
            return None
        if kind == "login":
            accounts = [{"acc_id": "shop_001", "acc_type": "AliWorkbench"}]
            return {"type": "login_result", "code": 0, "accounts": accounts}
        if kind == "ping":
            return {"type": "pong"}
        if kind == "pong":
            return None
        entry.accepted = False
        return {"type": "error", "code": 400, "message": f"unknown type {kind!r}"}

    def _show_frame(self, entry: Entry, frame: dict[str, Any]) -> dict[str, Any]:
        seq = frame.get("seq")
        try:
            message = Send.model_validate(frame)
        except ValidationError as error:
            entry.accepted = False
            return {"type": "ack", "seq": seq, "code": 400, "message": first_problem(error)}
        duplicate, _ = self._shown.put(
            message.seq, message, self.sandbox.clock(), group=message.chat_id
        )
        entry.accepted, entry.duplicate = True, duplicate
        return {"type": "ack", "seq": seq, "code": 0}

    def _received(self, msg_id: str) -> None:
        said = self._pending.pop(msg_id, None)
        if said is None:
            return
        said.state, said.delivered_at = "delivered", self.sandbox.clock()
        said.text = ""
        self._delivered += 1
        self._finished.append(said)
        self.sandbox.changes.notify()

    def _push(self, said: _Said, client: _Client, copies: int = 1) -> None:
        said.attempts += copies
        said.last_sent = self.sandbox.clock()
        for _ in range(copies):
            client.say(said.text)

    async def _resend_forever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            before = self.sandbox.clock() - RESEND_SECONDS
            late = [said for said in self._pending.values() if said.last_sent <= before]
            for client in self._idle_clients():
                for said in late:
                    self._push(said, client)

    def _idle_clients(self) -> list[_Client]:
        """Who does not read what it was sent gets no more of the same."""
        return [client for client in self._clients if client.outgoing.empty()]

    async def _rest(self, seconds: float) -> None:
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.sandbox.stopping.wait(), seconds)

    def _journal(self, socket: WebSocket, kind: str, body: bytes, method: str = "WS") -> Entry:
        scope = socket.scope
        return self.sandbox.journal.open(
            peer=self.name,
            kind=kind,
            method=method,
            path=scope["path"],
            query=scope["query_string"],
            headers=scope["headers"] if kind == "connect" else [],
            body=body,
        )

    async def _settle(self, entry: Entry, status: int | None, *, answered: bool) -> None:
        entry.status, entry.answered = status, answered
        await self.sandbox.journal.settle(entry)

    # What drives and shows it --------------------------------------------------------------

    async def say(self, said: Say, wait: float = 0.0) -> dict[str, Any]:
        """Make a customer write or pay; ``wait`` seconds for the service to take it."""
        if len(self._pending) >= self.sandbox.settings.max_pending:
            raise _busy(len(self._pending))
        queued = self._queue(said)
        await self.sandbox.changes.until(lambda: queued.state != "pending", wait)
        return queued.as_dict()

    async def say_batch(self, batch: Batch) -> dict[str, Any]:
        """Many at once; all or none are accepted."""
        if len(self._pending) + len(batch.messages) > self.sandbox.settings.max_pending:
            raise _busy(len(self._pending))
        return {"messages": [self._queue(said).as_dict() for said in batch.messages]}

    async def outgoing(
        self, wait: float = 0.0, chat_id: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """What customers did and how far it got; ``wait`` seconds for nothing to be pending."""
        await self.sandbox.changes.until(lambda: not self._pending, wait)
        everything = (*self._finished, *self._pending.values())
        latest = deque(
            (said for said in everything if chat_id in (None, said.chat_id)), maxlen=max(0, limit)
        )
        return {
            "pending": len(self._pending),
            "delivered": self._delivered,
            "messages": [said.as_dict() for said in latest],
        }

    async def send_frame(self, raw: RawFrame) -> dict[str, int]:
        """Send any frame to every connected service, e.g. one that nobody understands."""
        text = raw.text if raw.text is not None else json_bytes(raw.frame).decode()
        for client in self._clients:
            client.say(text)
        return {"connections": len(self._clients)}

    async def connections(self, at_least: int = 0, wait: float = 0.0) -> dict[str, int]:
        """How many services are connected; may wait for ``at_least``."""
        await self.sandbox.changes.until(lambda: len(self._clients) >= at_least, wait)
        return {"connections": len(self._clients)}

    async def disconnect(self) -> dict[str, int]:
        """Close every connection, as a restart of the software does."""
        for client in self._clients:
            client.hang_up(_GONE)
        return {"closed": len(self._clients)}

    def _queue(self, said: Say) -> _Said:
        now = self.sandbox.clock()
        msg_id = said.msg_id or f"qj_{uuid.uuid4().hex}"
        text = json_bytes(said.frame(msg_id, now)).decode()
        queued = _Said(msg_id, said.group_id or said.customer_id, text, now)
        self._pending[msg_id] = queued
        copies = self.sandbox.faults.copies(self.name)
        for client in self._clients:
            self._push(queued, client, copies)
        return queued

    # What the sandbox asks -----------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return {
            "connections": len(self._clients),
            "chats": self._shown.groups,
            "messages": len(self._shown),
            "dropped": self._shown.dropped,
            "pending": len(self._pending),
            "delivered": self._delivered,
        }

    async def start(self) -> None:
        self._resending = asyncio.create_task(self._resend_forever(), name="qingjian resend")

    async def stop(self) -> None:
        if self._resending is not None:
            self._resending.cancel()
            await asyncio.gather(self._resending, return_exceptions=True)

    async def reset(self) -> None:
        """Also closes every connection: whoever is connected belongs to what was before."""
        await self.disconnect()
        self._shown.clear()
        self._pending.clear()
        self._finished.clear()
        self._delivered = 0


async def _frame_of(socket: WebSocket) -> bytes:
    """The next frame. Raises WebSocketDisconnect."""
    if socket.client_state is not WebSocketState.CONNECTED:
        raise WebSocketDisconnect(_GONE)
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", _GONE))
    text = message.get("text")
    return text.encode("utf-8", "replace") if text is not None else message.get("bytes") or b""


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _busy(pending: int) -> HTTPException:
    return HTTPException(503, str(TooManyPending(pending)), {"retry-after": "1"})
