"""What stands beside a customer in other tables, for who opens one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, TextClause, bindparam, text

from domain.errors import InvalidInput
from storage.customer_counts import person
from storage.customer_merges import MergeRow, merges_of


def _of_contacts(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("ids", expanding=True))


_TALKS = _of_contacts(
    "SELECT id, channel, account, mode, last_active_at FROM conversations WHERE contact_id IN :ids"
    " ORDER BY last_active_at DESC, id LIMIT :limit"
)
_ORDERS = _of_contacts(
    "SELECT id, title, status, created_at FROM image_tasks WHERE contact_id IN :ids"
    " ORDER BY id DESC LIMIT :limit"
)
_DEALS = _of_contacts(
    "SELECT key, amount, order_id, note, by, at, cancelled_at FROM deals WHERE contact_id IN :ids"
    " ORDER BY id DESC LIMIT :limit"
)
_VERDICTS = _of_contacts(
    "SELECT key, conversation_id, rating, outcome, by, at FROM customer_verdicts"
    " WHERE contact_id IN :ids ORDER BY id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Beside:
    """Plain rows, the newest first."""

    talks: Sequence[dict[str, Any]]
    orders: Sequence[dict[str, Any]]
    deals: Sequence[dict[str, Any]]
    verdicts: Sequence[dict[str, Any]]
    merges: Sequence[MergeRow]


def beside(connection: Connection, contacts: Sequence[str], *, limit: int) -> Beside:
    """``contacts``: of one person, the one that speaks for all first."""
    values = {"ids": list(contacts), "limit": limit}
    talks, orders, deals, verdicts = (
        [dict(row) for row in connection.execute(statement, values).mappings()]
        for statement in (_TALKS, _ORDERS, _DEALS, _VERDICTS)
    )
    return Beside(talks, orders, deals, verdicts, merges_of(connection, contacts[0]))


def require_theirs(
    connection: Connection,
    table: Literal["deals", "customer_verdicts"],
    key: str,
    contact_id: str,
) -> bool:
    """Whether there is such a row of the person's. Raises InvalidInput (409) where it is of
    somebody else's."""
    row = connection.execute(
        text(f"SELECT contact_id FROM {table} WHERE key = :key"),  # noqa: S608
        {"key": key},
    ).first()
    if row is None:
        return False
    if row[0] not in {own.contact_id for own in person(connection, contact_id)}:
        raise InvalidInput("key", "这个编号已用于另一位客户", status=409)
    return True
