"""Slow work on pictures, one at a time, in a process of its own beside the service.

In a thread of the service it made text messages wait: between the long calls of C each line of
Python needs the interpreter's lock, a thread of low priority would keep it from all others, and
what the work took in memory stayed. The process is started for the first picture, has low priority
and bounded memory, ends after a quiet while and is started again when it dies.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import struct
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from domain.errors import KefuError
from tools.pictures.apart_process import Job, Task
from tools.pictures.decoding import Limits, PictureRefused

log = logging.getLogger(__name__)
_NICENESS = 10
_MEMORY, _MEMORY_PER_PIXEL = 1 << 30, 24
"""Bytes: for models and their work, and for the largest picture while it is decoded."""
_TRIES = 2
_KILLERS_KEPT = 1_000


class Unreadable(KefuError):
    """The work ended the process more than once, ``reason`` says how: it is not tried again."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this picture cannot be looked at: {reason}")


class _Died(Exception):
    """The process, at work on a picture."""


class Apart:
    """``idle_s``: after so long without work the process ends; ``limit_s``: a picture that takes
    longer is given up."""

    def __init__(self, limits: Limits, *, idle_s: float, limit_s: float) -> None:
        memory = _MEMORY + _MEMORY_PER_PIXEL * limits.max_pixels
        self._job = Job(limits.max_bytes, limits.max_pixels, memory, _NICENESS, idle_s)
        self._limit_s = limit_s
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._killers: dict[str, str] = {}
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, where one is running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def ask(self, task: Task, data: bytes) -> dict[str, Any]:
        """Raises PictureRefused or Unreadable. A caller that is cancelled before its turn takes
        its picture out of the queue."""
        async with self._turn:
            answer = await self._answer(task, data)
        if "refused" in answer:
            raise PictureRefused(answer["refused"])
        return answer

    async def aclose(self) -> None:
        """The picture at work is given up, and so are those behind it."""
        self._closed = True
        await self._end()
        async with self._turn:
            await self._end()

    async def _answer(self, task: Task, data: bytes) -> dict[str, Any]:
        """Of this process or, if it dies, of another one."""
        digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        reason = self._killers.get(digest, "")
        if reason:
            raise Unreadable(reason)
        for _ in range(_TRIES):
            if self._closed:
                raise Unreadable("the service is stopping")
            try:
                return await self._asked(task, data)
            except _Died as error:
                reason = str(error)
                log.warning("to %s picture %s: %s", task.name.lower(), digest, reason)
        if not self._closed:
            self._remember(digest, reason)
        raise Unreadable(reason)

    def _remember(self, digest: str, reason: str) -> None:
        if len(self._killers) >= _KILLERS_KEPT:
            del self._killers[next(iter(self._killers))]
        self._killers[digest] = reason

    async def _asked(self, task: Task, data: bytes) -> dict[str, Any]:
        process = await self._running()
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await _exchange(process, task, data)
        except TimeoutError:
            await self._end()
            raise _Died(f"no answer after {self._limit_s:.0f} s") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._end()
            if process.returncode == 0:  # it had just gone to rest
                return await self._asked(task, data)
            raise _Died(f"the process ended with {process.returncode}") from None
        except BaseException:
            # Cancelled in between: its answer would be taken for that of the next picture.
            await self._end()
            raise
        if "failed" in answer:
            await self._end()
            raise _Died(answer["failed"])
        return answer

    async def _running(self) -> Process:
        if self.pid is None:
            await self._end()
            self._process = await _start(self._job)
        assert self._process is not None
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.communicate()


async def _start(job: Job) -> Process:
    # -P: a folder called tools where the service was started is none of ours.
    module = ("-P", "-m", "tools.pictures.apart_process")
    return await asyncio.create_subprocess_exec(
        sys.executable, *module, job.as_argument(), stdin=PIPE, stdout=PIPE
    )


async def _exchange(process: Process, task: Task, data: bytes) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(struct.pack(">I", 1 + len(data)) + task.encode())
    process.stdin.write(data)
    await process.stdin.drain()
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    answer: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    return answer
