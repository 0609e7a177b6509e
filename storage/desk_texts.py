"""What agents write beside the talk: notes on conversations, and canned replies."""

from typing import Any

from sqlalchemy import Connection

from domain.desk import EventKind
from storage import desk_events
from storage.audit import record
from storage.clock import iso
from storage.history import rows
from storage.statements import Statement

_NOTE = Statement(
    "INSERT INTO desk_notes (conversation_id, agent, text, created_at)"
    " VALUES (:conversation_id, :agent, :text, :at) RETURNING id"
)
_ADD = Statement(
    "INSERT INTO canned_replies (shortcut, title, text, skill, updated_at)"
    " VALUES (:shortcut, :title, :text, :skill, :at)"
    " ON CONFLICT (shortcut) DO NOTHING RETURNING id"
)
_TAKEN = Statement("SELECT id FROM canned_replies WHERE shortcut = :shortcut")
_CHANGE = Statement(
    "UPDATE canned_replies SET shortcut = :shortcut, title = :title, text = :text, skill = :skill,"
    " updated_at = :at WHERE id = :id"
)
_DROP = Statement("DELETE FROM canned_replies WHERE id = :id")
_OF = "SELECT n.*, COALESCE(a.name, n.agent) AS agent_name FROM desk_notes n"


def add_note(
    connection: Connection, conversation: str, agent: str, said: str, *, now: float
) -> int:
    values = {"conversation_id": conversation, "agent": agent, "text": said, "at": iso(now)}
    row = _NOTE.first(connection, values)
    assert row is not None
    data = {"note": int(row[0])}
    desk_events.tell(connection, EventKind.NOTE, conversation, now=now, agent=agent, data=data)
    return int(row[0])


def notes(connection: Connection, conversation: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """The newest ones, oldest first."""
    found = rows(
        connection,
        f"{_OF} LEFT JOIN agents a ON a.id = n.agent WHERE n.conversation_id = :id"
        " ORDER BY n.id DESC LIMIT :limit",
        id=conversation,
        limit=limit,
    )
    return found[::-1]


def canned(connection: Connection) -> list[dict[str, Any]]:
    return rows(connection, "SELECT * FROM canned_replies ORDER BY shortcut")


def put_canned(
    connection: Connection, number: int | None, values: dict[str, str], *, by: str, now: float
) -> int | None:
    """``values``: shortcut, title, text, skill. None where another one has that shortcut. Raises
    KeyError for a ``number`` that is none."""
    other = _TAKEN.first(connection, {"shortcut": values["shortcut"]})
    if other is not None and other[0] != number:
        return None
    stored = values | {"at": iso(now)}
    if number is None:
        row = _ADD.first(connection, stored)
        number = int(row[0]) if row is not None else None
    elif _CHANGE.run(connection, stored | {"id": number}) != 1:
        raise KeyError(number)
    _record(connection, "canned.put", number, by, now)
    return number


def drop_canned(connection: Connection, number: int, *, by: str, now: float) -> bool:
    dropped = _DROP.run(connection, {"id": number}) == 1
    if dropped:
        _record(connection, "canned.drop", number, by, now)
    return dropped


def _record(connection: Connection, action: str, number: int | None, by: str, now: float) -> None:
    record(connection, at=iso(now), actor=by, action=action, subject=str(number), detail={})
