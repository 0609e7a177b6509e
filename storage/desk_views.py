"""The desk's lists and one conversation, as rows. Only what is in scope is found."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, text

from domain.desk import EVERYTHING
from storage import customers
from storage.history import rows
from storage.sealed import name_clause, unsealed

_SPOKEN = "(m.kind <> 'event' OR m.content <> '')"
_COLUMNS = """
    c.id AS conversation_id, h.id AS handoff, c.customer_name, c.sender_id, c.contact_id,
    COALESCE(u.level, 'gray') AS level, c.channel, c.account, c.mode,
    COALESCE(h.status, '') AS status, COALESCE(h.priority, '') AS priority,
    COALESCE(h.reason, '') AS reason, COALESCE(h.skill, '') AS skill,
    COALESCE(h.question, '') AS question, COALESCE(h.agent, '') AS agent,
    COALESCE(a.name, h.agent, '') AS agent_name, h.waiting_since_ts, h.asked_ts, h.due_ts,
    h.first_reply_ts, COALESCE(h.outcome, '') AS outcome, h.rating,
    COALESCE(h.mood, '') AS mood
    """
_PEOPLE = """
    LEFT JOIN customers u ON u.contact_id = c.contact_id LEFT JOIN agents a ON a.id = h.agent
    """
_DETAILS = {
    "h": f"FROM handoffs h JOIN conversations c ON c.id = h.conversation_id {_PEOPLE}",
    "c": f"""
        FROM conversations c
        LEFT JOIN handoffs h ON h.conversation_id = c.id AND h.status <> 'closed' {_PEOPLE}
        """,
}
_HANDED = """
    FROM handoffs h JOIN conversations c ON c.id = h.conversation_id
    LEFT JOIN customers u ON u.contact_id = c.contact_id
    """
# `domain.desk.place_key` in SQL.
_PLACE = (
    "CASE WHEN h.priority = 'high' THEN 0 ELSE 1 END",
    "CASE WHEN h.moves > 0 THEN 0 ELSE 1 END",
    "CASE u.level WHEN 'white' THEN 0 WHEN 'black' THEN 2 ELSE 1 END",
    "h.waiting_since_ts",
    "h.id",
)
# Who waits for our word first, the longest first; then who was active last.
_ATTENTION = (
    "CASE WHEN h.asked_ts IS NULL THEN 1 ELSE 0 END",
    "COALESCE(h.asked_ts, -h.active_ts)",
    "h.id",
)
_SEARCHED = """
    AND ({named} OR LOWER(c.sender_id) LIKE :like ESCAPE '\\'
        OR c.id LIKE :like ESCAPE '\\' OR EXISTS (SELECT 1 FROM handoffs q
            WHERE q.conversation_id = c.id AND LOWER(q.question) LIKE :like ESCAPE '\\'))
    """
_LAST = f"""
    SELECT m.conversation_id, m.role, m.content, m.received_at,
        (SELECT COUNT(*) FROM messages n WHERE n.conversation_id = m.conversation_id
            AND n.role = 'user' AND (n.kind <> 'event' OR n.content <> '') AND n.id > COALESCE(
                (SELECT s.id FROM messages s WHERE s.conversation_id = m.conversation_id
                    AND s.role <> 'user' ORDER BY s.id DESC LIMIT 1), 0)) AS unread
    FROM messages m WHERE m.id IN (
        SELECT (SELECT m.id FROM messages m WHERE m.conversation_id = c.id AND {_SPOKEN}
            ORDER BY m.id DESC LIMIT 1) FROM conversations c WHERE c.id IN :ids)
    """  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Kind:
    """``of``: what is listed, hand-overs (h) or conversations (c); ``order``: by what, ``down``:
    the largest first."""

    of: str
    source: str
    where: str
    order: tuple[str, ...]
    down: bool = False


_KINDS = {
    "waiting": _Kind("h", _HANDED, "h.status = 'open'", _PLACE),
    "mine": _Kind("h", _HANDED, "h.status = 'taken' AND h.agent = :agent", _ATTENTION),
    "open": _Kind("h", _HANDED, "h.status <> 'closed'", _ATTENTION),
    "closed": _Kind("h", _HANDED, "h.status = 'closed'", ("h.id",), down=True),
    "all": _Kind("c", "FROM conversations c", "1 = 1", ("c.last_active_at", "c.id"), down=True),
}
KEYS = {name: len(kind.order) for name, kind in _KINDS.items()}
_ESCAPE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """``after``: the keys of the last row of the page before, as many as KEYS says."""

    view: str
    agent: str
    scopes: tuple[str, ...]
    search: str = ""
    channel: str = ""
    limit: int = 50
    after: tuple[Any, ...] | None = None


def scoped(scopes: Collection[str]) -> tuple[str, dict[str, Any]]:
    """A condition on c.channel and c.account, and its parameters."""
    if EVERYTHING in scopes:
        return "1 = 1", {}
    accounts = [one for one in scopes if ":" in one]
    channels = [one for one in scopes if ":" not in one]
    return (
        "(c.channel IN :channels OR c.channel || ':' || c.account IN :accounts)",
        {"channels": channels or [""], "accounts": accounts or [""]},
    )


def page(connection: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """One row more than ``limit`` where there are more; each with ``keys`` for the next page."""
    kind = _KINDS[wanted.view]
    keys = _page_keys(connection, wanted, kind)
    if not keys:
        return []
    details = f"SELECT {_COLUMNS} {_DETAILS[kind.of]} WHERE {kind.of}.id IN :ids"
    found = _found(connection, details, {"ids": list(keys)})
    name = "handoff" if kind.of == "h" else "conversation_id"
    rows = {row[name]: unsealed(connection, row, "customer_name") for row in found}
    return [rows[at] | {"keys": of} for at, of in keys.items() if at in rows]


def _page_keys(connection: Connection, wanted: Wanted, kind: _Kind) -> dict[Any, list[Any]]:
    """Ids of the page with what orders them, before anything is looked up for them."""
    within, params = scoped(wanted.scopes)
    marks = [f":k{at}" for at in range(len(kind.order))]
    way, beyond = (" DESC", "<") if kind.down else ("", ">")
    after = ""
    if wanted.after is not None:
        after = f"AND ({', '.join(kind.order)}) {beyond} ({', '.join(marks)})"
        params |= {f"k{at}": value for at, value in enumerate(wanted.after)}
    searched = ""
    if wanted.search:
        named = name_clause(connection, "c.customer_name", "c.name_index", wanted.search)
        searched, params = _SEARCHED.format(named=named.sql), params | named.params
        params["like"] = f"%{wanted.search.lower().translate(_ESCAPE)}%"
    if wanted.channel:
        params["channel"] = wanted.channel
    if wanted.view == "mine":
        params["agent"] = wanted.agent
    keys = ", ".join(f"{by} AS k{at}" for at, by in enumerate(kind.order))
    found = _found(
        connection,
        f"SELECT {kind.of}.id AS id, {keys}"
        f" {kind.source} WHERE {kind.where} AND {within}"
        f" {'AND c.channel = :channel' if wanted.channel else ''}"
        f" {searched} {after}"
        f" ORDER BY {', '.join(by + way for by in kind.order)} LIMIT :limit",
        params | {"limit": wanted.limit + 1},
    )
    return {row["id"]: [row[f"k{at}"] for at in range(len(kind.order))] for row in found}


def counts(connection: Connection, agent: str, scopes: Collection[str]) -> dict[str, int]:
    within, params = scoped(scopes)
    found = _found(
        connection,
        "SELECT COUNT(*) AS open, COALESCE(SUM(CASE WHEN h.status = 'open' THEN 1 ELSE 0 END), 0)"  # noqa: S608
        " AS waiting, COALESCE(SUM(CASE WHEN h.status = 'taken' AND h.agent = :agent THEN 1"
        " ELSE 0 END), 0) AS mine FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        f" WHERE h.status <> 'closed' AND {within}",
        params | {"agent": agent},
    )
    return {name: int(found[0][name]) for name in ("waiting", "mine", "open")}


def last_words(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By conversation: the last message, and how many of the customer's nobody has answered."""
    if not ids:
        return {}
    found = _found(connection, _LAST, {"ids": list(ids)})
    return {row["conversation_id"]: row for row in found}


