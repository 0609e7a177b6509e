"""What the console's pages list: rows of conversations, and only those in the reader's scopes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, text

from domain.desk import EVERYTHING, in_scope
from domain.errors import NotFound
from storage.sealed import name_clause, unsealed

MAX_FOUND_CHARS = 400
_ESCAPE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


@dataclass(frozen=True, slots=True)
class Page:
    """``more``: there is another page after this one."""

    items: tuple[dict[str, Any], ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Slice:
    scopes: tuple[str, ...]
    limit: int = 50
    offset: int = 0


def deliveries(connection: Connection, part: Slice, status: str | None) -> Page:
    """The outbox, the newest first; staff notices and callbacks for who sees everything."""
    return _page(
        connection,
        "SELECT o.id, o.message_id, o.kind, o.channel, o.account, o.conversation_id, o.status,"
        " o.attempts, o.last_error, o.payload, o.created_at, o.delivered_at, v.customer_name,"
        " v.sender_id FROM outbox o LEFT JOIN conversations v ON v.id = o.conversation_id"
        " WHERE (CAST(:status AS TEXT) IS NULL OR o.status = :status)",
        "ORDER BY o.id DESC",
        part,
        status=status,
    )


def dead_letters(connection: Connection, part: Slice, status: str | None) -> Page:
    """Messages whose turn kept failing, the newest first."""
    return _page(
        connection,
        "SELECT d.id, d.conversation_id, d.message_ids, d.error, d.attempts, d.status,"
        " d.created_at, d.replayed_at, v.customer_name, v.sender_id, v.channel, v.account"
        " FROM dead_letters d LEFT JOIN conversations v ON v.id = d.conversation_id"
        " WHERE (CAST(:status AS TEXT) IS NULL OR d.status = :status)",
        "ORDER BY d.id DESC",
        part,
        status=status,
    )


def approvals(connection: Connection, part: Slice, status: str | None) -> Page:
    """Numbers of quotes that wait for, or got, a person's word; the newest first."""
    return _page(
        connection,
        "SELECT a.id, v.customer_name, v.sender_id, v.channel FROM approvals a"
        " LEFT JOIN conversations v ON v.id = a.conversation_id"
        " WHERE (CAST(:status AS TEXT) IS NULL OR a.status = :status)",
        "ORDER BY a.id DESC",
        part,
        status=status,
    )


def orders(connection: Connection, part: Slice, statuses: Sequence[str], search: str) -> Page:
    """Numbers of orders, the newest first. ``search``: in the title, the requirement, the number
    and the customer's name."""
    known = "AND o.status IN :statuses" if statuses else ""
    named = name_clause(connection, "v.customer_name", "v.name_index", search)
    return _page(
        connection,
        "SELECT o.id, v.customer_name, v.sender_id, v.channel FROM image_tasks o"  # noqa: S608
        " LEFT JOIN conversations v ON v.id = o.conversation_id WHERE (:search = ''"
        " OR CAST(o.id AS TEXT) = :search OR LOWER(o.title) LIKE :like ESCAPE '\\'"
        " OR LOWER(o.requirement) LIKE :like ESCAPE '\\'"
        f" OR {named.sql}) {known}",
        "ORDER BY o.id DESC",
        part,
        search=search,
        like=_like(search),
        **named.params,
        **({"statuses": list(statuses)} if statuses else {}),
    )


def messages(connection: Connection, part: Slice, search: str) -> Page:
    """Messages that say ``search``, the newest first."""
    return _page(
        connection,
        "SELECT m.id, m.conversation_id, m.role, m.received_at,"  # noqa: S608
        f" SUBSTR(m.content, 1, {MAX_FOUND_CHARS}) AS content,"
        " v.customer_name, v.sender_id, v.channel"
        " FROM messages m JOIN conversations v ON v.id = m.conversation_id"
        " WHERE LOWER(m.content) LIKE :like ESCAPE '\\'",
        "ORDER BY m.id DESC",
        part,
        like=_like(search),
    )


def customers(connection: Connection, part: Slice, search: str) -> Page:
    """Conversations of customers called so, the last active first."""
    named = name_clause(connection, "v.customer_name", "v.name_index", search)
    return _page(
        connection,
        "SELECT v.id AS conversation_id, v.customer_name, v.sender_id, v.channel, v.mode,"  # noqa: S608
        f" v.last_active_at FROM conversations v WHERE ({named.sql}"
        " OR LOWER(v.sender_id) LIKE :like ESCAPE '\\' OR v.id = :search)",
        "ORDER BY v.last_active_at DESC, v.id",
        part,
        like=_like(search),
        search=search,
        **named.params,
    )


def counts(connection: Connection, scopes: Collection[str]) -> dict[str, int]:
    """What waits for a person's act: pending approvals, dead deliveries and parked messages."""
    scoped, params = _scoped(scopes)
    sql = (
        "SELECT (SELECT COUNT(*) FROM approvals a LEFT JOIN conversations v"  # noqa: S608
        f" ON v.id = a.conversation_id WHERE a.status = 'pending' AND {scoped}),"
        " (SELECT COUNT(*) FROM outbox o LEFT JOIN conversations v ON v.id = o.conversation_id"
        f" WHERE o.status = 'dead' AND {scoped}),"
        " (SELECT COUNT(*) FROM dead_letters d LEFT JOIN conversations v"
        f" ON v.id = d.conversation_id WHERE d.status = 'parked' AND {scoped})"
    )
    row = connection.execute(_statement(sql, params), params).one()
    return {"approvals": int(row[0]), "deliveries": int(row[1]), "parked": int(row[2])}


def require(
    connection: Connection, table: str, number: int, scopes: Collection[str], field: str
) -> None:
    """Raises NotFound for a row of an outbox, approval, order or dead letter that is not there, and
    for one that is none of the reader's."""
    row = connection.execute(
        text(
            f"SELECT v.channel, v.account FROM {_TABLES[table]} o"  # noqa: S608
            " LEFT JOIN conversations v ON v.id = o.conversation_id WHERE o.id = :id"
        ),
        {"id": number},
    ).first()
    everything = EVERYTHING in scopes
    if row is None or not (everything or in_scope(scopes, row[0] or "", row[1] or "")):
        raise NotFound(field, str(number))


_TABLES = {
    "delivery": "outbox",
    "dead_letter": "dead_letters",
    "approval": "approvals",
    "order": "image_tasks",
}


def _page(connection: Connection, sql: str, order: str, part: Slice, **params: Any) -> Page:
    scoped, scope_params = _scoped(part.scopes)
    values = {**params, **scope_params, "limit": part.limit + 1, "offset": part.offset}
    statement = _statement(f"{sql} AND {scoped} {order} LIMIT :limit OFFSET :offset", values)
    found = connection.execute(statement, values).mappings()
    rows = [unsealed(connection, dict(row), "customer_name") for row in found]
    return Page(tuple(rows[: part.limit]), len(rows) > part.limit)


def _statement(sql: str, values: dict[str, Any]) -> TextClause:
    many = [name for name, value in values.items() if isinstance(value, list)]
    return text(sql).bindparams(*(bindparam(name, expanding=True) for name in many))


def _scoped(scopes: Collection[str]) -> tuple[str, dict[str, Any]]:
    if EVERYTHING in scopes:
        return "1 = 1", {}
    condition = "(v.channel IN :scopes OR v.channel || ':' || v.account IN :scopes)"
    return condition, {"scopes": list(scopes)}


def _like(search: str) -> str:
    return f"%{search.lower().translate(_ESCAPE)}%"
