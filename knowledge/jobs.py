"""Imports that somebody watches: started, advanced, finished; seen from any process."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal, cast

from sqlalchemy import Connection

from domain.errors import KefuError, KnowledgeError, NotFound
from storage import knowledge_jobs as jobs
from storage.database import Database

JobState = Literal["queued", "running", "done", "failed", "interrupted"]

SILENCE_S = 30.0
"""A job without a heartbeat for so long counts as interrupted: its process has died."""
BEAT_S = 5.0


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """Numbers of entries. ``version`` None: nothing changed, so no version was made."""

    version: int | None = None
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """``source`` was skipped because of ``reason``."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """``done`` of ``total`` steps of ``phase``. Times are ISO 8601 in UTC."""

    id: str
    state: JobState
    kind: str
    phase: str
    done: int
    total: int
    summary: ImportSummary | None
    failures: tuple[Failure, ...]
    by: str
    created_at: str
    updated_at: str
    version: int | None


class ImportJobs:
    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock

    async def start_job(
        self, kind: str, *, by: str = "", total: int = 0, queued: bool = False
    ) -> str:
        """Returns the job's id."""
        job, now = "j_" + secrets.token_hex(10), self._clock()
        state = "queued" if queued else "running"
        await self.database.write(
            lambda c: jobs.add_job(c, job, kind=kind, by=by, total=total, state=state, now=now)
        )
        return job

    async def advance(
        self,
        job_id: str,
        *,
        phase: str | None = None,
        done: int | None = None,
        total: int | None = None,
    ) -> None:
        """It runs; what is not given stays. Also a heartbeat."""
        now = self._clock()
        await self.database.write(
            lambda c: jobs.advance_job(c, job_id, phase=phase, done=done, total=total, now=now)
        )

    @contextlib.asynccontextmanager
    async def alive(self, job_id: str, every_s: float = BEAT_S) -> AsyncIterator[None]:
        """Heartbeats while the work goes on, also through steps that take long."""
        beating = asyncio.create_task(self._beat(job_id, every_s))
        try:
            yield
        finally:
            beating.cancel()

    async def _beat(self, job_id: str, every_s: float) -> None:
        while True:
            with contextlib.suppress(KefuError):  # the database may be back at the next beat
                await self.database.write(_beat_unit(job_id, self._clock()))
            await asyncio.sleep(every_s)

    async def finish_job(
        self,
        job_id: str,
        *,
        summary: ImportSummary | None = None,
        failures: Iterable[KnowledgeError] = (),
        error: KefuError | None = None,
    ) -> None:
        """``failures``: what was skipped; ``error``: why the whole job failed."""
        found = [{"source": each.source, "reason": each.reason} for each in failures]
        if isinstance(error, KnowledgeError):
            found.insert(0, {"source": error.source, "reason": error.reason})
        elif error is not None:
            found.insert(0, {"source": "", "reason": str(error)})
        now = self._clock()
        await self.database.write(
            lambda c: jobs.finish_job(
                c,
                job_id,
                state="done" if error is None else "failed",
                summary=json.dumps(asdict(summary) if summary else {}),
                failures=json.dumps(found, ensure_ascii=False),
                version=summary.version if summary else None,
                now=now,
            )
        )

    async def get_job(self, job_id: str) -> Job:
        """Raises NotFound."""
        now = self._clock()
        row = await self.database.read(
            lambda c: jobs.find_job(c, job_id, now=now, silence_s=SILENCE_S)
        )
        if row is None:
            raise NotFound("job", job_id)
        return _job(row)

    async def list_jobs(self, limit: int = 20, offset: int = 0) -> list[Job]:
        """Newest first."""
        now = self._clock()
        found = await self.database.read(
            lambda c: jobs.list_jobs(c, limit, offset, now=now, silence_s=SILENCE_S)
        )
        return [_job(row) for row in found]


def _beat_unit(job_id: str, now: float) -> Callable[[Connection], None]:
    return lambda c: jobs.beat_job(c, job_id, now=now)


def _job(row: jobs.JobRow) -> Job:
    summary = json.loads(row.summary)
    return Job(
        id=row.id,
        state=cast(JobState, row.state),
        kind=row.kind,
        phase=row.phase,
        done=row.done,
        total=row.total,
        summary=ImportSummary(**summary) if summary else None,
        failures=tuple(Failure(**each) for each in json.loads(row.failures)),
        by=row.by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version_id,
    )
