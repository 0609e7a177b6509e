"""Rows that are due by themselves, and the leases under which processes work on them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Connection, bindparam, text

K = TypeVar("K", int, str)


class LeasedRows(Generic[K]):
    """For a book to inherit: a table with the columns due_at, lease_owner and lease_until."""

    _table: ClassVar[str]
    _key: ClassVar[str] = "id"
    _columns: ClassVar[str]
    """What `_claim` returns of a row."""

    def next_due(self, connection: Connection, *, now: float) -> float | None:
        """Of what nobody works on."""
        found: float | None = connection.execute(
            text(
                f"SELECT MIN(due_at) FROM {self._table}"  # noqa: S608
                " WHERE due_at IS NOT NULL AND lease_until < :now"
            ),
            {"now": now},
        ).scalar()
        return found

    def _claim(
        self,
        connection: Connection,
        *,
        owner: str,
        now: float,
        lease_s: float,
        limit: int,
        order: str = "due_at",
        condition: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> list[tuple[Any, ...]]:
        """What is due and nobody works on, taken under a lease. ``condition``: further SQL;
        ``params`` of it, lists for IN."""
        asked = dict(params or {})
        skip = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
        # As a plain sub-query PostgreSQL may run it once per row, locking others each time.
        statement = text(
            f"WITH due AS MATERIALIZED (SELECT {self._key} FROM {self._table}"  # noqa: S608
            f" WHERE due_at <= :now AND lease_until < :now{condition}"
            f" ORDER BY {order} LIMIT :limit{skip})"
            f" UPDATE {self._table} SET lease_owner = :owner, lease_until = :until"
            f" WHERE {self._key} IN (SELECT {self._key} FROM due) RETURNING {self._columns}"
        )
        lists = [name for name, value in asked.items() if isinstance(value, list)]
        statement = statement.bindparams(*(bindparam(name, expanding=True) for name in lists))
        values = {"owner": owner, "until": now + lease_s, "now": now, "limit": limit}
        return [tuple(row) for row in connection.execute(statement, values | asked)]

    def renew(self, connection: Connection, owner: str, keys: Sequence[K], *, until: float) -> None:
        if keys:
            connection.execute(
                text(
                    f"UPDATE {self._table} SET lease_until = :until"  # noqa: S608
                    f" WHERE {self._key} = :key AND lease_owner = :owner"
                ),
                [{"until": until, "key": key, "owner": owner} for key in sorted(keys)],
            )

    def release(self, connection: Connection, owner: str | None = None) -> None:
        """Give up leases: those of ``owner``, or all (after a crash of the only process)."""
        whose = " AND lease_owner = :owner" if owner else ""
        connection.execute(
            text(
                f"UPDATE {self._table} SET lease_owner = NULL, lease_until = 0"  # noqa: S608
                f" WHERE due_at IS NOT NULL AND lease_until > 0{whose}"
            ),
            {"owner": owner} if owner else {},
        )
