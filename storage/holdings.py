"""What the tables hold of one customer, and by which of their columns it is found.

One list for the export of everything and for erasing it. A table that is in neither `HOLDINGS` nor
`IMPERSONAL` fails `tests/storage/test_customer_erasures.py`: who adds one says which it is.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, text

from storage.customer_counts import person
from storage.history import rows

Of = Literal["contact", "conversation", "turn", "order", "task"]
CHUNK = 400


@dataclass(frozen=True, slots=True)
class Trail:
    """Under which identifiers a person is found. ``contact``: the one that speaks comes first;
    ``sessions``: their keys; ``senders``: channel, account and how that names the person."""

    contact: tuple[str, ...]
    conversation: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    task: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    senders: tuple[tuple[str, str, str], ...] = ()

    def ids(self, of: Of) -> Sequence[Any]:
        found: Sequence[Any] = getattr(self, of)
        return found


@dataclass(frozen=True, slots=True)
class Holding:
    """``by``: columns and whose identifiers they hold. ``erased``: what is written over the columns
    of a row that stays; none: the row goes. ``hidden``: columns that are no customer's affair;
    ``told`` false: none of it is, it is how we work."""

    table: str
    by: tuple[tuple[str, Of], ...]
    erased: Mapping[str, Any] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    told: bool = True


_LEASE: Final = frozenset({"lease_owner", "lease_until", "due_at", "fence", "attempts"})
_CONTACT: Final[tuple[tuple[str, Of], ...]] = (("contact_id", "contact"),)
_TALK: Final[tuple[tuple[str, Of], ...]] = (("conversation_id", "conversation"),)
_TURN: Final[tuple[tuple[str, Of], ...]] = (("turn_id", "turn"),)
_BOTH = (*_CONTACT, *_TALK)
HOLDINGS: Final = (
    Holding("customers", _CONTACT, hidden=_LEASE | {"name_index", "phone_digest"}),
    Holding("customer_days", _CONTACT),
    Holding("customer_tags", _CONTACT),
    Holding("customer_verdicts", _BOTH),
    Holding(
        "deals",
        _CONTACT,
        erased=MappingProxyType({"contact_id": "", "order_id": None, "note": "", "by": ""}),
    ),
    Holding("customer_merges", (("person_id", "contact"), ("other_id", "contact"))),
    Holding("campaign_people", _CONTACT),
    Holding("conversations", (("id", "conversation"),), hidden=_LEASE | {"name_index"}),
    Holding("messages", _TALK),
    Holding("sessions", _BOTH),
    Holding("turns", _TALK, hidden=frozenset({"message_ids"})),
    Holding("turn_records", _TURN, told=False),
    Holding("rule_firings", _TURN, told=False),
    Holding(
        "model_calls", _TURN, erased=MappingProxyType({"turn_id": "", "error": None}), told=False
    ),
    Holding("effects", (*_TURN, *_TALK), told=False),
    Holding("outbox", (*_TALK, *_TURN, ("task_id", "task")), hidden=_LEASE | {"queue"}),
    Holding("dead_letters", _TALK, told=False),
    Holding("checkpoints", (("thread_id", "conversation"),), told=False),
    Holding("checkpoint_writes", (("thread_id", "conversation"),), told=False),
    Holding("handoffs", _BOTH, hidden=frozenset({"previous_agent"})),
    Holding("desk_notes", _TALK),
    Holding("desk_drafts", _TALK),
    Holding("desk_events", _TALK, told=False),
    Holding("reviews", _TALK),
    Holding("unknown_questions", _BOTH),
    Holding("learned_sightings", _TALK, told=False),
    Holding("image_task_events", (("order_id", "order"),)),
    Holding("dispatches", (*_BOTH, ("order_id", "order")), hidden=_LEASE),
    Holding("approvals", _BOTH),
    Holding("image_tasks", _BOTH, hidden=_LEASE),
    Holding("tasks", (("task_id", "task"),), hidden=_LEASE | {"watch_no"}),
)
APART: Final = frozenset(
    {
        *("audit", "learned_knowledge", "question_clusters", "reply_windows", "tool_calls"),
        *("pictures", "picture_sources", "customer_erasures", "campaigns"),
    }
)
"""Tables that `storage.customer_erasures` goes through by itself: what they hold of a customer
stands in texts, or is shared."""
IMPERSONAL: Final = frozenset(
    {
        *("agents", "agent_sessions", "alerts", "alert_events", "callbacks_seen"),
        *("canned_replies", "client_keys", "clients", "counters", "desk_watch", "field_keys"),
        *("figures", "heartbeats", "kf_accounts", "knowledge_changes", "knowledge_entries"),
        *("knowledge_jobs", "knowledge_staged", "knowledge_versions", "learning_revision"),
        *("model_figures", "platform_tokens", "processes", "rule_versions", "sign_in_failures"),
        *("watches",),
    }
)


def trail_of(connection: Connection, contact_id: str) -> Trail | None:
    """None: nobody is known under this contact."""
    whole = person(connection, contact_id)
    if not whole:
        return None
    contacts = tuple(own.contact_id for own in whole)
    talks = _found(
        connection, "conversations", "id, channel, account, sender_id", ("contact_id", contacts)
    )
    conversations = tuple(row["id"] for row in talks)
    senders = {(row["channel"], row["account"], row["sender_id"]) for row in talks}
    senders |= {_parts(contact) for contact in contacts if contact.count(":") >= 2}
    by_talk, by_contact = ("conversation_id", conversations), ("contact_id", contacts)
    orders = [
        *_found(connection, "image_tasks", "id", by_contact),
        *_found(connection, "image_tasks", "id", by_talk),
    ]
    return Trail(
        contacts,
        conversations,
        tuple(row["turn_id"] for row in _found(connection, "turns", "turn_id", by_talk)),
        tuple(sorted({row["id"] for row in orders})),
        _tasks(connection, contacts, senders),
        tuple(row["session_key"] for row in _found(connection, "sessions", "session_key", by_talk)),
        tuple(sorted(senders)),
    )


def page_of(
    connection: Connection, holding: Holding, trail: Trail, *, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Rows of a table that are the person's, in the order of its key. They are found by what there
    are few of: whatever belongs to a turn belongs to a conversation, too."""
    conditions, params = list[str](), dict[str, Any]()
    for column, of in holding.by:
        ids = list(trail.ids(of)) if of != "turn" else []
        if ids:
            conditions.append(f"{column} IN :{column}_ids")
            params[f"{column}_ids"] = ids
    if not conditions:
        return []
    statement = text(
        f"SELECT * FROM {holding.table} WHERE {' OR '.join(conditions)}"  # noqa: S608
        f" ORDER BY {_ORDER.get(holding.table, 'id')} LIMIT :limit OFFSET :offset"
    ).bindparams(*(bindparam(name, expanding=True) for name in params))
    found = connection.execute(statement, params | {"limit": limit, "offset": offset}).mappings()
    return [dict(row) for row in found]


