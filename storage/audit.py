"""The audit log: who did what to what, when, and why."""

import json
from typing import Any

from sqlalchemy import Connection

from storage.statements import Statement

_INSERT = Statement(
    "INSERT INTO audit (at, actor, action, subject, detail)"
    " VALUES (:at, :actor, :action, :subject, :detail)"
)


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
