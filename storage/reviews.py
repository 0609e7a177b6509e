"""Turns that can be opened again, and what people said of their answers."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, text

from domain.errors import InvalidInput, NotFound
from storage.audit import record
from storage.clock import iso
from storage.history import rows
from storage.sealed import keys_of, unsealed
from storage.statements import Statement

ReviewState = Literal["open", "fixed", "dismissed"]
SETTLED: tuple[ReviewState, ...] = ("fixed", "dismissed")
_LEVEL = 1
"""Of packing: three quarters of the best for a tenth of its time."""


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """``base``: the serialised checkpoint that the turn began with, and its ``base_kind``;
    ``body``: JSON. Both as they are before packing."""

    turn_id: str
    at_ts: float
    body: bytes
    base_kind: str = ""
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """As `storage.review_tables.ReviewRow` says."""

    id: int
    turn_id: str
    conversation_id: str
    channel: str
    account: str
    state: ReviewState
    fault: str
    note: str
    question: str
    answer: str
    correct: str
    suggestion_id: int | None
    regression: str
    agent: str
    created_at: str
    settled_by: str
    settled_at: str | None


@dataclass(frozen=True, slots=True)
class NewReview:
    turn_id: str
    conversation_id: str
    channel: str
    account: str
    fault: str
    note: str
    question: str
    answer: str
    correct: str
    suggestion_id: int | None
    agent: str


_KEEP = Statement(
    """
    INSERT INTO turn_records (turn_id, at_ts, base_kind, base, body)
    VALUES (:turn_id, :at_ts, :base_kind, :base, :body)
    """
)
_RECORD = Statement(
    "SELECT turn_id, at_ts, body, base_kind, base FROM turn_records WHERE turn_id = :turn_id"
)
_COLUMNS = ", ".join(field.name for field in fields(Review))
_FIND = f"SELECT {_COLUMNS} FROM reviews WHERE id = :id"  # noqa: S608 - constant text
_OF_TURN = f"SELECT {_COLUMNS} FROM reviews WHERE turn_id = :turn ORDER BY id"  # noqa: S608


def packed(kept: TurnRecord) -> dict[str, Any]:
    """What `keep_record` writes: made before the transaction, which others wait for."""
    return {
        "turn_id": kept.turn_id,
        "at_ts": kept.at_ts,
        "base_kind": kept.base_kind,
        "base": zlib.compress(kept.base, _LEVEL) if kept.base is not None else None,
        "body": zlib.compress(kept.body, _LEVEL),
    }


def keep_record(connection: Connection, values: Mapping[str, Any]) -> None:
    """In the turn's transaction; ``values``: as `packed` makes them. Sealed: it holds what the
    customer said, and the prompts with it."""
    keys, base = keys_of(connection), values["base"]
    sealed = keys.seal_bytes(base) if base is not None else None
    _KEEP.run(connection, {**values, "body": keys.seal_bytes(values["body"]), "base": sealed})


def find_record(connection: Connection, turn_id: str) -> TurnRecord | None:
    row = _RECORD.first(connection, {"turn_id": turn_id})
    keys = keys_of(connection)
    body = keys.unseal_bytes(bytes(row[2])) if row is not None else None
    if row is None or body is None:
        return None
    base = keys.unseal_bytes(bytes(row[4])) if row[4] is not None else None
    unpacked = zlib.decompress(base) if base is not None else None
    return TurnRecord(row[0], row[1], zlib.decompress(body), row[3], unpacked)


def forget_records(connection: Connection, *, before: float, limit: int) -> int:
    """Of turns that ended before an instant; returns how many went."""
    gone = connection.execute(
        text(
            "DELETE FROM turn_records WHERE turn_id IN (SELECT turn_id FROM turn_records"
            " WHERE at_ts < :before ORDER BY at_ts LIMIT :limit)"
        ),
        {"before": before, "limit": limit},
    )
    return gone.rowcount


# Reviews ---------------------------------------------------------------------------------------


def add(connection: Connection, new: NewReview, *, now: float) -> Review:
    values = {field.name: getattr(new, field.name) for field in fields(NewReview)}
    row = connection.execute(
        text(
            "INSERT INTO reviews (turn_id, conversation_id, channel, account, state, fault, note,"  # noqa: S608
            " question, answer, correct, suggestion_id, regression, agent, created_at, settled_by)"
            " VALUES (:turn_id, :conversation_id, :channel, :account, 'open', :fault, :note,"
            " :question, :answer, :correct, :suggestion_id, '', :agent, :at, '')"
            f" RETURNING {_COLUMNS}"
        ),
        values | {"at": iso(now)},
    ).one()
    made = Review(*row)
    detail = {"turn": new.turn_id, "fault": new.fault, "suggestion": new.suggestion_id}
    _audit(connection, made.id, "marked", new.agent, now, detail)
    return made


def get(connection: Connection, review: int) -> Review:
    """Raises NotFound."""
    row = connection.execute(text(_FIND), {"id": review}).first()
    if row is None:
        raise NotFound("review_id", str(review))
    return Review(*row)


def of_turn(connection: Connection, turn_id: str) -> list[Review]:
    return [Review(*row) for row in connection.execute(text(_OF_TURN), {"turn": turn_id})]


def settle(
    connection: Connection, review: int, state: ReviewState, *, by: str, now: float
) -> Review:
    """Fixed or dismissed, or open again. Raises NotFound, and InvalidInput (409) where it is so
    already."""
    before = get(connection, review)
    if before.state == state:
        raise InvalidInput("review_id", f"状态已是 {state}", status=409)
    settled = state in SETTLED
    row = connection.execute(
        text(
            "UPDATE reviews SET state = :state, settled_by = :by, settled_at = :at"  # noqa: S608
            f" WHERE id = :id RETURNING {_COLUMNS}"
        ),
        {
            "state": state,
            "by": by if settled else "",
            "at": iso(now) if settled else None,
            "id": review,
        },
    ).one()
    _audit(connection, review, state, by, now, {})
    return Review(*row)


def note_regression(connection: Connection, turn_id: str, name: str) -> None:
    """Of all that was said of a turn: its conversation is kept under this name."""
    connection.execute(
        text("UPDATE reviews SET regression = :name WHERE turn_id = :turn"),
        {"name": name, "turn": turn_id},
    )


def listed(
    connection: Connection,
    *,
    state: ReviewState | None,
    fault: str | None,
    scopes: Sequence[str] | None,
    limit: int,
    offset: int,
) -> tuple[int, list[Review]]:
    """How many there are, and one page of them, the newest first. ``scopes``: «channel» or
    «channel:account», None: everything."""
    where, params = ["1 = 1"], dict[str, Any]()
    for column, value in (("state", state), ("fault", fault)):
        if value is not None:
            where.append(f"{column} = :{column}")
            params[column] = value
    where.append(_within(scopes, params))
    condition = f" FROM reviews WHERE {' AND '.join(where)}"
    total = connection.execute(text(f"SELECT COUNT(*){condition}"), params).scalar_one()
    page = rows(
        connection,
        f"SELECT {_COLUMNS}{condition} ORDER BY id DESC LIMIT :limit OFFSET :offset",
        **params,
        limit=limit,
        offset=offset,
    )
    return int(total), [Review(**row) for row in page]


def counts(connection: Connection, *, scopes: Sequence[str] | None) -> dict[str, int]:
    """By state."""
    params = dict[str, Any]()
    condition = _within(scopes, params)
    found = connection.execute(
        text(f"SELECT state, COUNT(*) FROM reviews WHERE {condition} GROUP BY state"),  # noqa: S608
        params,
    )
    known = {row[0]: int(row[1]) for row in found}
    return {state: known.get(state, 0) for state in ("open", *SETTLED)}


def _within(scopes: Sequence[str] | None, params: dict[str, Any]) -> str:
    """The condition that a row is in one of ``scopes``, whose values go to ``params``."""
    if scopes is None:
        return "1 = 1"
    names = {f"scope{at}": scope for at, scope in enumerate(scopes)}
    params |= names
    marks = ", ".join(f":{name}" for name in names) or "NULL"
    return f"(channel IN ({marks}) OR channel || ':' || account IN ({marks}))"


def _audit(
    connection: Connection, review: int, what: str, actor: str, now: float, detail: dict[str, Any]
) -> None:
    record(
        connection,
        at=iso(now),
        actor=actor,
        action=f"review.{what}",
        subject=f"review:{review}",
        detail=detail,
    )


# What a turn was -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SaidMessage:
    """A customer's message of a turn. ``attachments``: kind and url."""

    id: int
    text: str
    kind: str
    event: str
    attachments: tuple[dict[str, str], ...]
    received_at: str


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """A committed turn, with its conversation. ``result``: the answer as it was given."""

    turn_id: str
    conversation_id: str
    channel: str
    account: str
    contact_id: str
    customer_name: str
    level: str
    status: str
    action: str
    intent: str
    result: dict[str, Any]
    error: str | None
    started_ts: float
    ended_ts: float
    session_key: str
    messages: tuple[SaidMessage, ...]


