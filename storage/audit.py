"""The audit log: who did what to what, when, and why."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from storage.statements import Statement

_INSERT = Statement(
    "INSERT INTO audit (at, actor, action, subject, detail)"
    " VALUES (:at, :actor, :action, :subject, :detail)"
)
_CONDITIONS = {
    "actor": "actor = :actor",
    "action": "action = :action",
    "kind": "action LIKE :kind ESCAPE '!'",
    "subject": "subject = :subject",
    "since": "at >= :since",
    "until": "at < :until",
    "before": "id < :before",
}


def record(
    connection: Connection,
    *,
    at: str,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any],
) -> None:
    _INSERT.run(
        connection,
        {
            "at": at,
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": json.dumps(detail, ensure_ascii=False),
        },
    )


def search(
    connection: Connection, wanted: Mapping[str, str | int | None], *, limit: int
) -> list[dict[str, Any]]:
    """Newest first. ``wanted``: actor, action (one, or «client.*»), subject, since and until (as
    `storage.clock.iso` writes them), before (an id); what is None or empty is not asked for."""
    asked = {name: value for name, value in wanted.items() if value not in (None, "")}
    action = asked.get("action")
    if isinstance(action, str) and action.endswith("*"):
        del asked["action"]
        asked["kind"] = _starts_with(action[:-1])
    where = " AND ".join(_CONDITIONS[name] for name in asked) or "1 = 1"
    found = connection.execute(
        text(
            "SELECT id, at, actor, action, subject, detail FROM audit"  # noqa: S608
            f" WHERE {where} ORDER BY id DESC LIMIT :limit"
        ),
        {**asked, "limit": limit},
    )
    return [{**row, "detail": json.loads(row["detail"])} for row in found.mappings()]


def _starts_with(prefix: str) -> str:
    return prefix.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
