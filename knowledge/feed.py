"""Where an index takes its entries from: the database's rows, and the feed of their changes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from knowledge.base import entry_of
from knowledge.documents import Entry
from storage import knowledge as rows
from storage.database import Database


class Change(NamedTuple):
    """``entry``: the newest state, None when it is gone."""

    revision: int
    entry_id: str
    entry: Entry | None


class Source(Protocol):
    """Synchronous: called from an index's own thread."""

    def newest_revision(self) -> int: ...

    def count(self) -> int: ...

    def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        """In the order of their revisions; empty: nothing more."""
        ...

    def entries_after(self, entry_id: str, limit: int) -> Sequence[Entry]:
        """In the order of their ids; "" to begin."""
        ...


class DatabaseSource:
    """Reads with connections of its own, beside the database's queues."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest_revision(self) -> int:
        with self._reading() as connection:
            return rows.newest_revision(connection)

    def count(self) -> int:
        with self._reading() as connection:
            return sum(count for _, count in rows.count_categories(connection))

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        with self._reading() as connection:
            found = rows.changes_since(connection, revision, limit)
        return [
            Change(change.revision, change.entry_id, entry_of(change.row) if change.row else None)
            for change in found
        ]

    def entries_after(self, entry_id: str, limit: int) -> list[Entry]:
        with self._reading() as connection:
            return [entry_of(row) for row in rows.entries_page(connection, entry_id, limit)]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with (
            self._database.engine.connect().execution_options(kefu_write=False) as connection,
            connection.begin(),
        ):
            yield connection
