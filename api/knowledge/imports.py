"""Imports and rebuilds in the background, one at a time, each a job that anybody can watch."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from api.knowledge.changes import NOT_READABLE, catch_up
from api.knowledge.schemas import ImportFields
from api.knowledge.uploads import Form, Upload
from domain.errors import InvalidInput, KefuError, KnowledgeError
from engine.bootstrap import Knowledge
from knowledge.documents import LoadReport, Progress, load_bytes
from knowledge.jobs import ImportSummary, Job
from storage import knowledge_jobs, knowledge_versions

log = logging.getLogger(__name__)

MAX_UNFINISHED = 8
REPORT_S = 0.3
STOPPED = "服务停止，任务没有完成，知识库保持原样；请重新提交"
"""What an interrupted job says; see `_settle` for one that was all but done."""
UNSEEN = "知识已写入，但索引暂时无法更新，恢复后才能检索到"
SHOWN_NAMES = 5
NEWEST_VERSIONS = 20
_KEY = "knowledge"
"""Units of work with it keep their order, those of `KnowledgeBase` among them."""
_Work = Callable[["_Watch"], Awaitable[ImportSummary | None]]


class _Watch:
    """The newest progress of a job, written now and then; told of it from any thread."""

    def __init__(self, knowledge: Knowledge, job_id: str) -> None:
        self._base, self.job_id = knowledge.base, job_id
        self._now = self._written = ("", 0, 0)
        self.failures: Sequence[KnowledgeError] = ()

    async def phase(self, name: str, total: int = 0) -> Progress:
        self._now = (name, 0, total)
        await self._report()

        def progress(done: int, total: int) -> None:
            self._now = (name, done, total)

        return progress

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        reporting = asyncio.create_task(self._keep_reporting())
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
        await self._report()

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            with contextlib.suppress(KefuError):  # the job's end says it again
                await self._report()

    async def _report(self) -> None:
        now = self._now
        if now != self._written:
            phase, done, total = now
            await self._base.advance(self.job_id, phase=phase, done=done, total=total)
            self._written = now


@dataclass(frozen=True, slots=True)
class _Order:
    files: list[Upload]
    wanted: ImportFields
    by: str


class Imports:
    """Of one process; ``aclose`` it before its knowledge. Processes wait for each other in the
    base itself."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0
        self._closed = False

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Before anything is read: raises InvalidInput when too many wait already."""
        if self._closed or len(self._tasks) + self._admitted >= MAX_UNFINISHED:
            raise InvalidInput("", "排队的导入太多，请等其中一些完成后再试", status=429)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def add(self, form: Form, wanted: ImportFields, *, by: str) -> Job:
        """Takes the form's files over once it returns."""
        order = _Order(form.files, wanted, by)

        async def work(watch: _Watch) -> ImportSummary | None:
            return await self._import(order, watch)

        return await self._start("import", work, form, by=by, total=len(form.files))

    async def rebuild(self, *, by: str) -> Job:
        """The index made anew from the rows; the old one serves meanwhile."""
        return await self._start("rebuild", self._rebuild, Form(), by=by)

    async def aclose(self) -> None:
        """What is under way is interrupted, and says so."""
        self._closed = True
        await asyncio.sleep(0)  # a task that never began could not say that it was interrupted
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self, kind: str, work: _Work, form: Form, *, by: str, total: int = 0) -> Job:
        base = self._knowledge.base
        job_id = await base.start_job(kind, by=by, total=total, queued=True)
        task = asyncio.create_task(self._run(job_id, work), name=f"knowledge {kind}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            form.close()

        task.add_done_callback(ended)
        return await base.get_job(job_id)

    async def _run(self, job_id: str, work: _Work) -> None:
        base, watch = self._knowledge.base, _Watch(self._knowledge, job_id)
        try:
            async with base.alive(job_id), self._turn, watch.followed():
                summary = await work(watch)
            await base.finish_job(job_id, summary=summary, failures=watch.failures)
        except asyncio.CancelledError:
            await self._interrupted(watch)
            raise
        except KefuError as error:
            log.warning("job %s: %s", job_id, error)
            await self._failed(watch, error)
        except Exception:
            log.exception("job %s failed", job_id)
            await self._failed(watch, KnowledgeError("", "内部错误，详见日志"))

    async def _failed(self, watch: _Watch, error: KefuError) -> None:
        try:
            await self._knowledge.base.finish_job(
                watch.job_id, failures=watch.failures, error=error
            )
        except KefuError as away:  # without a heartbeat it will count as interrupted
            log.error("the end of job %s could not be written: %s", watch.job_id, away)

    async def _interrupted(self, watch: _Watch) -> None:
        """Done, where its version was committed all the same. That is looked up behind all that
        the import wrote, by the order of its key."""
        now = time.time()
        with contextlib.suppress(KefuError):
            await self._knowledge.base.database.write(
                lambda c: _settle(c, watch.job_id, watch.failures, now), key=_KEY
            )

    # The work

    async def _import(self, order: _Order, watch: _Watch) -> ImportSummary:
        knowledge, wanted = self._knowledge, order.wanted
        report = await _read(order, watch)
        watch.failures = report.failures
        if not report.entries:  # a rebuild would leave an empty base
            raise KnowledgeError("", "没有可导入的内容，知识库未改动")
        summary = await knowledge.base.import_entries(
            report.entries,
            refresh=report.documents if wanted.refresh else (),
            rebuild=wanted.rebuild,
            by=order.by,
            note=_note_of(order.files, watch.job_id),
            progress=await watch.phase("write", len(report.entries)),
        )
        try:
            await catch_up(knowledge, await watch.phase("index"))
            if wanted.rebuild and knowledge.follower.is_writer:
                await self._renew_index(watch)
        except NOT_READABLE as error:  # the import stands
            log.error("searches do not see job %s: %s", watch.job_id, error)
            watch.failures = (*watch.failures, KnowledgeError("索引", UNSEEN))
        return summary

    async def _rebuild(self, watch: _Watch) -> None:
        knowledge = self._knowledge
        await catch_up(knowledge, await watch.phase("index"))
        if not knowledge.follower.is_writer:
            raise KnowledgeError("", "索引由另一个进程维护，请在那个进程的服务上重建")
        await self._renew_index(watch)

    async def _renew_index(self, watch: _Watch) -> None:
        progress = await watch.phase("rebuild")
        await asyncio.to_thread(self._knowledge.follower.rebuild, progress)
        await self._knowledge.retriever.refresh()


async def _read(order: _Order, watch: _Watch) -> LoadReport:
    progress = await watch.phase("read", len(order.files))
    reports: list[LoadReport] = []
    names: set[str] = set()
    for done, upload in enumerate(order.files, start=1):
        if upload.name in names:
            failure = KnowledgeError(upload.name, "另一个文件也叫这个名字，请改名")
            reports.append(LoadReport(failures=(failure,)))
        else:
            names.add(upload.name)
            reports.append(await asyncio.to_thread(_load, upload, order.wanted))
        progress(done, len(order.files))
    return LoadReport(
        tuple(entry for report in reports for entry in report.entries),
        tuple(failure for report in reports for failure in report.failures),
        frozenset(name for report in reports for name in report.documents),
    )


def _load(upload: Upload, wanted: ImportFields) -> LoadReport:
    return load_bytes(upload.name, upload.take(), wanted.category or None, tuple(wanted.tags))


def _note_of(files: Sequence[Upload], job_id: str) -> str:
    """Never what `knowledge.origins` takes for a path of this machine."""
    names = "、".join(upload.name for upload in files[:SHOWN_NAMES]).replace("|", "｜")
    more = f" 等 {len(files)} 个文件" if len(files) > SHOWN_NAMES else ""
    return f"上传 {names}{more}{_mark(job_id)}"


def _mark(job_id: str) -> str:
    """By which a job's version is known."""
    return f"（任务 {job_id}）"


def _settle(
    connection: Connection, job_id: str, failures: Sequence[KnowledgeError], now: float
) -> None:
    newest = knowledge_versions.list_versions(connection, NEWEST_VERSIONS, 0)
    made = next((row for row in newest if row.note.endswith(_mark(job_id))), None)
    found = [{"source": each.source, "reason": each.reason} for each in failures]
    summary: dict[str, int | None] = {}
    if made is None:
        found.insert(0, {"source": "", "reason": STOPPED})
    else:
        done = ImportSummary(made.id, made.added, made.updated, made.unchanged, made.removed)
        summary = asdict(done)
    knowledge_jobs.finish_job(
        connection,
        job_id,
        state="done" if made else "interrupted",
        summary=json.dumps(summary),
        failures=json.dumps(found, ensure_ascii=False),
        version=made.id if made else None,
        now=now,
    )
