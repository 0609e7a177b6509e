"""Suggested knowledge as rows: who said what, how often, what became of it.

An act on a suggestion that also changes the knowledge base is begun here (`begin`), done in the
base, and ended here (`end`). Only one can be under way for a suggestion; one whose process died
is found by `stalled` once its time is over.
"""
# ruff: noqa: S608  every f-string of SQL here is made of the constants beside it

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, text

from storage.statements import Statement

SuggestionState = Literal["pending", "approved", "rejected", "dropped", "undone"]
Act = Literal["accept", "undo"]
MAX_WORDINGS = 24


@dataclass(frozen=True, slots=True)
class SuggestionRow:
    """``wordings``, ``flags``, ``target`` and ``previous`` are JSON."""

    id: int
    question: str
    answer: str
    confidence: float
    type: str
    source_session: str
    auto_approved: int
    useful_count: int
    created_at: str
    state: SuggestionState
    source: str
    answered_by: str
    satisfaction: float | None
    given: float | None
    count: int
    wordings: str
    flags: str
    reason: str
    cluster_id: int | None
    entry_id: str | None
    version_id: int | None
    reviewed_by: str
    reviewed_at: str | None
    attempt: int
    question_key: str
    answer_key: str
    target: str | None
    previous: str | None
    busy: str
    busy_by: str
    busy_until: float


@dataclass(frozen=True, slots=True)
class NewSuggestion:
    question: str
    answer: str
    question_key: str
    answer_key: str
    source: str
    answered_by: str
    conversation_id: str
    type: str
    at: str


_COLUMNS = ", ".join(field.name for field in fields(SuggestionRow))

_ADD = Statement(
    f"""
    INSERT INTO learned_knowledge (question, answer, confidence, type, source_session,
        auto_approved, useful_count, created_at, state, source, answered_by, count, wordings, flags,
        reason, reviewed_by, attempt, question_key, answer_key, busy, busy_by, busy_until)
    VALUES (:question, :answer, 0, :type, :conversation_id, 0, 0, :at, 'dropped', :source,
        :answered_by, 0, '[]', '[]', '', '', 0, :question_key, :answer_key, '', '', 0)
    ON CONFLICT (question_key, answer_key) DO UPDATE SET attempt = learned_knowledge.attempt
    RETURNING {_COLUMNS}
    """
)
_SEE = Statement(
    "INSERT INTO learned_sightings (suggestion_id, conversation_id, answered_by, seen_at)"
    " VALUES (:id, :conversation_id, :answered_by, :at) ON CONFLICT DO NOTHING"
)
_JUDGE = Statement(
    f"""
    UPDATE learned_knowledge SET confidence = :confidence, satisfaction = :satisfaction,
        given = :given, count = :count, wordings = :wordings, flags = :flags, reason = :reason,
        state = :state, cluster_id = COALESCE(cluster_id, :cluster_id)
    WHERE id = :id RETURNING {_COLUMNS}
    """
)
_FIND = Statement(f"SELECT {_COLUMNS} FROM learned_knowledge WHERE id = :id")
_BY_ANSWER = Statement(
    f"SELECT {_COLUMNS} FROM learned_knowledge WHERE answer_key = :key ORDER BY id LIMIT :limit"
)
_RIVALS = Statement(
    "SELECT id FROM learned_knowledge WHERE question_key = :question_key"
    " AND answer_key <> :answer_key AND state IN ('pending', 'approved') ORDER BY id LIMIT 5"
)
_BEGIN = Statement(
    f"""
    UPDATE learned_knowledge SET busy = :act, busy_by = :by, busy_until = :until,
        attempt = attempt + 1, target = :target, previous = :previous
    WHERE id = :id AND state = :state AND busy = '' RETURNING {_COLUMNS}
    """
)
_TAKE_OVER = Statement(
    f"""
    UPDATE learned_knowledge SET busy_until = :until
    WHERE id = :id AND attempt = :attempt AND busy <> '' AND busy_until < :now RETURNING {_COLUMNS}
    """
)
_APPROVE = Statement(
    f"""
    UPDATE learned_knowledge SET state = 'approved', version_id = :version_id, busy = '',
        question = :question, answer = :answer, entry_id = :entry_id, reviewed_by = busy_by,
        reviewed_at = :at, auto_approved = :auto, reason = ''
    WHERE id = :id AND attempt = :attempt AND busy = 'accept' RETURNING {_COLUMNS}
    """
)
_UNDONE = Statement(
    f"""
    UPDATE learned_knowledge SET state = 'undone', busy = '', reviewed_by = busy_by,
        reviewed_at = :at, auto_approved = 0
    WHERE id = :id AND attempt = :attempt AND busy = 'undo' RETURNING {_COLUMNS}
    """
)
_RELEASE = Statement(
    "UPDATE learned_knowledge SET busy = '', busy_by = '' WHERE id = :id AND attempt = :attempt"
    " AND busy <> ''"
)
_DECIDE = Statement(
    f"""
    UPDATE learned_knowledge SET state = :state, reason = :reason, reviewed_by = :by,
        reviewed_at = :at
    WHERE id = :id AND state = :before AND busy = '' RETURNING {_COLUMNS}
    """
)
_STALLED = Statement(
    f"SELECT {_COLUMNS} FROM learned_knowledge WHERE busy <> '' AND busy_until < :now"
    " ORDER BY id LIMIT :limit"
)
_UNREVIEWED = Statement(
    f"""
    SELECT {_COLUMNS} FROM learned_knowledge
    WHERE state = 'pending' AND busy = '' AND reviewed_by = '' AND confidence >= :confidence
    ORDER BY id DESC LIMIT :limit
    """
)
_VERSION_OF = Statement(
    """
    SELECT v.id FROM knowledge_changes c JOIN knowledge_versions v ON v.id = c.version_id
    WHERE c.entry_id = :entry_id AND v.note = :note AND v.state = 'done' ORDER BY v.id DESC LIMIT 1
    """
)
_USEFUL = Statement(
    "UPDATE learned_knowledge SET useful_count = useful_count + 1"
    " WHERE entry_id = :entry_id AND state = 'approved'"
)


