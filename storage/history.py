"""Reading what happened: history, hand-overs, dead letters, counts. Everything is paged."""

from typing import Any

from sqlalchemy import Connection, text

from storage.clock import iso
from storage.statements import Statement

_ROW_OF = Statement(
    "SELECT id FROM messages WHERE channel = :channel AND account = :account"
    " AND channel_message_id = :key"
)


def rows(connection: Connection, sql: str, **params: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(sql), params).mappings()]


def recent_messages(
    connection: Connection, conversation: str, *, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Newest ``limit`` messages of a conversation (older than row ``before``), oldest first. An
    event, such as an approval, is a row of the inbox and no part of the talk."""
    found = rows(
        connection,
        "SELECT id, role, content, received_at, confidence, turn_id, channel_message_id"
        " FROM messages WHERE conversation_id = :conversation AND id < :before"
        " AND (kind <> 'event' OR content <> '') ORDER BY id DESC LIMIT :limit",
        conversation=conversation,
        before=before if before is not None else 2**62,
        limit=limit,
    )
    return found[::-1]


def message_row(connection: Connection, channel: str, account: str, key: str) -> int | None:
    """Of the message that the channel knows as ``key``."""
    found = _ROW_OF.first(connection, {"channel": channel, "account": account, "key": key})
    return int(found[0]) if found is not None else None


def messages_between(
    connection: Connection,
    conversation: str,
    *,
    since: str,
    until: str,
    limit: int,
    offset: int,
) -> tuple[int, list[dict[str, Any]]]:
    """How many messages came from ``since`` to before ``until`` (ISO 8601 in UTC), and one page of
    them, newest first."""
    where = (
        " FROM messages WHERE conversation_id = :conversation"
        " AND received_at >= :since AND received_at < :until"
        " AND (kind <> 'event' OR content <> '')"
    )
    params = {"conversation": conversation, "since": since, "until": until}
    total = connection.execute(text("SELECT COUNT(*)" + where), params).scalar_one()
    found = rows(
        connection,
        "SELECT id, role, content, received_at" + where + " ORDER BY id DESC"
        " LIMIT :limit OFFSET :offset",
        **params,
        limit=limit,
        offset=offset,
    )
    return int(total), found


def handoffs(
    connection: Connection, *, status: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    return rows(
        connection,
        "SELECT * FROM handoffs WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)"
        " ORDER BY id DESC LIMIT :limit OFFSET :offset",
        status=status,
        limit=limit,
        offset=offset,
    )


def dead_letters(
    connection: Connection, *, status: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    return rows(
        connection,
        "SELECT * FROM dead_letters WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)"
        " ORDER BY id DESC LIMIT :limit OFFSET :offset",
        status=status,
        limit=limit,
        offset=offset,
    )


def deliveries(
    connection: Connection, *, status: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    return rows(
        connection,
        "SELECT id, message_id, kind, channel, account, conversation_id, status, attempts,"
        " last_error, created_at, delivered_at FROM outbox"
        " WHERE (CAST(:status AS TEXT) IS NULL OR status = :status)"
        " ORDER BY id DESC LIMIT :limit OFFSET :offset",
        status=status,
        limit=limit,
        offset=offset,
    )


def backlog(connection: Connection, *, now: float) -> dict[str, float]:
    """Counts and ages (s) for metrics: unread conversations, pending and dead deliveries."""
    row = connection.execute(
        text(
            "SELECT (SELECT COUNT(*) FROM conversations WHERE due_at IS NOT NULL),"
            " (SELECT MIN(first_unread_ts) FROM conversations WHERE due_at IS NOT NULL),"
            " (SELECT COUNT(*) FROM outbox WHERE status = 'pending'),"
            " (SELECT COUNT(*) FROM outbox WHERE status = 'dead'),"
            " (SELECT COUNT(*) FROM dead_letters WHERE status = 'parked'),"
            " (SELECT COUNT(*) FROM handoffs WHERE status = 'open')"
        )
    ).one()
    return {
        "conversations_unread": row[0],
        "oldest_unread_seconds": max(0.0, now - row[1]) if row[1] else 0.0,
        "deliveries_pending": row[2],
        "deliveries_dead": row[3],
        "messages_parked": row[4],
        "handoffs_open": row[5],
    }


def model_calls(
    connection: Connection, *, turn_id: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    return rows(
        connection,
        "SELECT * FROM model_calls WHERE (CAST(:turn AS TEXT) IS NULL OR turn_id = :turn)"
        " ORDER BY id DESC LIMIT :limit OFFSET :offset",
        turn=turn_id,
        limit=limit,
        offset=offset,
    )


def tokens_by_provider(connection: Connection, *, since: float) -> dict[str, int]:
    """Tokens that each provider's calls used since an instant, for daily budgets."""
    found = connection.execute(
        text(
            "SELECT provider, SUM(tokens_in + tokens_out) FROM model_calls"
            " WHERE created_at >= :since GROUP BY provider"
        ),
        {"since": iso(since)},
    )
    return {row[0]: int(row[1]) for row in found}
