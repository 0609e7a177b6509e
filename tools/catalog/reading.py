"""What the tools read: small, bounded, one unit a call."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from storage.customers import tags_of
from storage.history import rows
from storage.sealed import unsealed

_CUSTOMER = (
    "SELECT contact_id, name, remark, level, score, state, total_messages, last_active_at"
    " FROM customers WHERE contact_id = :contact"
)
_WORK = (
    "SELECT id, title, requirement, status, images, created_at FROM image_tasks"
    " WHERE contact_id = :contact ORDER BY id DESC LIMIT :limit"
)
_SAID = (
    "SELECT id, role, kind, content, received_at FROM messages"
    " WHERE conversation_id = :conversation AND id < :before ORDER BY id DESC LIMIT :limit"
)
_ASKED = (
    "SELECT content FROM messages WHERE conversation_id = :conversation AND role = 'user'"
    " AND content <> '' ORDER BY id DESC LIMIT 1"
)
_MODE = "SELECT mode FROM conversations WHERE id = :conversation"
_HANDOFFS = (
    "SELECT h.id, h.conversation_id, h.contact_id, c.name, h.reason, h.priority, h.target,"
    " h.question, h.status, h.agent, h.created_at"
    " FROM handoffs h LEFT JOIN customers c ON c.contact_id = h.contact_id"
    " WHERE h.status = :status AND h.id < :before ORDER BY h.id DESC LIMIT :limit"
)
LATEST_ID = 2**53 - 1
"""Above every row's id, and whole in every JSON reader."""


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """``row`` is empty for somebody who has not written yet."""

    row: dict[str, Any]
    tags: tuple[str, ...]
    mode: str


def customer(connection: Connection, contact: str, conversation: str) -> KnownCustomer:
    found = rows(connection, _CUSTOMER, contact=contact)
    tags = tuple(tags_of(connection, contact))
    modes = rows(connection, _MODE, conversation=conversation)
    known = unsealed(connection, found[0], "name") if found else {}
    return KnownCustomer(known, tags, modes[0]["mode"] if modes else "bot")


def said(
    connection: Connection, conversation: str, *, limit: int, before: int
) -> list[dict[str, Any]]:
    """The newest ``limit`` messages that are older than row ``before``, oldest first."""
    found = rows(connection, _SAID, conversation=conversation, limit=limit, before=before)
    return found[::-1]


def last_asked(connection: Connection, conversation: str) -> str:
    """The customer's latest words, or nothing."""
    found = rows(connection, _ASKED, conversation=conversation)
    return str(found[0]["content"]) if found else ""


def picture_work(connection: Connection, contact: str, *, limit: int) -> list[dict[str, Any]]:
    return rows(connection, _WORK, contact=contact, limit=limit)


def handoffs(
    connection: Connection, *, status: str, limit: int, before: int
) -> list[dict[str, Any]]:
    found = rows(connection, _HANDOFFS, status=status, limit=limit, before=before)
    return [unsealed(connection, one, "name") for one in found]
