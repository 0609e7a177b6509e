"""A picture from wherever it comes to what is known of it, each one worked on once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from domain.errors import KefuError, PeerRejected
from domain.pictures import MAX_TEXT_KEPT, PictureFacts, PictureKind
from storage import pictures as rows
from storage.database import Database
from tools.pictures.fetch import PictureFetcher
from tools.pictures.inspect import inspect, with_text
from tools.pictures.ocr import Measurer, ReadingQueueFull, TextReader
from tools.pictures.store import PictureRefused, PictureStore

log = logging.getLogger(__name__)

Describe = Callable[[bytes], Awaitable[str]]
"""A vision model: the picture to what it shows."""
Fetch = Callable[[str], Awaitable[bytes]]
"""What is behind an id at a platform. Raises PeerRejected or PeerUnavailable."""
GONE = "这张图片在平台上已经过期或打不开，请重新发一下"
MAX_DESCRIBING = 32
"""Pictures that wait for their description; what comes above that gets none."""

PREFIX = "picture:"


class _Work:
    """On one picture. ``measured``: set with facts without text; ``facts``: the best so far."""

    def __init__(self, known: PictureFacts | None, *, reads: bool) -> None:
        self.facts, self.reads = known, reads
        self.measured = asyncio.Event()
        self.task: asyncio.Task[PictureFacts] | None = None


class Pictures:
    """Sources are ``http(s)://…``, ``picture:{sha256}``, the bytes of an upload, and what platforms
    know by an id, ``{scheme}:{id}``, once `from_platform` has said how to get it.

    ``measurer``: None measures in a thread. ``describe``: nobody waits for what it says, and it
    never gets to see a document. ``source_ttl_s``: for how long an address is taken to show the
    same picture. Close it when the service stops.
    """

    def __init__(
        self,
        database: Database,
        store: PictureStore,
        fetcher: PictureFetcher,
        reader: TextReader,
        *,
        measurer: Measurer | None = None,
        describe: Describe | None = None,
        describe_timeout_s: float = 90.0,
        source_ttl_s: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._store = database, store
        self._fetcher, self._reader, self._measurer = fetcher, reader, measurer
        self._describe, self._describe_timeout_s = describe, describe_timeout_s
        self._source_ttl_s, self._clock = source_ttl_s, clock
        self._fetching: dict[str, asyncio.Task[str]] = {}
        self._working: dict[str, _Work] = {}
        self._tasks: set[asyncio.Task[PictureFacts]] = set()
        self._describing: set[asyncio.Task[PictureFacts]] = set()
        self._one_measure = asyncio.Semaphore(1)
        self._platforms: dict[str, Fetch] = {}

    def from_platform(self, scheme: str, fetch: Fetch) -> None:
        """``fetch`` gets what an id means, which is always the same picture."""
        self._platforms[scheme] = fetch

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
        if not read_text:
            return await self._measured(sha256)
        return await self._finished(sha256, known, deadline_s)

    async def settled(self) -> None:
        """Until nothing is under way, descriptions included."""
        while tasks := [*self._fetching.values(), *self._tasks, *self._describing]:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # their callbacks begin what follows

    async def aclose(self) -> None:
        tasks = [*self._fetching.values(), *self._tasks, *self._describing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reader.aclose()
        if self._measurer is not None:
            await self._measurer.aclose()

    async def _stored(self, source: str | bytes) -> str:
        """The digest of a picture that is in the store."""
        if isinstance(source, bytes):
            return (await self._store.put(source)).sha256
        if source.startswith(PREFIX):
            sha256 = source.removeprefix(PREFIX)
            self._store.path(sha256)
            return sha256
        since = 0.0 if self._platform(source) else self._clock() - self._source_ttl_s
        known = await self._database.read(lambda c: rows.find_source(c, source, since=since))
        if known is None or not await self._store.holds(known):
            return await self._fetched(source)
        return known

    def fetch_early(self, source: str) -> None:
        """What a platform knows by an id is gone there after some days: it is fetched now, for
        whoever looks at it then. Nobody hears of a failure; who looks tries again."""
        if self._platform(source):
            self._fetching_of(source)

    async def _fetched(self, url: str) -> str:
        return await asyncio.shield(self._fetching_of(url))

    def _fetching_of(self, url: str) -> "asyncio.Task[str]":
        task = self._fetching.get(url)
        if task is None:
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda done: self._forget_fetch(url, done))
        return task

    async def _fetch(self, url: str) -> str:
        fetch = self._platform(url)
        data = await (self._by_id(fetch, url) if fetch else self._fetcher.fetch(url))
        stored = await self._store.put(data)
        now = self._clock()
        await self._database.write(
            lambda c: rows.keep_source(c, url, stored.sha256, now=now), key=stored.sha256
        )
        return stored.sha256

    def _platform(self, source: str) -> Fetch | None:
        return self._platforms.get(source.partition(":")[0])

    async def _by_id(self, fetch: Fetch, source: str) -> bytes:
        try:
            return await fetch(source.partition(":")[2])
        except PeerRejected as error:
            raise PictureRefused(GONE) from error

    def _forget_fetch(self, url: str, task: "asyncio.Task[str]") -> None:
        self._fetching.pop(url, None)
        _look_at_failure(task)

    async def _known(self, sha256: str) -> PictureFacts | None:
        facts = await self._database.read(lambda c: rows.get_facts(c, sha256))
        if facts is not None:
            now = self._clock()
            await self._database.write(lambda c: rows.touch(c, sha256, now=now), key=sha256)
        return facts

    async def _measured(self, sha256: str) -> PictureFacts:
        work = self._working.get(sha256) or self._begin(sha256, None, reads=False)
        return await self._first(work)

    async def _first(self, work: _Work) -> PictureFacts:
        """The facts without text, or why there are none."""
        assert work.task is not None
        waiting = asyncio.ensure_future(work.measured.wait())
        try:
            await asyncio.wait((waiting, work.task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return work.facts if work.facts is not None else await asyncio.shield(work.task)

    async def _finished(
        self, sha256: str, known: PictureFacts | None, deadline_s: float | None
    ) -> PictureFacts:
        work = self._working.get(sha256)
        if work is not None and not work.reads:
            known = await self._first(work)
            work = self._working.get(sha256)
        if work is None or not work.reads:
            work = self._begin(sha256, known, reads=True)
        assert work.task is not None
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(work.task)
        except TimeoutError:
            return await self._first(work)

    def _begin(self, sha256: str, known: PictureFacts | None, *, reads: bool) -> _Work:
        work = self._working[sha256] = _Work(known, reads=reads)
        work.task = asyncio.create_task(self._all(sha256, work))
        self._tasks.add(work.task)
        work.task.add_done_callback(lambda done: self._end(sha256, work, done))
        return work

    def _end(self, sha256: str, work: _Work, task: "asyncio.Task[PictureFacts]") -> None:
        self._tasks.discard(task)
        if self._working.get(sha256) is work:
            del self._working[sha256]
        _look_at_failure(task)

    async def _all(self, sha256: str, work: _Work) -> PictureFacts:
        data = await self._store.read(sha256)
        facts = work.facts or await self._keep(await self._measure(data, sha256))
        work.facts = facts
        work.measured.set()
        if work.reads:
            facts = work.facts = await self._keep(await self._read(facts, data))
            self._describe_later(facts)
        return facts

    async def _measure(self, data: bytes, sha256: str) -> PictureFacts:
        if self._measurer is not None:
            return await self._measurer.measure(data, sha256)
        async with self._one_measure:
            return await asyncio.to_thread(inspect, data, sha256, self._store.limits)

    async def _read(self, facts: PictureFacts, data: bytes) -> PictureFacts:
        try:
            return with_text(facts, await self._reader.read(data))
        except ReadingQueueFull as error:
            log.warning("picture %s is left unread: %s", facts.sha256, error)
        except Exception:
            # What was measured is worth having where the engine of the models fails.
            log.exception("picture %s cannot be read", facts.sha256)
        return facts

    def _describe_later(self, facts: PictureFacts) -> None:
        # Papers of people are nobody else's business, and a model's words change no price.
        if self._describe is None or facts.description or facts.kind is PictureKind.DOCUMENT:
            return
        if len(self._describing) >= MAX_DESCRIBING:
            log.warning("picture %s gets no description: too many wait for one", facts.sha256)
            return
        task = asyncio.create_task(self._described(facts, self._describe))
        self._describing.add(task)
        task.add_done_callback(self._end_describing)

    def _end_describing(self, task: "asyncio.Task[PictureFacts]") -> None:
        self._describing.discard(task)
        _look_at_failure(task)

    async def _described(self, facts: PictureFacts, describe: Describe) -> PictureFacts:
        try:
            async with asyncio.timeout(self._describe_timeout_s):
                words = await describe(await self._store.read(facts.sha256))
        except Exception as error:
            # An extra: whatever fails there, the facts stand.
            log.warning("no description of picture %s: %r", facts.sha256, error)
            return facts
        return await self._keep(replace(facts, description=words.strip()[:MAX_TEXT_KEPT]))

    async def _keep(self, facts: PictureFacts) -> PictureFacts:
        now = self._clock()
        return await self._database.write(
            lambda c: rows.put_facts(c, facts, now=now), key=facts.sha256
        )


def _look_at_failure(task: "asyncio.Task[str] | asyncio.Task[PictureFacts]") -> None:
    """Perhaps nobody waits for it any more: then a fault of ours would be seen by nobody."""
    failure = None if task.cancelled() else task.exception()
    if failure is not None and not isinstance(failure, KefuError):
        log.error("a look at a picture failed", exc_info=failure)


__all__ = ["PREFIX", "Describe", "PictureRefused", "Pictures"]