def add(connection: Connection, new: NewSuggestion) -> SuggestionRow:
    """The row of this pair, made where there is none; nobody else changes it until the commit."""
    row = _ADD.first(
        connection,
        {
            "question": new.question,
            "answer": new.answer,
            "question_key": new.question_key,
            "answer_key": new.answer_key,
            "source": new.source,
            "answered_by": new.answered_by,
            "conversation_id": new.conversation_id,
            "type": new.type,
            "at": new.at,
        },
    )
    assert row is not None
    return SuggestionRow(*row)


def see(
    connection: Connection, suggestion_id: int, *, conversation_id: str, answered_by: str, at: str
) -> bool:
    """Whether this conversation is a new one for the suggestion."""
    values = {"id": suggestion_id, "conversation_id": conversation_id}
    return _SEE.run(connection, values | {"answered_by": answered_by, "at": at}) == 1


def judge(
    connection: Connection,
    suggestion_id: int,
    *,
    confidence: float,
    satisfaction: float | None,
    given: float | None,
    count: int,
    wordings: Sequence[str],
    flags: Sequence[Mapping[str, Any]],
    reason: str,
    state: SuggestionState,
    cluster_id: int | None,
) -> SuggestionRow:
    row = _JUDGE.first(
        connection,
        {
            "id": suggestion_id,
            "confidence": confidence,
            "satisfaction": satisfaction,
            "given": given,
            "count": count,
            "wordings": json.dumps(list(wordings)[:MAX_WORDINGS], ensure_ascii=False),
            "flags": json.dumps([dict(flag) for flag in flags], ensure_ascii=False),
            "reason": reason,
            "state": state,
            "cluster_id": cluster_id,
        },
    )
    assert row is not None
    return SuggestionRow(*row)


def find(connection: Connection, suggestion_id: int) -> SuggestionRow | None:
    return _row(_FIND.first(connection, {"id": suggestion_id}))


def by_answer(connection: Connection, answer_key: str, limit: int) -> list[SuggestionRow]:
    rows = _BY_ANSWER.all(connection, {"key": answer_key, "limit": limit})
    return [SuggestionRow(*row) for row in rows]


def rivals(connection: Connection, question_key: str, answer_key: str) -> list[int]:
    """Suggestions that answer the same question otherwise."""
    rows = _RIVALS.all(connection, {"question_key": question_key, "answer_key": answer_key})
    return [int(row[0]) for row in rows]


