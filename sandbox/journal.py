"""Every request that reached a peer, in order, within a bound that says what it dropped."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from time import time as now
from typing import Any

import orjson

from sandbox.changes import Changes
from sandbox.jsontext import compact
from sandbox.masking import masked_body, masked_headers, masked_path, masked_query

_ENTRY_OVERHEAD_BYTES = 1_000
# A secret that straddles the size cap is still seen whole, and masked, before the cut.
_MASKING_MARGIN_BYTES = 4_096


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request. ``status`` stays None where no answer was made (``refuse``, ``hang``).

    ``headers``: a JSON object as text, which takes far less than the parsed one.
    ``fault`` is the kind that was applied; ``answered`` is False when the answer never left.
    ``accepted`` and ``duplicate`` are the peer's verdict where it gives one.
    """

    seq: int
    time: float
    peer: str
    kind: str
    method: str
    path: str
    query: str
    headers: bytes
    body: bytes
    body_bytes: int
    truncated: bool
    status: int | None = None
    fault: str | None = None
    delay_seconds: float = 0.0
    accepted: bool | None = None
    duplicate: bool | None = None
    answered: bool = False
    settled: bool = False
    started: float = field(default_factory=perf_counter)
    seconds: float | None = None

    def cost(self) -> int:
        return _ENTRY_OVERHEAD_BYTES + len(self.body) + len(self.headers)

    def as_dict(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "time": self.time,
            "peer": self.peer,
            "kind": self.kind,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": orjson.loads(self.headers),
            "body": readable(self.body, whole=not self.truncated),
            "body_bytes": self.body_bytes,
            "body_truncated": self.truncated,
            "status": self.status,
            "fault": self.fault,
            "delay_seconds": self.delay_seconds,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "answered": self.answered,
            "seconds": self.seconds,
        }


def readable(body: bytes, *, whole: bool) -> Any:
    """JSON where it is JSON, else text; None for no body."""
    if not body:
        return None
    if whole:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return body.decode("utf-8", "replace")


class JournalFile:
    """Appends lines from a thread of its own; ``write`` returns once its line is on the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[tuple[bytes, Callable[[], object]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-file", daemon=True)

    def start(self) -> None:
        """Raises OSError if the file cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab"):
            pass
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    async def write(self, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not written.done():
                written.set_result(None)

        self._queue.put((line, lambda: loop.call_soon_threadsafe(tell)))
        await written

    def _run(self) -> None:
        with self._path.open("ab") as file:
            while (item := self._queue.get()) is not None:
                line, done = item
                file.write(line + b"\n")
                file.flush()
                done()


class Journal:
    """Bounded by entries and bytes; ``file`` gets every line before its answer leaves."""

    def __init__(
        self,
        *,
        max_entries: int,
        max_bytes: int,
        max_body_bytes: int,
        changes: Changes,
        file: JournalFile | None = None,
        clock: Callable[[], float] = now,
    ) -> None:
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._max_body_bytes = max_body_bytes
        self._file, self._clock = file, clock
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._seq = 0
        self.dropped = 0
        self.changes = changes

    def open(
        self,
        *,
        peer: str,
        kind: str,
        method: str,
        path: str,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> Entry:
        """Record a request that has arrived; its outcome is filled in until ``settle``."""
        self._seq += 1
        clean = masked_body(body[: self._max_body_bytes + _MASKING_MARGIN_BYTES])
        entry = Entry(
            seq=self._seq,
            time=self._clock(),
            peer=peer,
            kind=kind,
            method=method,
            path=masked_path(path),
            query=masked_query(query),
            headers=compact(orjson.dumps(masked_headers(headers))),
            body=clean[: self._max_body_bytes],
            body_bytes=len(body),
            truncated=len(body) > self._max_body_bytes,
        )
        self._entries.append(entry)
        self._bytes += entry.cost()
        self._trim()
        return entry

    def _trim(self) -> None:
        while len(self._entries) > self._max_entries or (
            self._bytes > self._max_bytes and len(self._entries) > 1
        ):
            self._bytes -= self._entries.popleft().cost()
            self.dropped += 1

    async def settle(self, entry: Entry) -> None:
        """The outcome is known. Called before the answer leaves, so that no effect is unseen."""
        if entry.settled:
            return
        entry.settled = True
        entry.seconds = round(perf_counter() - entry.started, 6)
        self.changes.notify()
        if self._file is not None:
            await self._file.write(orjson.dumps(entry.as_dict()))

    def select(
        self, *, peer: str | None = None, kind: str | None = None, since: int = 0
    ) -> Iterator[Entry]:
        """Entries with ``seq > since``, oldest first."""
        skip = max(0, since + 1 - self._entries[0].seq) if self._entries else 0
        for entry in islice(self._entries, skip, None):
            if peer not in (None, entry.peer) or kind not in (None, entry.kind):
                continue
            yield entry

    def clear(self) -> int:
        """Forget all entries; numbering goes on."""
        count = len(self._entries)
        self._entries.clear()
        self._bytes = 0
        self.dropped = 0
        return count

    def summary(self) -> dict[str, int]:
        return {
            "entries": len(self._entries),
            "bytes": self._bytes,
            "last_seq": self._seq,
            "dropped": self.dropped,
        }
