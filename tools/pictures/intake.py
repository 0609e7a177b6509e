"""A picture from wherever it comes to what is known of it, each one worked on once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from domain.errors import InvalidInput, KefuError
from domain.pictures import MAX_TEXT_KEPT, PictureFacts
from storage import pictures as rows
from storage.database import Database
from tools.pictures.fetch import PictureFetcher
from tools.pictures.inspect import inspect, with_text
from tools.pictures.ocr import ReadingQueueFull, TextReader
from tools.pictures.store import PictureRefused, PictureStore

log = logging.getLogger(__name__)

Describe = Callable[[bytes, str], Awaitable[str]]
"""A vision model: the picture and its media type to what it shows."""

PREFIX = "picture:"


@dataclass(slots=True)
class _Work:
    """``measured``: facts without text; ``finished``: all that can be known."""

    measured: "asyncio.Future[PictureFacts]"
    finished: "asyncio.Task[PictureFacts]"


class Pictures:
    """Sources are ``http(s)://…``, ``picture:{sha256}``, or the bytes of an upload.

    ``source_ttl_s``: for how long an address is taken to show the same picture. Close it when the
    service stops.
    """

    def __init__(
        self,
        database: Database,
        store: PictureStore,
        fetcher: PictureFetcher,
        reader: TextReader,
        *,
        describe: Describe | None = None,
        describe_timeout_s: float = 30.0,
        source_ttl_s: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._store = database, store
        self._fetcher, self._reader = fetcher, reader
        self._describe, self._describe_timeout_s = describe, describe_timeout_s
        self._source_ttl_s, self._clock = source_ttl_s, clock
        self._fetching: dict[str, asyncio.Task[str]] = {}
        self._working: dict[str, _Work] = {}
        self._one_measure = asyncio.Semaphore(1)

    async def look(
        self, source: str | bytes, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts:
        """Facts by ``deadline_s``, which bounds the reading, not the fetching: where the text is
        not read by then, ``text_read`` is False, and the next look finds what was read meanwhile.

        Raises PictureRefused, NotFound or PeerUnavailable.
        """
        sha256 = await self._stored(source)
        known = await self._known(sha256)
        if known is not None and (known.text_read or not read_text):
            return known
        work = self._work(sha256, known, read_text=read_text)
        if not read_text:
            return await asyncio.shield(work.measured)
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(work.finished)
        except TimeoutError:
            return await asyncio.shield(work.measured)

    async def aclose(self) -> None:
        tasks: list[asyncio.Task[str] | asyncio.Task[PictureFacts]] = [*self._fetching.values()]
        tasks += [work.finished for work in self._working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reader.aclose()

    async def _stored(self, source: str | bytes) -> str:
        """The digest of a picture that is in the store."""
        if isinstance(source, bytes):
            return (await self._store.put(source)).sha256
        if source.startswith(PREFIX):
            sha256 = source.removeprefix(PREFIX)
            self._store.path(sha256)
            return sha256
        since = self._clock() - self._source_ttl_s
        known = await self._database.read(lambda c: rows.find_source(c, source, since=since))
        return known or await self._fetched(source)

    async def _fetched(self, url: str) -> str:
        task = self._fetching.get(url)
        if task is None:
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda done: self._forget_fetch(url, done))
        return await asyncio.shield(task)

    async def _fetch(self, url: str) -> str:
        stored = await self._store.put(await self._fetcher.fetch(url))
        now = self._clock()
        await self._database.write(
            lambda c: rows.keep_source(c, url, stored.sha256, now=now), key=stored.sha256
        )
        return stored.sha256

    def _forget_fetch(self, url: str, task: "asyncio.Task[str]") -> None:
        self._fetching.pop(url, None)
        _look_at_failure(task)

    async def _known(self, sha256: str) -> PictureFacts | None:
        facts = await self._database.read(lambda c: rows.get_facts(c, sha256))
        if facts is not None:
            now = self._clock()
            await self._database.write(lambda c: rows.touch(c, sha256, now=now), key=sha256)
        return facts

    def _work(self, sha256: str, known: PictureFacts | None, *, read_text: bool) -> _Work:
        work = self._working.get(sha256)
        if work is None or work.finished.done():
            measured: asyncio.Future[PictureFacts] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._all(sha256, known, measured, read_text=read_text))
            work = self._working[sha256] = _Work(measured, task)
            task.add_done_callback(lambda done: self._forget_work(sha256, measured, done))
        return work

    def _forget_work(
        self,
        sha256: str,
        measured: "asyncio.Future[PictureFacts]",
        task: "asyncio.Task[PictureFacts]",
    ) -> None:
        self._working.pop(sha256, None)
        failure = _look_at_failure(task)
        if measured.done():
            return
        if failure is None:
            measured.cancel()
        else:
            measured.set_exception(failure)
            measured.exception()  # somebody may wait for it, or nobody

    async def _all(
        self,
        sha256: str,
        known: PictureFacts | None,
        measured: "asyncio.Future[PictureFacts]",
        *,
        read_text: bool,
    ) -> PictureFacts:
        data = await self._store.read(sha256)
        facts = known or await self._keep(await self._measure(data, sha256))
        measured.set_result(facts)
        if not read_text:
            return facts
        facts = await self._keep(await self._read(facts, data))
        return await self._described(facts, data)

    async def _measure(self, data: bytes, sha256: str) -> PictureFacts:
        async with self._one_measure:
            return await asyncio.to_thread(inspect, data, sha256, self._store.limits)

    async def _read(self, facts: PictureFacts, data: bytes) -> PictureFacts:
        try:
            return with_text(facts, await self._reader.read(data))
        except ReadingQueueFull as error:
            log.warning("picture %s is left unread: %s", facts.sha256, error)
            return facts

    async def _described(self, facts: PictureFacts, data: bytes) -> PictureFacts:
        if self._describe is None or facts.description:
            return facts
        try:
            async with asyncio.timeout(self._describe_timeout_s):
                words = await self._describe(data, f"image/{facts.format.lower()}")
        except (KefuError, TimeoutError) as error:
            log.warning("no description of picture %s: %r", facts.sha256, error)
            return facts
        return await self._keep(replace(facts, description=words.strip()[:MAX_TEXT_KEPT]))

    async def _keep(self, facts: PictureFacts) -> PictureFacts:
        now = self._clock()
        return await self._database.write(
            lambda c: rows.put_facts(c, facts, now=now), key=facts.sha256
        )


def _look_at_failure(task: "asyncio.Task[str] | asyncio.Task[PictureFacts]") -> Exception | None:
    """Nobody may be waiting any more; what the waiters get, they get from the task."""
    failure = None if task.cancelled() else task.exception()
    if isinstance(failure, Exception):
        if not isinstance(failure, InvalidInput | KefuError):
            log.error("a look at a picture failed", exc_info=failure)
        return failure
    return None


__all__ = ["Describe", "PictureRefused", "Pictures"]
