"""Clusters of unknown questions as rows.

Whoever changes clusters takes the next revision first (`take_revision`), so changes come one after
another, and what was computed from older clusters is noticed and computed again.
"""
# ruff: noqa: S608  every f-string of SQL here is made of the constants beside it

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, text

from storage.statements import Statement

ClusterState = Literal["open", "answered", "dismissed"]
EXPIRED, MERGED = "expired", "merged"


@dataclass(frozen=True, slots=True)
class UnassignedQuestion:
    id: int
    content: str
    contact_id: str
    created_at: str


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """``wordings``: JSON list."""

    id: int
    state: ClusterState
    representative: str
    wordings: str
    count: int
    customers: int
    missed: int
    first_at: str
    last_at: str
    entry_id: str | None
    reason: str
    merged_into: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class QuestionRow:
    id: int
    content: str
    contact_id: str
    conversation_id: str
    confidence: float
    created_at: str
    cluster_id: int | None
    moved_from: int | None


_COLUMNS = ", ".join(field.name for field in fields(ClusterRow))
_QUESTION_COLUMNS = ", ".join(field.name for field in fields(QuestionRow))

_REVISION = Statement("SELECT revision FROM learning_revision WHERE id = 1")
_TAKE = Statement(
    "UPDATE learning_revision SET revision = revision + 1 WHERE id = 1 RETURNING revision"
)
_UNASSIGNED = Statement(
    "SELECT id, content, contact_id, created_at FROM unknown_questions"
    " WHERE cluster_id IS NULL ORDER BY id LIMIT :limit"
)
_CHANGED = Statement(
    f"SELECT {_COLUMNS} FROM question_clusters WHERE revision > :seen ORDER BY id",
    sqlite_index="ix_question_clusters_revision",
)
_OPEN = Statement(
    f"SELECT {_COLUMNS} FROM question_clusters WHERE state = 'open'"
    " ORDER BY last_at DESC, id DESC LIMIT :limit"
)
_DECIDED = Statement(
    f"""
    SELECT {_COLUMNS} FROM question_clusters
    WHERE state <> 'open' AND reason NOT IN ('expired', 'merged')
    ORDER BY last_at DESC, id DESC LIMIT :limit
    """
)
_CREATE = Statement(
    """
    INSERT INTO question_clusters (state, representative, wordings, count, customers, missed,
        first_at, last_at, reason, revision)
    VALUES ('open', :representative, :wordings, 0, 0, 0, :at, :at, '', :revision) RETURNING id
    """
)
_KNOWS_CUSTOMER = Statement(
    "SELECT 1 FROM unknown_questions WHERE cluster_id = :cluster AND contact_id = :contact LIMIT 1"
)
_ASSIGN = Statement(
    "UPDATE unknown_questions SET cluster_id = :cluster WHERE id = :id AND cluster_id IS NULL"
)
_COUNT_ONE = Statement(
    """
    UPDATE question_clusters SET count = count + 1, customers = customers + :customers,
        missed = missed + CASE WHEN state = 'answered' THEN 1 ELSE 0 END,
        first_at = CASE WHEN first_at > :at THEN :at ELSE first_at END,
        last_at = CASE WHEN last_at < :at THEN :at ELSE last_at END,
        revision = :revision
    WHERE id = :cluster
    """
)
_DESCRIBE = Statement(
    "UPDATE question_clusters SET representative = :representative, wordings = :wordings,"
    " revision = :revision WHERE id = :cluster"
)
_MOVE_ALL = Statement(
    "UPDATE unknown_questions SET cluster_id = :kept, moved_from = :gone WHERE cluster_id = :gone"
)
_MOVE_BACK = Statement(
    "UPDATE unknown_questions SET cluster_id = :gone, moved_from = NULL"
    " WHERE cluster_id = :kept AND moved_from = :gone"
)
_MOVE_ONE = Statement(
    "UPDATE unknown_questions SET moved_from = cluster_id, cluster_id = :to"
    " WHERE id = :id AND cluster_id IS NOT NULL RETURNING moved_from"
)
_RECOUNT = Statement(
    """
    UPDATE question_clusters SET revision = :revision,
        count = (SELECT COUNT(*) FROM unknown_questions WHERE cluster_id = :cluster),
        customers = (SELECT COUNT(DISTINCT contact_id) FROM unknown_questions
                     WHERE cluster_id = :cluster),
        first_at = COALESCE((SELECT MIN(created_at) FROM unknown_questions
                             WHERE cluster_id = :cluster), first_at),
        last_at = COALESCE((SELECT MAX(created_at) FROM unknown_questions
                            WHERE cluster_id = :cluster), last_at)
    WHERE id = :cluster
    """
)
_SET_MERGED = Statement(
    "UPDATE question_clusters SET state = 'dismissed', reason = 'merged', merged_into = :kept,"
    " revision = :revision WHERE id = :gone"
)
_SET_STATE = Statement(
    """
    UPDATE question_clusters SET state = :state, reason = :reason, entry_id = :entry_id,
        merged_into = NULL, revision = :revision,
        missed = missed * :keep_missed
    WHERE id = :cluster
    """
)
_FIND = Statement(f"SELECT {_COLUMNS} FROM question_clusters WHERE id = :cluster")
_OF_ENTRY = Statement(
    "SELECT id FROM question_clusters WHERE id = :cluster AND entry_id = :entry_id"
)
_CONTENTS = Statement(
    "SELECT content FROM unknown_questions WHERE cluster_id = :cluster ORDER BY id LIMIT :limit"
)
_QUESTION = Statement(f"SELECT {_QUESTION_COLUMNS} FROM unknown_questions WHERE id = :id")
_CLUSTER_ASKED = Statement(
    "SELECT cluster_id FROM unknown_questions WHERE conversation_id = :conversation"
    " AND content = :content AND cluster_id IS NOT NULL ORDER BY id DESC LIMIT 1"
)
_EXPIRE_OLD = Statement(
    "UPDATE question_clusters SET state = 'dismissed', reason = 'expired', revision = :revision"
    " WHERE state = 'open' AND last_at < :before RETURNING id"
)
_EXPIRE_MANY = Statement(
    """
    UPDATE question_clusters SET state = 'dismissed', reason = 'expired', revision = :revision
    WHERE id IN (SELECT id FROM question_clusters WHERE state = 'open'
                 ORDER BY last_at DESC, id DESC LIMIT :all_rows OFFSET :keep) RETURNING id
    """
)
_OPEN_COUNT = Statement(
    "SELECT COUNT(*), COALESCE(MIN(last_at), '') FROM question_clusters WHERE state = 'open'"
)
_ALL_ROWS = 1_000_000_000  # SQLite has no OFFSET without LIMIT


