"""What is known of a customer whom a member has as a contact."""

import json
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from storage.clock import iso
from storage.statements import Statement

_REMARK = Statement("SELECT remark FROM customers WHERE contact_id = :contact_id")
_NOTED = Statement("SELECT payload FROM effects WHERE key = :key")
_NOTE = Statement(
    "INSERT INTO effects (key, turn_id, conversation_id, kind, payload, created_at)"
    " VALUES (:key, '', '', 'contact', :payload, :at)"
    " ON CONFLICT (key) DO UPDATE SET payload = excluded.payload"
)
_FORGET = Statement("DELETE FROM effects WHERE key = :key")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the platform said of a customer when it was last asked: what differs from it in our own
    rows is our own."""

    remark: str = ""
    tags: tuple[str, ...] = ()


def remark_of(connection: Connection, contact_id: str) -> str:
    """Empty where nothing is known of the customer."""
    row = _REMARK.first(connection, {"contact_id": contact_id})
    return str(row[0] or "") if row is not None else ""


def seen(connection: Connection, contact_id: str) -> Seen:
    row = _NOTED.first(connection, {"key": _seen(contact_id)})
    if row is None:
        return Seen()
    kept = json.loads(row[0])
    return Seen(kept["remark"], tuple(kept["tags"]))


def keep_seen(connection: Connection, contact_id: str, found: Seen, *, now: float) -> None:
    _note(connection, _seen(contact_id), json.dumps(asdict(found), ensure_ascii=False), now)


def was_welcomed(connection: Connection, contact_id: str) -> bool:
    """Since the two became contacts."""
    return _NOTED.first(connection, {"key": _welcomed(contact_id)}) is not None


def keep_welcomed(connection: Connection, contact_id: str, *, now: float) -> None:
    _note(connection, _welcomed(contact_id), "{}", now)


def forget_welcomed(connection: Connection, contact_id: str) -> None:
    """They are contacts no more: should they be again, a welcome is due again."""
    _FORGET.run(connection, {"key": _welcomed(contact_id)})


def _note(connection: Connection, key: str, payload: str, now: float) -> None:
    _NOTE.run(connection, {"key": key, "payload": payload, "at": iso(now)})


def _seen(contact_id: str) -> str:
    return f"contact-seen:{contact_id}"


def _welcomed(contact_id: str) -> str:
    return f"contact-welcomed:{contact_id}"
