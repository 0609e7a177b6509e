"""Messages of one channel, both ways, a page at a time."""

from typing import Any

from sqlalchemy import Connection

from storage.history import rows


def page(
    connection: Connection, channel: str, *, contact: str | None, limit: int, offset: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many there are, and some of them, newest first."""
    where = (
        "FROM messages WHERE channel = :channel"
        " AND (CAST(:contact AS TEXT) IS NULL OR contact_id = :contact)"
    )
    chosen = {"channel": channel, "contact": contact}
    total = rows(connection, f"SELECT COUNT(*) AS n {where}", **chosen)[0]["n"]
    found = rows(
        connection,
        "SELECT id, channel_message_id, contact_id, role, kind, event, content, received_at"
        f" {where} ORDER BY id DESC LIMIT :limit OFFSET :offset",
        **chosen,
        limit=limit,
        offset=offset,
    )
    return int(total), found