def revision(connection: Connection) -> int:
    row = _REVISION.first(connection, {})
    return int(row[0]) if row else 0


def take_revision(connection: Connection) -> int:
    """The next revision; until the commit no other transaction gets one."""
    row = _TAKE.first(connection, {})
    assert row is not None
    return int(row[0])


def unassigned(connection: Connection, limit: int) -> list[UnassignedQuestion]:
    rows = _UNASSIGNED.all(connection, {"limit": limit})
    return [UnassignedQuestion(*row) for row in rows]


def absorbing(connection: Connection, limit: int) -> list[ClusterRow]:
    """What a question may join: open clusters and those that were decided, ``limit`` of each."""
    rows = [*_OPEN.all(connection, {"limit": limit}), *_DECIDED.all(connection, {"limit": limit})]
    return [ClusterRow(*row) for row in rows]


def changed_since(connection: Connection, seen: int) -> list[ClusterRow]:
    return [ClusterRow(*row) for row in _CHANGED.all(connection, {"seen": seen})]


def create(
    connection: Connection, *, revision: int, representative: str, wordings: Sequence[str], at: str
) -> int:
    values = {"representative": representative, "wordings": _json(wordings)}
    row = _CREATE.first(connection, values | {"at": at, "revision": revision})
    assert row is not None
    return int(row[0])


def assign(
    connection: Connection, question: UnassignedQuestion, cluster_id: int, *, revision: int
) -> bool:
    """Count ``question`` into its cluster; False if it is in one already."""
    who = {"cluster": cluster_id, "contact": question.contact_id}
    known = _KNOWS_CUSTOMER.first(connection, who) is not None
    if not _ASSIGN.run(connection, {"id": question.id, "cluster": cluster_id}):
        return False
    counted = {"cluster": cluster_id, "customers": 0 if known else 1}
    _COUNT_ONE.run(connection, counted | {"at": question.created_at, "revision": revision})
    return True


def describe(
    connection: Connection,
    cluster_id: int,
    *,
    representative: str,
    wordings: Sequence[str],
    revision: int,
) -> None:
    values = {"representative": representative, "wordings": _json(wordings)}
    _DESCRIBE.run(connection, values | {"cluster": cluster_id, "revision": revision})


def merge(connection: Connection, *, kept: int, gone: int, revision: int) -> None:
    _MOVE_ALL.run(connection, {"kept": kept, "gone": gone})
    _SET_MERGED.run(connection, {"kept": kept, "gone": gone, "revision": revision})
    recount(connection, [kept, gone], revision=revision)


def unmerge(connection: Connection, *, kept: int, gone: int, revision: int) -> None:
    _MOVE_BACK.run(connection, {"kept": kept, "gone": gone})
    set_state(connection, gone, "open", revision=revision)
    recount(connection, [kept, gone], revision=revision)


