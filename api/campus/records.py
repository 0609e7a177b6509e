"""The talk of one user, as seed 002 prints it."""

from datetime import datetime
from typing import Any

from engine.bootstrap import Kefu
from storage import history

ROLES = {"user": "user", "assistant": "ai", "staff": "service"}
LAST = 20
WHOLE = 200
"""Most records of one answer; older ones by `GET /api/chat_records`."""


async def last_records(kefu: Kefu, conversation: str, *, limit: int = LAST) -> list[dict[str, Any]]:
    """The newest ``limit``, oldest first."""
    rows = await kefu.engine.database.read(
        lambda c: history.recent_messages(c, conversation, limit=limit)
    )
    return as_records(kefu, rows)


def as_records(kefu: Kefu, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``time``: in the service's time zone."""
    zone = kefu.settings.zone()
    return [
        {
            "role": ROLES[row["role"]],
            "content": row["content"],
            "time": f"{datetime.fromisoformat(row['received_at']).astimezone(zone):%F %T}",
        }
        for row in rows
    ]