def begin(
    connection: Connection,
    suggestion_id: int,
    act: Act,
    *,
    by: str,
    until: float,
    target: str | None,
    previous: str | None,
) -> SuggestionRow | None:
    """None when the suggestion is not in the state for ``act``, or somebody is at it."""
    return _row(
        _BEGIN.first(
            connection,
            {
                "id": suggestion_id,
                "act": act,
                "state": "pending" if act == "accept" else "approved",
                "by": by,
                "until": until,
                "target": target,
                "previous": previous,
            },
        )
    )


def take_over(
    connection: Connection, row: SuggestionRow, *, now: float, until: float
) -> SuggestionRow | None:
    """An act whose time is over is now ours; None when somebody else was faster."""
    values = {"id": row.id, "attempt": row.attempt, "now": now, "until": until}
    return _row(_TAKE_OVER.first(connection, values))


def approve(
    connection: Connection,
    row: SuggestionRow,
    *,
    question: str,
    answer: str,
    entry_id: str,
    version_id: int | None,
    auto: bool,
    at: str,
) -> SuggestionRow | None:
    """None when another process has ended the act."""
    return _row(
        _APPROVE.first(
            connection,
            {
                "id": row.id,
                "attempt": row.attempt,
                "question": question,
                "answer": answer,
                "entry_id": entry_id,
                "version_id": version_id,
                "auto": int(auto),
                "at": at,
            },
        )
    )


def undone(connection: Connection, row: SuggestionRow, *, at: str) -> SuggestionRow | None:
    return _row(_UNDONE.first(connection, {"id": row.id, "attempt": row.attempt, "at": at}))


def release(connection: Connection, row: SuggestionRow) -> bool:
    """Give an act up; the suggestion is as it was."""
    return _RELEASE.run(connection, {"id": row.id, "attempt": row.attempt}) == 1


def decide(
    connection: Connection,
    row: SuggestionRow,
    state: SuggestionState,
    *,
    by: str,
    reason: str,
    at: str,
) -> SuggestionRow | None:
    """A decision that leaves the base alone; None when ``row`` is not as it was read."""
    values = {"id": row.id, "before": row.state, "state": state, "reason": reason}
    return _row(_DECIDE.first(connection, values | {"by": by, "at": at}))


def stalled(connection: Connection, now: float, limit: int) -> list[SuggestionRow]:
    rows = _STALLED.all(connection, {"now": now, "limit": limit})
    return [SuggestionRow(*row) for row in rows]


def unreviewed(connection: Connection, confidence: float, limit: int) -> list[SuggestionRow]:
    """Pending ones that no person has looked at, from ``confidence`` on, the newest first."""
    rows = _UNREVIEWED.all(connection, {"confidence": confidence, "limit": limit})
    return [SuggestionRow(*row) for row in rows]


def version_of(connection: Connection, entry_id: str, note: str) -> int | None:
    """The version of the base that changed ``entry_id`` with this note."""
    row = _VERSION_OF.first(connection, {"entry_id": entry_id, "note": note})
    return int(row[0]) if row else None


def useful(connection: Connection, entry_ids: Sequence[str]) -> None:
    for entry_id in sorted(set(entry_ids)):
        _USEFUL.run(connection, {"entry_id": entry_id})


def listing(
    connection: Connection,
    *,
    state: SuggestionState | None,
    source: str | None,
    cluster_id: int | None,
    flagged: bool,
    limit: int,
    offset: int,
) -> tuple[int, list[SuggestionRow]]:
    """How many there are, and one page, the newest first."""
    where: list[str] = ["flags <> '[]'"] if flagged else []
    values: dict[str, Any] = {}
    for column, wanted in (("state", state), ("source", source), ("cluster_id", cluster_id)):
        if wanted is not None:
            where.append(f"{column} = :{column}")
            values[column] = wanted
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    total = connection.execute(text(f"SELECT COUNT(*) FROM learned_knowledge{condition}"), values)
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM learned_knowledge{condition}"
            " ORDER BY id DESC LIMIT :limit OFFSET :offset"
        ),
        values | {"limit": limit, "offset": offset},
    )
    return int(total.scalar_one()), [SuggestionRow(*row) for row in rows]


def counts(connection: Connection) -> Mapping[str, int]:
    rows = connection.execute(text("SELECT state, COUNT(*) FROM learned_knowledge GROUP BY state"))
    return {row[0]: int(row[1]) for row in rows}


def _row(found: tuple[Any, ...] | None) -> SuggestionRow | None:
    return SuggestionRow(*found) if found is not None else None
