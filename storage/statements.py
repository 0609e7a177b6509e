"""Statements of the hot path, sent straight to the driver.

A message costs a dozen statements; SQLAlchemy's per-statement work (0.03-0.04 ms each) would be
two thirds of the storage time. The SQL is the same for both databases but for the parameter mark.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

_MARK = re.compile(r"(?<!:):([a-z_]+)")
Row = tuple[Any, ...]
Params = Mapping[str, Any]


class Statement:
    """``sql`` with ``:name`` parameters. Rows come as plain tuples in the order of the columns.

    ``sqlite_index``: for a SELECT from one table where SQLite, which has no statistics, would take
    a worse one.
    """

    def __init__(self, sql: str, *, sqlite_index: str = "") -> None:
        named = f" INDEXED BY {sqlite_index} WHERE " if sqlite_index else " WHERE "
        self._by_dialect = {
            "sqlite": sql.replace(" WHERE ", named, 1),
            "postgresql": _MARK.sub(r"%(\1)s", sql),
        }

    def first(self, connection: Connection, params: Params) -> Row | None:
        cursor = self._run(connection, params)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    def all(self, connection: Connection, params: Params) -> list[Row]:
        cursor = self._run(connection, params)
        rows: list[Row] = cursor.fetchall()
        cursor.close()
        return rows

    def run(self, connection: Connection, params: Params) -> int:
        """Returns the number of rows that changed."""
        cursor = self._run(connection, params)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def run_many(self, connection: Connection, params: Sequence[Params]) -> None:
        if len(params) == 1:
            self.run(connection, params[0])
            return
        cursor = connection.connection.cursor()
        cursor.executemany(self._by_dialect[connection.dialect.name], params)
        cursor.close()

    def _run(self, connection: Connection, params: Params) -> Any:
        cursor = connection.connection.cursor()
        cursor.execute(self._by_dialect[connection.dialect.name], params)
        return cursor
