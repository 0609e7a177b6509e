"""What is deleted when it is old enough, rule by rule and batch by batch."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.tasks import ENDED
from storage.clock import iso


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of ``table`` that are older than ``kind``'s days. ``old``: SQL with :before (seconds) or
    :before_iso; ``blanked``: columns that are emptied where the row itself is still needed."""

    kind: str
    table: str
    key: str
    old: str
    blanked: tuple[str, ...] = ()


_ENDED = ", ".join(f"'{status.value}'" for status in sorted(ENDED))
RULES = (
    Rule("messages", "messages", "id", "received_at < :before_iso AND status <> 'unread'"),
    Rule(
        "messages",
        "sessions",
        "id",
        "last_active_at < :before_iso AND conversation_thread IS NOT NULL",
    ),
    Rule("messages", "effects", "key", "created_at < :before_iso AND turn_id <> ''"),
    Rule("messages", "desk_notes", "id", "created_at < :before_iso"),
    Rule("messages", "desk_drafts", "id", "created_at < :before_iso AND status <> 'pending'"),
    Rule("messages", "dead_letters", "id", "created_at < :before_iso"),
    Rule(
        "messages",
        "handoffs",
        "id",
        "status = 'closed' AND updated_at < :before_iso AND question <> ''",
        blanked=("question",),
    ),
    Rule(
        "messages",
        "checkpoints",
        "thread_id",
        "thread_id IN (SELECT id FROM conversations"
        " WHERE last_active_at < :before_iso AND due_at IS NULL)",
    ),
    Rule(
        "messages",
        "checkpoint_writes",
        "thread_id",
        "thread_id IN (SELECT id FROM conversations"
        " WHERE last_active_at < :before_iso AND due_at IS NULL)",
    ),
    Rule("turns", "turns", "turn_id", "ended_ts < :before"),
    Rule(
        "questions",
        "unknown_questions",
        "id",
        "created_at < :before_iso AND (cluster_id IS NULL OR cluster_id NOT IN"
        " (SELECT id FROM question_clusters WHERE state = 'open'))",
    ),
    Rule("questions", "reviews", "id", "created_at < :before_iso AND state <> 'open'"),
    Rule("calls", "model_calls", "id", "created_at < :before_iso"),
    Rule("outbox", "outbox", "id", "created_at < :before_iso AND status <> 'pending'"),
    Rule("tasks", "tasks", "task_id", f"created_at < :before_iso AND status IN ({_ENDED})"),
    Rule("audit", "audit", "id", "at < :before_iso"),
)
KINDS = tuple(dict.fromkeys(rule.kind for rule in RULES))


@dataclass(frozen=True, slots=True)
class Old:
    """``rows`` of ``table`` that ``kind``'s days are over for."""

    kind: str
    table: str
    rows: int


def count(connection: Connection, rule: Rule, *, before: float) -> Old:
    found = connection.execute(
        text(f"SELECT COUNT(*) FROM {rule.table} WHERE {rule.old}"),  # noqa: S608
        _params(before),
    )
    return Old(rule.kind, rule.table, int(found.scalar_one()))


def delete(connection: Connection, rule: Rule, *, before: float, limit: int) -> int:
    """At most ``limit`` rows, or of threads; returns how many rows went."""
    chosen = f"SELECT {rule.key} FROM {rule.table} WHERE {rule.old} LIMIT :limit"  # noqa: S608
    emptied = ", ".join(f"{column} = ''" for column in rule.blanked)
    act = f"UPDATE {rule.table} SET {emptied}" if emptied else f"DELETE FROM {rule.table}"  # noqa: S608
    done = connection.execute(
        text(f"{act} WHERE {rule.key} IN ({chosen})"), _params(before) | {"limit": limit}
    )
    return done.rowcount


def _params(before: float) -> dict[str, Any]:
    return {"before": before, "before_iso": iso(before)}
