"""A web server on loopback that answers as it is told, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Web:
    """``pages``: path to the raw bytes of the whole answer; ``hang``: paths never answered."""

    port: int = 0
    pages: dict[str, bytes] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    endless: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def put(self, path: str, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        length = "" if "Content-Length" in headers else f"Content-Length: {len(body)}\r\n"
        self.pages[path] = f"HTTP/1.1 {status}\r\n{length}{headers}\r\n".encode() + body

    def move(self, path: str, to: str) -> None:
        self.put(path, b"", status="302 Found", headers=f"Location: {to}\r\n")


@asynccontextmanager
async def running_web() -> AsyncIterator[Web]:
    web = Web()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _answer(web, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for task in [*connections]:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _answer(web: Web, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    web.asked.append(head)
    path = head.split(" ")[1].partition("?")[0]
    if path in web.hang:
        await asyncio.Event().wait()
    if path in web.endless:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff\xe0")
        while True:
            writer.write(bytes(65_536))
            web.sent_bytes += 65_536
            await writer.drain()
    writer.write(web.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    await writer.drain()