_ORDER: Final = {
    "customer_days": "contact_id, day",
    "customer_tags": "contact_id, tag",
    "turns": "started_ts, turn_id",
    "tasks": "created_ts, task_id",
}


def chunks(ids: Sequence[Any]) -> Iterable[list[Any]]:
    for at in range(0, len(ids), CHUNK):
        yield list(ids[at : at + CHUNK])


def _found(
    connection: Connection, table: str, columns: str, by: tuple[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    column, ids = by
    statement = text(
        f"SELECT {columns} FROM {table} WHERE {column} IN :ids"  # noqa: S608
    ).bindparams(bindparam("ids", expanding=True))
    return [
        dict(row)
        for some in chunks(ids)
        for row in connection.execute(statement, {"ids": some}).mappings()
    ]


def _parts(contact: str) -> tuple[str, str, str]:
    channel, account, sender = contact.split(":", 2)
    return channel, account, sender


def _tasks(
    connection: Connection, contacts: Sequence[str], senders: Iterable[tuple[str, str, str]]
) -> tuple[str, ...]:
    """Tasks for the person. A sender's bare id that somebody else goes by, too, names whoever wrote
    last (`storage.recipients`): such tasks are theirs only if that is them."""
    names = set(contacts)
    for sender in {sender for _, _, sender in senders}:
        latest = rows(
            connection,
            "SELECT contact_id FROM conversations WHERE sender_id = :sender"
            " ORDER BY last_active_at DESC, id LIMIT 1",
            sender=sender,
        )
        if not latest or latest[0]["contact_id"] in names:
            names.add(sender)
    found = [
        *_found(connection, "tasks", "task_id", ("customer_id", sorted(names))),
        *_found(connection, "tasks", "task_id", ("specified_customer_id", sorted(names))),
    ]
    return tuple(sorted({row["task_id"] for row in found}))


def shown(holding: Holding, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as its customer may read it: JSON columns as what they say."""
    kept = {name: value for name, value in row.items() if name not in holding.hidden}
    return {name: _read(value) for name, value in kept.items()}


def _read(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