def head(connection: Connection, conversation: str) -> dict[str, Any] | None:
    """The conversation itself, with what is known of the customer."""
    found = rows(
        connection,
        "SELECT c.id, c.channel, c.account, c.sender_id, c.contact_id, c.customer_name, c.mode,"
        " COALESCE(u.level, 'gray') AS level, COALESCE(u.score, 60) AS score,"
        " COALESCE(u.state, 'new') AS state, COALESCE(u.total_messages, 0) AS total_messages,"
        " COALESCE(u.remark, '') AS remark, COALESCE(u.name, '') AS known_name"
        " FROM conversations c LEFT JOIN customers u ON u.contact_id = c.contact_id"
        " WHERE c.id = :id",
        id=conversation,
    )
    return unsealed(connection, found[0], "customer_name", "known_name") if found else None


def tags(connection: Connection, contact: str) -> list[str]:
    """Of the person, whichever of their contacts this is."""
    return customers.tags_of(connection, contact)


def messages(
    connection: Connection, conversation: str, *, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The newest older than row ``before``, oldest first; one more than ``limit`` where there are
    more."""
    found = rows(
        connection,
        "SELECT m.id, m.role, m.content, m.kind, m.event, m.received_at, m.status, m.turn_id,"  # noqa: S608
        " m.confidence, m.attachments, m.rag_evidence_ids, m.channel_message_id,"
        " COALESCE(o.status, '') AS delivery FROM messages m"
        " LEFT JOIN outbox o ON o.message_id = m.channel_message_id"
        f" WHERE m.conversation_id = :conversation AND m.id < :before AND {_SPOKEN}"
        " ORDER BY m.id DESC LIMIT :limit",
        conversation=conversation,
        before=before if before is not None else 2**62,
        limit=limit + 1,
    )
    return found[::-1]


def handoffs(connection: Connection, conversation: str, *, limit: int = 10) -> list[dict[str, Any]]:
    """The newest first."""
    return rows(
        connection,
        "SELECT h.*, COALESCE(a.name, h.agent, '') AS agent_name FROM handoffs h"
        " LEFT JOIN agents a ON a.id = h.agent"
        " WHERE h.conversation_id = :id ORDER BY h.id DESC LIMIT :limit",
        id=conversation,
        limit=limit,
    )


def question(connection: Connection, handoff: int) -> str:
    found = rows(connection, "SELECT question FROM handoffs WHERE id = :id", id=handoff)
    return str(found[0]["question"]) if found else ""


def turns(connection: Connection, ids: Collection[str]) -> list[dict[str, Any]]:
    """The newest last."""
    if not ids:
        return []
    return _found(
        connection,
        "SELECT turn_id, status, action, intent, result, error, started_ts FROM turns"
        " WHERE turn_id IN :ids ORDER BY ended_ts, turn_id",
        {"ids": list(ids)},
    )


def pending_draft(connection: Connection, conversation: str) -> dict[str, Any] | None:
    found = rows(
        connection,
        "SELECT * FROM desk_drafts WHERE conversation_id = :id AND status = 'pending'",
        id=conversation,
    )
    return found[0] if found else None


def orders(connection: Connection, contact: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """The customer's orders, the newest first."""
    return rows(
        connection,
        "SELECT id, title, status, workflow, service, quote, designer, priority, deadline_ts,"
        " conversation_id, created_at, updated_at FROM image_tasks WHERE contact_id = :id"
        " ORDER BY id DESC LIMIT :limit",
        id=contact,
        limit=limit,
    )


def _found(connection: Connection, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    statement = _statement(sql, params)
    return [dict(row) for row in connection.execute(statement, params).mappings()]


def _statement(sql: str, params: dict[str, Any]) -> TextClause:
    lists = [name for name, value in params.items() if isinstance(value, list)]
    return text(sql).bindparams(*(bindparam(name, expanding=True) for name in lists))
