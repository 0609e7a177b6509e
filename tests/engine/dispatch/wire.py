"""The wire to the sandbox's Tuhui, which loses, delays and repeats what goes over it."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

Fault = Literal["500", "hang", "late", "slow", "twice", "cut", "403"]
SLOW_S, LATE_S = 0.2, 0.6
"""Within the client's patience, and past it."""


@dataclass
class Wire:
    """``faults``: what happens to the next calls of each kind (designers, queue, tasks, assign,
    task). ``forgetful``: Tuhui knows no ``reference``. ``says``: what it tells of its tasks,
    instead of what it has."""

    upstream: str
    http: httpx.AsyncClient
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    forgetful: bool = False
    says: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client lost its patience, which many tests want
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        kind = _kind(path)
        self.calls.append(kind)
        fault = self.faults[kind].pop(0) if self.faults[kind] else None
        if fault == "hang":
            await reader.read()
            raise ConnectionError
        if fault in ("500", "403"):
            await _answer(writer, int(fault), b'{"detail": "broken"}')
            return
        status, answer = await self._forward(method, path, headers, body)
        if fault == "twice":
            status, answer = await self._forward(method, path, headers, body)
        if fault == "cut":
            raise ConnectionError
        await asyncio.sleep({"late": LATE_S, "slow": SLOW_S}.get(fault or "", 0.0))
        if kind == "task" and status == 200:
            answer = json.dumps(json.loads(answer) | self.says).encode()
        await _answer(writer, status, answer)

    async def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if self.forgetful and _kind(path) == "tasks":
            body = json.dumps(json.loads(body) | {"reference": ""}).encode()
        names: tuple[str, ...] = ("x-api-key", "content-type")
        passed = {name: headers[name] for name in names if name in headers}
        response = await self.http.request(
            method, self.upstream + path, content=body, headers=passed
        )
        return response.status_code, response.content


def _kind(path: str) -> str:
    parts = path.strip("/").split("/")
    return "task" if len(parts) == 3 and parts[1] == "tasks" else parts[-1]


async def _answer(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


@contextlib.asynccontextmanager
async def running_wire(upstream: str) -> AsyncIterator[Wire]:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        wire = Wire(upstream, http)
        server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
        wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/tuhui"
        async with server:
            yield wire