def turn_facts(connection: Connection, turn_id: str) -> TurnFacts | None:
    row = connection.execute(
        text(
            "SELECT t.turn_id, t.conversation_id, c.channel, c.account, c.contact_id,"
            " COALESCE(NULLIF(p.name, ''), c.customer_name) AS customer_name,"
            " COALESCE(p.level, 'gray') AS level, t.status, t.action, t.intent, t.result, t.error,"
            " t.started_ts, t.ended_ts FROM turns t"
            " JOIN conversations c ON c.id = t.conversation_id"
            " LEFT JOIN customers p ON p.contact_id = c.contact_id WHERE t.turn_id = :turn"
        ),
        {"turn": turn_id},
    ).first()
    if row is None:
        return None
    said = rows(
        connection,
        "SELECT id, content, kind, event, attachments, received_at, session_key FROM messages"
        " WHERE conversation_id = :conversation AND turn_id = :turn AND role = 'user' ORDER BY id",
        conversation=row.conversation_id,
        turn=turn_id,
    )
    facts = unsealed(connection, dict(row._mapping), "customer_name")
    session = next((one["session_key"] for one in said if one["session_key"]), "")
    return TurnFacts(
        **facts | {"result": json.loads(facts["result"])},
        session_key=session,
        messages=tuple(_said(one) for one in said),
    )


