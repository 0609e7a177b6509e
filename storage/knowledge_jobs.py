"""Imports that somebody watches: their state, progress and outcome."""
# ruff: noqa: S608  every f-string of SQL here is made of the constants beside it

from typing import NamedTuple

from sqlalchemy import Connection

from storage.clock import iso
from storage.statements import Statement


class JobRow(NamedTuple):
    """``state``: queued, running, done, failed, interrupted; ``summary``, ``failures``: JSON."""

    id: str
    state: str
    kind: str
    phase: str
    done: int
    total: int
    summary: str
    failures: str
    by: str
    created_at: str
    updated_at: str
    version_id: int | None


_ADD = Statement(
    """
    INSERT INTO knowledge_jobs (id, state, kind, phase, done, total, summary, failures, by,
        created_at, updated_at)
    VALUES (:id, :state, :kind, '', 0, :total, '{}', '[]', :by, :at, :at)
    """
)
_ADVANCE = Statement(
    """
    UPDATE knowledge_jobs SET state = 'running', phase = COALESCE(:phase, phase),
        done = COALESCE(:done, done), total = COALESCE(:total, total), updated_at = :at
    WHERE id = :id AND state IN ('queued', 'running')
    """
)
_BEAT = Statement(
    "UPDATE knowledge_jobs SET updated_at = :at WHERE id = :id AND state IN ('queued', 'running')"
)
_FINISH = Statement(
    """
    UPDATE knowledge_jobs SET state = :state, summary = :summary, failures = :failures,
        version_id = :version, done = CASE WHEN :complete THEN total ELSE done END,
        updated_at = :at
    WHERE id = :id
    """
)
# A job whose process died beats no more.
_COLUMNS = """id, CASE WHEN state IN ('queued', 'running') AND updated_at < :alive_at
    THEN 'interrupted' ELSE state END, kind, phase, done, total, summary, failures, by, created_at,
    updated_at, version_id"""
_GET = Statement(f"SELECT {_COLUMNS} FROM knowledge_jobs WHERE id = :id")
_LIST = Statement(
    f"SELECT {_COLUMNS} FROM knowledge_jobs ORDER BY created_at DESC, id LIMIT :limit"
    " OFFSET :offset"
)


def add_job(
    connection: Connection, job: str, *, kind: str, by: str, total: int, state: str, now: float
) -> None:
    values = {"id": job, "kind": kind, "by": by, "total": total, "state": state, "at": iso(now)}
    _ADD.run(connection, values)


def advance_job(
    connection: Connection,
    job: str,
    *,
    phase: str | None,
    done: int | None,
    total: int | None,
    now: float,
) -> None:
    values = {"id": job, "phase": phase, "done": done, "total": total, "at": iso(now)}
    _ADVANCE.run(connection, values)


def beat_job(connection: Connection, job: str, *, now: float) -> None:
    _BEAT.run(connection, {"id": job, "at": iso(now)})


def finish_job(
    connection: Connection,
    job: str,
    *,
    state: str,
    summary: str,
    failures: str,
    version: int | None,
    now: float,
) -> None:
    values = {"id": job, "state": state, "summary": summary, "failures": failures}
    complete = state == "done"
    _FINISH.run(connection, values | {"version": version, "complete": complete, "at": iso(now)})


def find_job(connection: Connection, job: str, *, now: float, silence_s: float) -> JobRow | None:
    """``silence_s``: how long a job may be silent before it counts as interrupted."""
    row = _GET.first(connection, {"id": job, "alive_at": iso(now - silence_s)})
    return JobRow(*row) if row else None


def list_jobs(
    connection: Connection, limit: int, offset: int, *, now: float, silence_s: float
) -> list[JobRow]:
    """Newest first."""
    values = {"limit": limit, "offset": offset, "alive_at": iso(now - silence_s)}
    return [JobRow(*row) for row in _LIST.all(connection, values)]
