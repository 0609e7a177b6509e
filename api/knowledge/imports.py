"""Imports and rebuilds in the background, one at a time, each a job that anybody can watch."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from api.knowledge.schemas import ImportFields
from api.knowledge.uploads import Form, Upload
from domain.errors import InvalidInput, KefuError, KnowledgeError
from engine.bootstrap import Knowledge
from knowledge.documents import LoadReport, Progress, load_bytes
from knowledge.jobs import ImportSummary, Job
from storage import knowledge_jobs

log = logging.getLogger(__name__)

MAX_UNFINISHED = 8
REPORT_S = 0.3
STOPPED = "服务停止，任务没有完成，知识库保持原样；请重新提交"
SHOWN_NAMES = 5
_Outcome = tuple[ImportSummary | None, Sequence[KnowledgeError]]
_Work = Callable[["_Watch"], Awaitable[_Outcome]]


class _NothingRead(KnowledgeError):
    def __init__(self, failures: Sequence[KnowledgeError]) -> None:
        self.failures = failures
        super().__init__("", "没有可导入的内容，知识库未改动")


class _Watch:
    """The newest progress of a job, written now and then; told of it from any thread."""

    def __init__(self, knowledge: Knowledge, job_id: str) -> None:
        self._base, self._job_id = knowledge.base, job_id
        self._now = self._written = ("", 0, 0)

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

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            with contextlib.suppress(KefuError):  # the job's end says it again
                await self._report()

    async def _report(self) -> None:
        now = self._now
        if now != self._written:
            phase, done, total = now
            await self._base.advance(self._job_id, phase=phase, done=done, total=total)
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

        async def work(watch: _Watch) -> _Outcome:
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
        watch = _Watch(self._knowledge, job_id)
        try:
            async with self._knowledge.base.alive(job_id), self._turn, watch.followed():
                summary, failures = await work(watch)
            await self._knowledge.base.finish_job(job_id, summary=summary, failures=failures)
        except asyncio.CancelledError:
            await self._interrupted(job_id)
            raise
        except _NothingRead as error:
            await self._failed(job_id, error, error.failures)
        except KefuError as error:
            log.warning("job %s: %s", job_id, error)
            await self._failed(job_id, error)
        except Exception:
            log.exception("job %s failed", job_id)
            await self._failed(job_id, KnowledgeError("", "内部错误，详见日志"))

    async def _failed(
        self, job_id: str, error: KefuError, failures: Sequence[KnowledgeError] = ()
    ) -> None:
        try:
            await self._knowledge.base.finish_job(job_id, failures=failures, error=error)
        except KefuError as away:  # without a heartbeat it will count as interrupted
            log.error("the end of job %s could not be written: %s", job_id, away)

    async def _interrupted(self, job_id: str) -> None:
        base = self._knowledge.base
        reason = json.dumps([{"source": "", "reason": STOPPED}], ensure_ascii=False)
        now = time.time()
        with contextlib.suppress(KefuError):
            await base.database.write(
                lambda c: knowledge_jobs.finish_job(
                    c,
                    job_id,
                    state="interrupted",
                    summary="{}",
                    failures=reason,
                    version=None,
                    now=now,
                )
            )

    # The work

    async def _import(self, order: _Order, watch: _Watch) -> _Outcome:
        knowledge, wanted = self._knowledge, order.wanted
        report = await _read(order, watch)
        if not report.entries:  # a rebuild would leave an empty base
            raise _NothingRead(report.failures)
        summary = await knowledge.base.import_entries(
            report.entries,
            refresh=report.documents if wanted.refresh else (),
            rebuild=wanted.rebuild,
            by=order.by,
            note=_note_of(order.files),
            progress=await watch.phase("write", len(report.entries)),
        )
        await knowledge.retriever.refresh(await watch.phase("index"))
        if wanted.rebuild and knowledge.follower.is_writer:
            await self._renew_index(watch)
        return summary, report.failures

    async def _rebuild(self, watch: _Watch) -> _Outcome:
        knowledge = self._knowledge
        await knowledge.retriever.refresh(await watch.phase("index"))
        if not knowledge.follower.is_writer:
            raise KnowledgeError("", "索引由另一个进程维护，请在那个进程的服务上重建")
        await self._renew_index(watch)
        return None, ()

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


def _note_of(files: Sequence[Upload]) -> str:
    """Never what `knowledge.origins` takes for a path of this machine."""
    names = "、".join(upload.name for upload in files[:SHOWN_NAMES]).replace("|", "｜")
    return f"上传 {names}" + (f" 等 {len(files)} 个文件" if len(files) > SHOWN_NAMES else "")
