"""A closed-loop HTTP load generator that costs little, so that it does not measure itself."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class Connection:
    """One keep-alive HTTP/1.1 connection; bodies have a Content-Length or are chunked."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self._reader is not None and self._reader.at_eof():
            await self.close()  # the server closed an idle connection
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        return await self._answer(self._reader)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        headers = head.lower()
        if b"transfer-encoding: chunked" in headers:
            return status, await self._chunks(reader)
        length = int(headers.split(b"content-length:")[1].split(b"\r\n")[0])
        return status, await reader.readexactly(length)

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        parts = []
        while size := int((await reader.readline()).strip(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return b"".join(parts)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()
            self._reader = self._writer = None


@dataclass(slots=True)
class Figures:
    """Latencies in seconds of the requests that succeeded; ``seconds`` of the whole load."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0

    def median(self) -> float:
        return statistics.median(self.latencies) * 1000 if self.latencies else 0.0


MakeBody = Callable[[int], dict[str, Any]]


async def run_load(
    url: str,
    path: str,
    make_body: MakeBody,
    *,
    concurrency: int,
    seconds: float = 0.0,
    count: int = 0,
) -> Figures:
    """``concurrency`` callers, each sending its next request when the last one is answered.

    Ends after ``seconds`` or ``count`` requests, whichever is given.
    """
    figures = Figures()
    ends = time.perf_counter() + seconds if seconds else float("inf")
    numbers: Iterator[int] = iter(range(count or 10**9))

    async def caller() -> None:
        connection = Connection(url)
        try:
            for number in numbers:
                started = time.perf_counter()
                if started >= ends:
                    break
                body = json.dumps(make_body(number), ensure_ascii=False).encode()
                status, _ = await connection.post(path, body)
                if status == 200:
                    figures.latencies.append(time.perf_counter() - started)
                else:
                    figures.failures += 1
        finally:
            await connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    figures.seconds = time.perf_counter() - started
    return figures