def turns_until(
    connection: Connection, facts: TurnFacts, *, limit: int
) -> list[tuple[dict[str, Any], tuple[SaidMessage, ...]]]:
    """The turns of ``facts``' session up to it, the oldest first, at most ``limit``: the answer as
    it was given, and what the customer said for it."""
    last = facts.messages[-1].id if facts.messages else 0
    said = rows(
        connection,
        "SELECT m.id, m.content, m.kind, m.event, m.attachments, m.received_at, m.turn_id, t.result"
        " FROM messages m JOIN turns t ON t.turn_id = m.turn_id"
        " WHERE m.conversation_id = :conversation AND m.session_key = :session"
        " AND m.role = 'user' AND m.id <= :last ORDER BY m.id",
        conversation=facts.conversation_id,
        session=facts.session_key,
        last=last,
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for one in said:
        found.setdefault(one["turn_id"], []).append(one)
    return [
        (json.loads(messages[0]["result"]), tuple(map(_said, messages)))
        for messages in list(found.values())[-limit:]
    ]


def _said(row: Mapping[str, Any]) -> SaidMessage:
    attachments = json.loads(row["attachments"]) if row["attachments"] else []
    return SaidMessage(
        row["id"],
        row["content"],
        row["kind"],
        row["event"],
        tuple(attachments),
        row["received_at"],
    )
