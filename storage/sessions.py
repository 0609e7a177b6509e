"""Sessions as rows: lists, one with its dialogue, and what the desk says of how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.errors import NotFound
from domain.sessions import ENDS, Life, Outcome, life_of
from storage.clock import iso
from storage.history import rows
from storage.sealed import unseal
from storage.statements import Statement

MAX_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Empty: any. ``since`` and ``until``: of the last message, seconds; ``before``: the id after
    which a page begins, downwards."""

    conversation_id: str = ""
    contact_id: str = ""
    life: Life | None = None
    outcome: Outcome | None = None
    satisfaction: int | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: int
    session_key: str
    conversation_id: str
    contact_id: str
    customer_name: str
    outcome: str
    satisfaction: int | None
    turns: int
    tokens: int
    created_at: str
    last_active_at: str
    life: Life
    latest: bool
    """Whether the conversation has none after it."""


_COLUMNS = """
    s.id, s.session_key, s.conversation_id, s.contact_id, s.customer_name,
    s.conversation_outcome AS outcome, s.satisfaction_score AS satisfaction, s.turn_count AS turns,
    s.total_tokens AS tokens, s.created_at, s.last_active_at,
    NOT EXISTS (SELECT 1 FROM sessions n WHERE n.conversation_id = s.conversation_id
        AND n.id > s.id) AS latest
"""
# Of a conversation the newest that had begun by then: who marks a talk may do so in the next one.
_AT = (
    "id = (SELECT MAX(id) FROM sessions"
    " WHERE conversation_id = :conversation AND created_at <= :at)"
)
_ENDED = Statement(f"UPDATE sessions SET conversation_outcome = :outcome WHERE {_AT}")  # noqa: S608
_RATED = Statement(f"UPDATE sessions SET satisfaction_score = :rating WHERE {_AT}")  # noqa: S608
_RESOLVED = Statement("SELECT conversation_id, resolved_ts FROM handoffs WHERE id = :id")


def listed(connection: Connection, wanted: Wanted, *, now: float) -> list[SessionRow]:
    """The newest first."""
    terms, params = _terms(wanted, now)
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    sql = f"SELECT {_COLUMNS} FROM sessions s{where} ORDER BY s.id DESC LIMIT :limit"  # noqa: S608
    return [_row(connection, one, now) for one in rows(connection, sql, **params)]


def find(connection: Connection, session: int, *, now: float) -> SessionRow:
    """Raises NotFound."""
    sql = f"SELECT {_COLUMNS} FROM sessions s WHERE s.id = :id"  # noqa: S608
    found = rows(connection, sql, id=session)
    if not found:
        raise NotFound("session_id", str(session))
    return _row(connection, found[0], now)


def dialogue(
    connection: Connection, session_key: str, *, limit: int = MAX_MESSAGES
) -> list[dict[str, Any]]:
    """The last ``limit`` messages, oldest first."""
    found = rows(
        connection,
        "SELECT id, role, content, received_at FROM messages WHERE session_key = :key"
        " AND (kind <> 'event' OR content <> '') ORDER BY id DESC LIMIT :limit",
        key=session_key,
        limit=limit,
    )
    return found[::-1]


def ended(connection: Connection, conversation: str, outcome: Outcome, *, now: float) -> None:
    """What a person says of the talk that has just ended counts for the session it was in."""
    values = {"conversation": conversation, "outcome": outcome.value, "at": iso(now)}
    _ENDED.run(connection, values)


def rated(connection: Connection, handoff: int, rating: int, *, now: float) -> None:
    """The customer's mark is for the session in which the talk at the desk was resolved."""
    row = _RESOLVED.first(connection, {"id": handoff})
    if row is not None:
        at = iso(row[1] if row[1] is not None else now)
        _RATED.run(connection, {"conversation": row[0], "rating": rating, "at": at})


def _terms(wanted: Wanted, now: float) -> tuple[list[str], dict[str, Any]]:
    params: dict[str, Any] = {"limit": wanted.limit}
    terms: list[str] = []

    def add(term: str, name: str, value: Any) -> None:
        terms.append(term)
        params[name] = value

    if wanted.conversation_id:
        add("s.conversation_id = :conversation", "conversation", wanted.conversation_id)
    if wanted.contact_id:
        add("s.contact_id = :contact", "contact", wanted.contact_id)
    if wanted.outcome is not None:
        add("s.conversation_outcome = :outcome", "outcome", wanted.outcome.value)
    if wanted.satisfaction is not None:
        add("s.satisfaction_score = :satisfaction", "satisfaction", wanted.satisfaction)
    if wanted.since is not None:
        add("s.last_active_at >= :since", "since", iso(wanted.since))
    if wanted.until is not None:
        add("s.last_active_at < :until", "until", iso(wanted.until))
    if wanted.before is not None:
        add("s.id < :before", "before", wanted.before)
    if wanted.life is not None:
        _lives(wanted.life, now, add)
    return terms, params


def _lives(life: Life, now: float, add: Callable[[str, str, Any], None]) -> None:
    """As `domain.sessions.life_of` has it: a stage begins to the second, EXPIRED after it."""
    stages = list(Life)
    began = ENDS[stages[stages.index(life) - 1]] if life is not Life.ACTIVE else None
    if began is not None:
        sign = "<" if life is Life.EXPIRED else "<="
        add(f"s.last_active_at {sign} :stage_from", "stage_from", iso(now - began))
    if life in ENDS:
        sign = ">=" if life is Life.DORMANT else ">"
        add(f"s.last_active_at {sign} :stage_to", "stage_to", iso(now - ENDS[life]))


def _row(connection: Connection, found: dict[str, Any], now: float) -> SessionRow:
    silent = now - datetime.fromisoformat(found["last_active_at"]).timestamp()
    name = unseal(connection, found["customer_name"])
    return SessionRow(
        **found | {"customer_name": name, "latest": bool(found["latest"])}, life=life_of(silent)
    )
