"""A bridge that speaks nothing like the sandbox, and the mapping file that understands it.

Nested frames, milliseconds, numeric ids, no login, acknowledgements that carry a number.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tools.qingjian.connection import Acknowledge, QingjianConnection
from tools.qingjian.mapping import QingjianMapping, parse_mapping
from tools.qingjian.protocol import CustomerFrame, OutgoingMessage, UnknownFrame

NESTED: dict[str, Any] = {
    "incoming": [
        {"kind": "ignore", "when": {"data.self": True}},
        {
            "kind": "event",
            "event": "payment",
            "when": {"cmd": "trade", "data.trade.status": ["PAID", "WAIT_SELLER_SEND"]},
            "fields": {"message_id": "data.trade.tid"},
        },
        {"kind": "message", "when": {"cmd": "recv", "data.from.uid": {"exists": True}}},
        {
            "kind": "ack",
            "when": {"cmd": "resp"},
            "id": "req",
            "success": {"data.success": True},
            "code": "data.err.code",
            "reason": "data.err.text",
        },
        {"kind": "heartbeat", "when": {"cmd": "beat"}, "answer": {"cmd": "beat", "n": "{frame.n}"}},
    ],
    "fields": {
        "message_id": "data.id",
        "account": ["data.shop.id", "shop"],
        "account_type": "data.shop.kind",
        "sender_id": "data.from.uid",
        "sender_name": ["data.from.remark", "data.from.nick"],
        "chat_id": "data.room",
        "text": "data.body[0].text",
        "images": "data.body[*].image.url",
        "time": "data.ts",
    },
    "time": {"unit": "ms"},
    "accounts": {"9": "WeCom"},
    "outgoing": {
        "text": {
            "cmd": "sendMsg",
            "req": "{message_number}",
            "data": {
                "shop": "{account_type}:{account}",
                "target": {"uid": "{to}", "room": "{group_id?}"},
                "body": [{"text": "{text}"}],
            },
        },
        "received": {"cmd": "got", "id": "{frame.data.id}"},
    },
    "acknowledgement": {"timeout_s": 0.3, "temporary_codes": ["BUSY"]},
    "connection": {"websocket_ping_s": 0},
}


def mapping_of(**changes: Any) -> QingjianMapping:
    """`NESTED` with its top-level keys changed; None drops one."""
    whole = {key: value for key, value in (NESTED | changes).items() if value is not None}
    return parse_mapping(json.dumps(whole), "nested.json")


def nested(uid: str = "u1", text: str = "在吗", **more: Any) -> dict[str, Any]:
    """A customer's message."""
    data = {
        "id": 1001,
        "shop": {"id": 9, "kind": "AliWorkbench"},
        "from": {"uid": uid, "nick": "小明"},
        "ts": 1_700_000_000_123,
        "body": [{"text": text}],
    }
    return {"cmd": "recv", "data": data | more}


def a_text(message_id: str = "t1:reply", text: str = "在的", **more: Any) -> OutgoingMessage:
    fields: dict[str, Any] = {"account": "9", "account_type": "WeCom", "chat_id": "u1", "to": "u1"}
    return OutgoingMessage(message_id, type="text", text=text, **fields | more)


class Bridge:
    """Answers as told: ``replies`` are tried in order for each message that is sent to it."""

    def __init__(self) -> None:
        self.url = ""
        self.frames: list[dict[str, Any]] = []
        self.sockets: list[ServerConnection] = []
        self.replies: list[dict[str, Any] | str | None] = []
        self._changed = asyncio.Event()

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self._notify()
        try:
            async for raw in socket:
                await self._take(socket, json.loads(raw))
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(socket)
            self._notify()

    async def _take(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        self._notify()
        if frame.get("cmd") != "sendMsg":
            return
        reply = self.replies.pop(0) if self.replies else {"success": True}
        if reply == "die":
            socket.transport.abort()
        elif reply is not None:
            await self.say({"cmd": "resp", "req": frame["req"], "data": reply})

    async def say(self, frame: Any) -> None:
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        for socket in self.sockets:
            await socket.send(text)

    def sent(self) -> list[str]:
        """Texts of the messages that came here, in order."""
        return [f["data"]["body"][0]["text"] for f in self.frames if f.get("cmd") == "sendMsg"]

    async def until_connected(self, count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.sockets) != count:
                await self._change()

    async def until_frames(self, cmd: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(60):
            while len(found := [f for f in self.frames if f.get("cmd") == cmd]) < count:
                await self._change()
        return found

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


@asynccontextmanager
async def running_bridge(port: int = 0) -> AsyncIterator[Bridge]:
    bridge = Bridge()
    async with serve(bridge.handle, "127.0.0.1", port, close_timeout=0.5) as server:
        bridge.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield bridge


class Recorder:
    """A listener that takes everything and acknowledges it, unless told otherwise."""

    def __init__(self) -> None:
        self.customers: list[CustomerFrame] = []
        self.unknowns: list[UnknownFrame] = []
        self.acknowledges = True
        self.connects = 0
        self._changed = asyncio.Event()

    def connected(self) -> None:
        self.connects += 1

    async def customer(self, frame: CustomerFrame, acknowledge: Acknowledge) -> None:
        self.customers.append(frame)
        self._changed.set()
        if self.acknowledges:
            await acknowledge()

    def unknown(self, frame: UnknownFrame) -> None:
        self.unknowns.append(frame)
        self._changed.set()

    async def until(self, count: int) -> None:
        """So many frames, read or not, have come."""
        async with asyncio.timeout(60):
            while len(self.customers) + len(self.unknowns) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def connected(
    url: str, mapping: QingjianMapping, recorder: Recorder | None = None
) -> AsyncIterator[QingjianConnection]:
    connection = QingjianConnection(url, mapping, recorder or Recorder(), chance=lambda: 0.0)
    await connection.start()
    try:
        assert await connection.until_ready(10)
        yield connection
    finally:
        await connection.stop()
