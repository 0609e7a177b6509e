"""Wake-ups between the processes of one deployment: hints, while the rows stay the truth.

A process that leaves turns to others says which conversation is due, and one of those that work is
named, so that not all of them reach for the same row. Who has answered a message that another
process was asked says so, and that one reads the answer. A hint may be lost, late or repeated: each
process sweeps the rows, whoever waits polls them, and a claim decides who works.
"""

import asyncio
import contextlib
import logging
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from domain.errors import StorageError
from engine.waiting import MessageKey
from storage.line import MAX_BYTES, Line, OpenLine

log = logging.getLogger(__name__)
BEAT_S = 2.0
"""Between two words of a process that works, by which the others know it."""
GONE_S = 3 * BEAT_S
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 5.0
LAST_WORDS_S = 1.0
MAX_WAITING = 10_000
"""Hints kept while the line is slow; then the oldest go, and the sweep does their work."""
_TURN, _QUEUE, _DUE, _ANSWERED = "turn", "queue", "due", "answered"
_HERE, _GONE, _WHO = "here", "gone", "who"
_Hint = list[Any]


class Wakeups:
    """One a process. ``owner`` names it; ``works``: turns and deliveries may be left to it.
    ``line``: None where there is nobody to talk to; then every call does nothing.

    The ``on_…`` are set before `start` and must not block: ``on_turn`` a conversation and when it
    is due, ``on_queue`` a queue of the outbox, ``on_due`` a kind of rows of which some are due,
    ``on_answered`` a message whose answer is in the rows, ``on_connected`` whenever hints may have
    been missed.
    """

    def __init__(self, line: Line | None, *, owner: str, works: bool) -> None:
        self.owner, self.works, self._line = owner, works, line
        self.on_turn: Callable[[str, float], None] = lambda _conversation, _due_at: None
        self.on_queue: Callable[[str], None] = lambda _queue: None
        self.on_due: Callable[[str], None] = lambda _what: None
        self.on_answered: Callable[[MessageKey], None] = lambda _key: None
        self.on_connected: Callable[[], None] = lambda: None
        self._waiting: deque[_Hint] = deque(maxlen=MAX_WAITING)
        self._more = asyncio.Event()
        self._seen: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def start(self) -> None:
        if self._line is not None and self._task is None:
            self._task = asyncio.create_task(self._run(self._line), name="wake-ups")

    def leave(self) -> None:
        """Nothing is left to this process any more; it goes on to tell of what it finishes."""
        if self.works:
            self.works = False
            self._say([_GONE, self.owner])

    async def stop(self) -> None:
        """What is still to be said is said."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def turn(self, conversation: str, due_at: float) -> None:
        self._say([_TURN, self._whose(conversation), conversation, due_at])

    def queue(self, queue: str) -> None:
        self._say([_QUEUE, self._whose(queue), queue])

    def queues(self, queues: Sequence[str]) -> None:
        for queue in queues:
            self.queue(queue)

    def due(self, what: str) -> None:
        """Rows of the kind ``what``: every process that works looks at them."""
        self._say([_DUE, "", what])

    def answered(self, key: MessageKey) -> None:
        self._say([_ANSWERED, "", *key])

    def workers(self) -> list[str]:
        """Processes that have said lately that they work."""
        since = asyncio.get_running_loop().time() - GONE_S
        return sorted(owner for owner, at in self._seen.items() if at > since)

    def _whose(self, name: str) -> str:
        """The process that is to look at ``name``, mostly the same one again; empty: all."""
        return max(
            self.workers(), key=lambda owner: zlib.crc32(f"{name}\n{owner}".encode()), default=""
        )

    def _say(self, hint: _Hint) -> None:
        if self._task is not None and self.connected:
            self._waiting.append(hint)
            self._more.set()

    async def _run(self, line: Line) -> None:
        pause = FIRST_RETRY_S
        while True:
            try:
                async with line.open() as opened, asyncio.TaskGroup() as parts:
                    pause = FIRST_RETRY_S
                    self._connected()
                    parts.create_task(self._listen(opened))
                    parts.create_task(self._beat())
                    parts.create_task(self._send(opened))
            except* StorageError as errors:
                log.warning(
                    "no wake-ups from other processes, their work is found by looking; again in"
                    " %.1f s: %s",
                    pause,
                    errors.exceptions[0],
                )
            finally:
                self._disconnected()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_S)

    def _connected(self) -> None:
        self.connected = True
        self._say([_WHO, ""])
        self.on_connected()

    def _disconnected(self) -> None:
        self.connected = False
        self._waiting.clear()
        self._seen.clear()

    async def _beat(self) -> None:
        """Also what keeps a line of which nobody makes use from being taken for dead."""
        while True:
            self._say([_HERE, self.owner if self.works else ""])
            await asyncio.sleep(BEAT_S)

    async def _send(self, line: OpenLine) -> None:
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                await self._say_all(line)
        finally:
            with contextlib.suppress(TimeoutError, StorageError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._say_all(line)

    async def _say_all(self, line: OpenLine) -> None:
        for words in self._packed():
            await line.say(words)

    def _packed(self) -> Iterator[str]:
        """All that waits, in as few sayings as it fits into."""
        packed: list[_Hint] = []
        size = 2
        while self._waiting:
            hint = self._waiting.popleft()
            length = len(orjson.dumps(hint)) + 1
            if length + 2 > MAX_BYTES:
                continue
            if size + length > MAX_BYTES:
                yield _written(packed)
                packed, size = [], 2
            packed.append(hint)
            size += length
        if packed:
            yield _written(packed)

    async def _listen(self, line: OpenLine) -> None:
        async for words in line.heard(GONE_S):
            try:
                for kind, *rest in orjson.loads(words):
                    self._take(kind, rest)
            except Exception:
                log.exception("a hint is of no use: %r", words[:200])

    def _take(self, kind: str, rest: list[Any]) -> None:
        if kind == _HERE:
            if rest[0]:
                self._seen[rest[0]] = asyncio.get_running_loop().time()
        elif kind == _GONE:
            self._seen.pop(rest[0], None)
        elif kind == _WHO:
            if self.works:
                self._say([_HERE, self.owner])
        elif kind == _ANSWERED:
            _, channel, account, message = rest
            self.on_answered((channel, account, message))
        elif self.works and rest[0] in ("", self.owner):
            self._work(kind, rest[1:])

    def _work(self, kind: str, rest: list[Any]) -> None:
        if kind == _TURN:
            conversation, due_at = rest
            self.on_turn(conversation, due_at)
        elif kind == _QUEUE:
            self.on_queue(rest[0])
        elif kind == _DUE:
            self.on_due(rest[0])


def _written(hints: list[_Hint]) -> str:
    return orjson.dumps(hints).decode()
