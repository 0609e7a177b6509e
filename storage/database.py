"""One database, SQLite or PostgreSQL, behind grouped commits.

Callers hand over *units of work*: functions of a connection. A few threads run them; units that
wait at the same time share one transaction and so one fsync, and each caller gets its answer only
after that commit. A unit may run twice (its group failed, then it runs alone), so it must do
nothing but read and write the database.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from domain.errors import ConfigurationError, StorageError
from storage.sealed import NO_KEYS, OPTION, FieldKeys

log = logging.getLogger(__name__)
T = TypeVar("T")
Unit = Callable[[Connection], T]

MAX_GROUP = 64
LINGER_S = 0.004
BUSY_WINDOW_S = 0.1
BUSY_JOBS = 38
"""A writer that got BUSY_JOBS units in the last window waits LINGER_S for company: a commit, and
waking the event loop after it, cost as much for one unit as for ten."""
BUSY_TIMEOUT_MS = 15_000
PG_RETRYABLE = {"40001", "40P01"}  # serialization failure, deadlock detected


@dataclass(slots=True)
class _Job:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None


class Database:
    """``url``: ``sqlite:///path`` or ``postgresql://…`` (any driver suffix is replaced by ours).

    ``frozen_s``: how long PostgreSQL lets a transaction of ours stand still. A process that is
    frozen, or whose machine is gone, would otherwise hold its rows against all others.
    ``keys``: what protected fields are sealed with (`storage.sealed`).
    """

    def __init__(
        self,
        url: str,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        writers: int = 4,
        readers: int = 2,
        frozen_s: float = 5.0,
        keys: FieldKeys = NO_KEYS,
    ) -> None:
        self.url = normalise_url(url)
        self.is_sqlite = self.url.startswith("sqlite")
        self._synchronous, self._frozen_s = synchronous, frozen_s
        self.keys = keys
        # SQLite has one writer at a time anyway; one thread makes every group commit count.
        self._writer_count = 1 if self.is_sqlite else writers
        self._reader_count = readers
        self._writers: list[_Worker] = []
        self._readers: list[_Worker] = []
        self._next_reader = 0
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._create_engine()
        return self._engine

    def start(self) -> None:
        self._writers = [
            _Worker(self.engine, f"db-write-{i}", write=True) for i in range(self._writer_count)
        ]
        self._readers = [
            _Worker(self.engine, f"db-read-{i}", write=False) for i in range(self._reader_count)
        ]

    def close(self) -> None:
        """Finish what is queued, then close every connection. Call it off the event loop."""
        for worker in [*self._writers, *self._readers]:
            worker.stop()
        self._writers, self._readers = [], []
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def write(self, unit: Unit[T], *, key: str = "") -> asyncio.Future[T]:
        """Run ``unit`` in a committed transaction. Units with the same ``key`` keep their order.

        It runs whether or not somebody awaits the future.
        """
        if not self._writers:
            raise StorageError("the database is not started")
        at = zlib.crc32(key.encode()) % len(self._writers) if len(self._writers) > 1 else 0
        return self._writers[at].submit(unit)

    def read(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Run a reading ``unit``, concurrently with writes."""
        if not self._readers:
            raise StorageError("the database is not started")
        self._next_reader = (self._next_reader + 1) % len(self._readers)
        return self._readers[self._next_reader].submit(unit)

    def _create_engine(self) -> Engine:
        return self._plain_engine().execution_options(**{OPTION: self.keys})

    def _plain_engine(self) -> Engine:
        if not self.is_sqlite:
            engine = create_engine(
                self.url, pool_size=self._writer_count + self._reader_count + 1, pool_pre_ping=True
            )
            event.listen(engine, "connect", self._prepare_postgresql)
            return engine
        engine = create_engine(
            self.url,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
            pool_size=self._reader_count + 2,
        )
        event.listen(engine, "connect", self._prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _prepare_postgresql(self, connection: Any, _record: Any) -> None:
        limit = round(self._frozen_s * 1000)
        connection.execute(f"SET idle_in_transaction_session_timeout = {limit}")
        connection.commit()

    def _prepare_sqlite(self, connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={self._synchronous}",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-4000",  # KiB a connection; the system keeps the rest of the file
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and writes later must not find, at its first
    # write, that another process has written in between (SQLITE_BUSY that no time-out cures).
    write = connection.get_execution_options().get("kefu_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def normalise_url(url: str) -> str:
    """Pick the driver we ship; raises ConfigurationError for other databases."""
    scheme, _, rest = url.partition("://")
    base = scheme.partition("+")[0]
    if base == "sqlite":
        return f"sqlite://{rest}"
    if base in ("postgresql", "postgres"):
        return f"postgresql+psycopg://{rest}"
    raise ConfigurationError(
        "DATABASE_URL", f"unknown database {base!r}", "sqlite:///path or postgresql://user@host/db"
    )


class _Worker:
    """One thread with one connection; it groups what waits."""

    def __init__(self, engine: Engine, name: str, *, write: bool) -> None:
        self._engine = engine
        self._write = write
        self._window_ends, self._seen, self._busy = 0.0, 0, False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, unit: Unit[T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(unit, future, loop))
        return future

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection: Connection | None = None
        stopping = False
        while not stopping:
            group, stopping = self._collect()
            if not group:
                continue
            try:
                if connection is None:
                    connection = self._connect()
                self._run_group(connection, group)
            except BaseException as error:
                _discard(connection)
                connection = None
                for job in group:
                    job.error = job.error or _storage_error(error)
            _answer(group)
        _discard(connection)

    def _connect(self) -> Connection:
        return self._engine.connect().execution_options(kefu_write=self._write)

    def _collect(self) -> tuple[list[_Job], bool]:
        first = self._jobs.get()
        if first is None:
            return [], True
        group = [first]
        if self._write and self._busy:
            time.sleep(LINGER_S)
        while len(group) < MAX_GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        self._count(len(group))
        return group, False

    def _count(self, jobs: int) -> None:
        now = time.monotonic()
        self._seen += jobs
        if now >= self._window_ends:
            late = now > self._window_ends + BUSY_WINDOW_S
            self._busy = self._seen >= BUSY_JOBS and not late
            self._window_ends, self._seen = now + BUSY_WINDOW_S, 0

    def _run_group(self, connection: Connection, group: list[_Job]) -> None:
        try:
            with connection.begin():
                for job in group:
                    job.result = job.unit(connection)
            return
        except Exception as error:
            if _is_lost(error):
                raise
            if len(group) > 1:
                log.debug("a group of %d units is run one by one: %r", len(group), error)
        for job in group:
            self._run_alone(connection, job)

    def _run_alone(self, connection: Connection, job: _Job) -> None:
        retrying = Retrying(
            retry=retry_if_exception(_is_conflict),
            stop=stop_after_attempt(5),
            wait=wait_exponential_jitter(multiplier=0.01, max=0.2, jitter=0.02),
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt, connection.begin():
                    job.result = job.unit(connection)
        except Exception as error:
            job.error = _storage_error(error)
            if _is_lost(error):
                raise


def _driver_error(error: BaseException) -> BaseException | None:
    """The driver's own exception, wrapped by SQLAlchemy or (`Statement`) as it was raised."""
    if isinstance(error, DBAPIError):
        return error.orig
    # psycopg is named, not imported: SQLite deployments need not pay 0.13 s for it.
    ours = isinstance(error, sqlite3.Error) or type(error).__module__.startswith("psycopg.")
    return error if ours else None


def _is_conflict(error: BaseException) -> bool:
    found = _driver_error(error)
    if found is None:
        return False
    return getattr(found, "sqlstate", None) in PG_RETRYABLE or "database is locked" in str(found)


def _is_lost(error: BaseException) -> bool:
    """The connection is gone: what it was asked to do did not happen, or nobody can tell."""
    found = _driver_error(error)
    if found is None or isinstance(found, sqlite3.Error):
        return False
    state: str | None = getattr(found, "sqlstate", None)
    if state is None:
        return type(found).__name__ in ("OperationalError", "InterfaceError")
    return state.startswith(("08", "57P", "25P03"))


def _storage_error(error: BaseException) -> BaseException:
    found = _driver_error(error)
    if found is None:
        return error
    wrapped = StorageError(f"{type(found).__name__}: {found}")
    wrapped.__cause__ = error
    return wrapped


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.invalidate()
        with contextlib.suppress(Exception):
            connection.close()


def _answer(group: list[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is gone, and the callers with it
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