def move(connection: Connection, question_id: int, to: int, *, revision: int) -> int | None:
    """Returns the cluster that the question was in; None if it was in none."""
    row = _MOVE_ONE.first(connection, {"id": question_id, "to": to})
    if row is None:
        return None
    recount(connection, [int(row[0]), to], revision=revision)
    return int(row[0])


def recount(connection: Connection, clusters: Sequence[int], *, revision: int) -> None:
    for cluster in clusters:
        _RECOUNT.run(connection, {"cluster": cluster, "revision": revision})


def set_state(
    connection: Connection,
    cluster_id: int,
    state: ClusterState,
    *,
    revision: int,
    reason: str = "",
    entry_id: str | None = None,
) -> None:
    values: dict[str, Any] = {"cluster": cluster_id, "state": state, "reason": reason}
    values |= {"entry_id": entry_id, "revision": revision}
    values["keep_missed"] = 0 if state == "answered" else 1
    _SET_STATE.run(connection, values)


def reopen_answered(
    connection: Connection, cluster_id: int, entry_id: str, *, revision: int
) -> bool:
    """Open a cluster again whose answer is ``entry_id``; False if another entry answers it."""
    if _OF_ENTRY.first(connection, {"cluster": cluster_id, "entry_id": entry_id}) is None:
        return False
    set_state(connection, cluster_id, "open", revision=revision)
    return True


def expire(connection: Connection, *, before: str, keep: int) -> int:
    """Close open clusters that nobody asked since ``before``, and the oldest beyond ``keep``."""
    row = _OPEN_COUNT.first(connection, {})
    if row is None or (row[0] <= keep and (not row[1] or row[1] >= before)):
        return 0
    taken = {"revision": take_revision(connection)}
    old = _EXPIRE_OLD.all(connection, taken | {"before": before})
    many = _EXPIRE_MANY.all(connection, taken | {"all_rows": _ALL_ROWS, "keep": keep})
    return len(old) + len(many)


def find(connection: Connection, cluster_id: int) -> ClusterRow | None:
    row = _FIND.first(connection, {"cluster": cluster_id})
    return ClusterRow(*row) if row else None


def contents(connection: Connection, cluster_id: int, limit: int) -> list[str]:
    rows = _CONTENTS.all(connection, {"cluster": cluster_id, "limit": limit})
    return [row[0] for row in rows]


def question(connection: Connection, question_id: int) -> QuestionRow | None:
    row = _QUESTION.first(connection, {"id": question_id})
    return QuestionRow(*row) if row else None


def cluster_asked(connection: Connection, conversation_id: str, content: str) -> int | None:
    """The cluster of what was asked in a conversation."""
    values = {"conversation": conversation_id, "content": content}
    row = _CLUSTER_ASKED.first(connection, values)
    return int(row[0]) if row else None


def questions(
    connection: Connection, cluster_id: int, *, limit: int, offset: int
) -> list[QuestionRow]:
    """Of a cluster, the newest first."""
    rows = connection.execute(
        text(
            f"SELECT {_QUESTION_COLUMNS} FROM unknown_questions WHERE cluster_id = :cluster"
            " ORDER BY id DESC LIMIT :limit OFFSET :offset"
        ),
        {"cluster": cluster_id, "limit": limit, "offset": offset},
    )
    return [QuestionRow(*row) for row in rows]


def listing(
    connection: Connection,
    *,
    state: ClusterState | None,
    order: Literal["count", "last_at"],
    min_count: int,
    missed: bool,
    limit: int,
    offset: int,
) -> tuple[int, list[ClusterRow]]:
    """How many there are, and one page. Merged ones are their target's, and not shown."""
    where = ["reason <> 'merged'", "count >= :min_count"]
    values: dict[str, Any] = {"min_count": min_count}
    if state is not None:
        where.append("state = :state")
        values["state"] = state
    if missed:
        where.append("missed > 0")
    condition = " AND ".join(where)
    total = connection.execute(
        text(f"SELECT COUNT(*) FROM question_clusters WHERE {condition}"), values
    )
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM question_clusters WHERE {condition}"
            f" ORDER BY {order} DESC, id DESC LIMIT :limit OFFSET :offset"
        ),
        values | {"limit": limit, "offset": offset},
    )
    return int(total.scalar_one()), [ClusterRow(*row) for row in rows]


def counts(connection: Connection) -> Mapping[str, int]:
    rows = connection.execute(
        text(
            "SELECT state, COUNT(*) FROM question_clusters WHERE reason <> 'merged' GROUP BY state"
        )
    )
    return {row[0]: int(row[1]) for row in rows}


def _json(wordings: Sequence[str]) -> str:
    return json.dumps(list(wordings), ensure_ascii=False)
