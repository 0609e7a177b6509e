"""All rows of a database as files, and back: of one moment, the same on SQLite and PostgreSQL.

A line of a file is a row, a JSON array in the order of the table's columns. What JSON has no word
for is an object: ``{"b": base64}`` are bytes, ``{"f": "inf"}`` a number that is none.
"""

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import StorageError
from storage.migrate import HEAD, current_revision, upgrade_to

ROWS_AT_ONCE = 1_000
SUFFIX = ".jsonl.gz"
_REVISION = "alembic_version"
Progress = Callable[[str, int], None]
"""Of a table: how many of its rows are done."""


@dataclass(frozen=True, slots=True)
class TableCopy:
    """``counter``: the number after which its next row is numbered; 0: rows name themselves."""

    name: str
    columns: tuple[str, ...]
    rows: int
    counter: int = 0


@dataclass(frozen=True, slots=True)
class RowsCopy:
    """``revision``: of the schema."""

    revision: str
    tables: tuple[TableCopy, ...]


def copy_out(engine: Engine, folder: Path, progress: Progress) -> RowsCopy:
    """Every table as it was at one moment, while others go on to write. Raises StorageError."""
    folder.mkdir(parents=True)
    options: dict[str, Any] = {"kefu_write": False}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with engine.connect().execution_options(**options) as connection, connection.begin():
            _without_hurry(connection)
            revision = current_revision(connection)
            if revision is None:
                raise StorageError("the database has no tables of ours")
            tables = [
                _copy_table(connection, table, folder, progress) for table in _tables(connection)
            ]
            return RowsCopy(revision, tuple(tables))
    except (SQLAlchemyError, OSError) as error:
        raise StorageError(f"rows cannot be copied: {type(error).__name__}: {error}") from error


def copy_in(engine: Engine, copy: RowsCopy, folder: Path, progress: Progress) -> None:
    """In place of whatever the database holds, in one transaction: tables of the copy's own
    revision, its rows, then the migrations since. Raises StorageError; then nothing is changed."""
    if copy.revision > HEAD:
        raise StorageError(f"the copy is of a newer version: {copy.revision}, not {HEAD}")
    try:
        with engine.begin() as connection:
            _without_hurry(connection)
            _drop_all(connection)
            upgrade_to(connection, copy.revision)
            tables = {table.name: table for table in _tables(connection)}
            for name in sorted(tables.keys() ^ {one.name for one in copy.tables}):
                raise StorageError(f"the copy does not fit revision {copy.revision}: {name!r}")
            for table in tables.values():
                connection.execute(table.delete())  # what the migrations themselves put there
            told = {one.name: one for one in copy.tables}
            for name, table in tables.items():
                _fill(connection, table, told[name], folder, progress)
            upgrade_to(connection, "head")
    except (SQLAlchemyError, OSError, ValueError, KeyError) as error:
        raise StorageError(f"rows cannot be restored: {type(error).__name__}: {error}") from error


def anything_in(engine: Engine) -> list[str]:
    """Names of tables that hold rows, but for what the migrations put there."""
    with engine.connect().execution_options(kefu_write=False) as connection:
        if current_revision(connection) is None:
            return sorted(inspect(connection).get_table_names())
        found = [
            table.name
            for table in _tables(connection)
            if connection.execute(select(table).limit(1)).first() is not None
        ]
    return sorted(set(found) - _filled_by_migrations()) if found else []


def others_connected(engine: Engine) -> int:
    """Other connections to the same PostgreSQL database; SQLite does not know."""
    if engine.dialect.name != "postgresql":
        return 0
    others = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with engine.connect() as connection:
        return int(connection.execute(others).scalar_one())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filled_by_migrations() -> frozenset[str]:
    """Found by asking an empty database, so that no list here has to be kept."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            upgrade_to(connection, "head")
            return frozenset(
                table.name
                for table in _tables(connection)
                if connection.execute(select(table).limit(1)).first() is not None
            )
    finally:
        engine.dispose()


def _tables(connection: Connection) -> list[Table]:
    """Those that others refer to first."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name != _REVISION)
    return list(found.sorted_tables)


def _without_hurry(connection: Connection) -> None:
    """Time passes between two statements while files are written."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _copy_table(
    connection: Connection, table: Table, folder: Path, progress: Progress
) -> TableCopy:
    query = select(table).order_by(*table.primary_key.columns)
    rows = connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
    count = 0
    with gzip.open(folder / f"{table.name}{SUFFIX}", "wb", compresslevel=1) as file:
        for part in rows.partitions():
            file.write(b"".join(orjson.dumps([_told(v) for v in row]) + b"\n" for row in part))
            count += len(part)
            progress(table.name, count)
    columns = tuple(str(column.name) for column in table.columns)
    return TableCopy(str(table.name), columns, count, _counter(connection, table))


def _fill(
    connection: Connection, table: Table, copy: TableCopy, folder: Path, progress: Progress
) -> None:
    columns = [table.columns[name].name for name in copy.columns]
    count = 0
    with gzip.open(folder / f"{table.name}{SUFFIX}", "rb") as file:
        while lines := list(islice(file, ROWS_AT_ONCE)):
            rows = [dict(zip(columns, _row(line), strict=True)) for line in lines]
            connection.execute(insert(table), rows)
            count += len(rows)
            progress(table.name, count)
    stored = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if not count == stored == copy.rows:
        raise StorageError(f"{table.name!r} has {stored} rows instead of {copy.rows}")
    _set_counter(connection, table, copy.counter)


def _row(line: bytes) -> Iterator[Any]:
    return (_untold(value) for value in orjson.loads(line))


def _told(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, float) and value - value != 0:  # orjson would say null
        return {"f": str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise StorageError(f"a {type(value).__name__} has no place in a copy")


def _untold(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return base64.b64decode(value["b"]) if "b" in value else float(value["f"])


def _counter(connection: Connection, table: Table) -> int:
    """A number that was given once is not given again, though its row is gone."""
    key = _numbered(table)
    if key is None:
        return 0
    if connection.dialect.name == "postgresql":
        name = _sequence(connection, table, key)
        if name is None:
            return 0
        last, used = connection.execute(text(f"SELECT last_value, is_called FROM {name}")).one()  # noqa: S608 - quoted by PostgreSQL
        return int(last) if used else 0
    return int(connection.execute(select(func.max(table.columns[key]))).scalar() or 0)


def _set_counter(connection: Connection, table: Table, counter: int) -> None:
    key = _numbered(table)
    if key is None or connection.dialect.name != "postgresql":
        return
    name = _sequence(connection, table, key)
    if name is None:
        return
    highest = int(connection.execute(select(func.max(table.columns[key]))).scalar() or 0)
    last = max(highest, counter)
    connection.execute(
        text("SELECT setval(:name, :value, :used)"),
        {"name": name, "value": max(last, 1), "used": last > 0},
    )


def _numbered(table: Table) -> str | None:
    keys: Sequence[Any] = list(table.primary_key.columns)
    one = keys[0] if len(keys) == 1 else None
    return str(one.name) if one is not None and one.type.python_type is int else None


def _sequence(connection: Connection, table: Table, key: str) -> str | None:
    quoted = connection.dialect.identifier_preparer.quote(table.name)
    found = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, :key)"), {"table": quoted, "key": key}
    )
    name: str | None = found.scalar()
    return name


def _drop_all(connection: Connection) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)
