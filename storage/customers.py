"""Customers: what turns know of them, what people read of them and change by hand.

A person may be several contacts (`storage.customer_merges`): what is said here of a contact holds
for its person, and what is the person's is the same in each of their rows.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Connection, bindparam, text

from domain.customers import Counters, Stage, State
from domain.decisions import CustomerFacts
from domain.tiers import limits_of
from storage.clock import iso
from storage.customer_counts import FAMILY, Own, known, person, refresh
from storage.history import rows
from storage.sealed import digest, digests, name_clause, name_index, seal, unseal, unsealed
from storage.statements import Statement

HOUR_S = 3_600.0
REMEMBERED = "kefu_customers"
"""Option of a database's connections: a `ByteLru` of facts by contact."""
_Row = tuple[str, str, int, str, str]
MAX_TAGS = 100
"""Of a person; further ones are refused."""
SEALED = ("name", "phone", "address")
OWN = frozenset({"name", "remark", "phone", "address"})
"""What a contact has of its own; level and state are the person's."""
_FACTS = Statement(
    "SELECT contact_id, name, level, score, state, total_messages, tags, person_id, aliases"
    " FROM customers WHERE contact_id = :contact_id"
)
_LAST_HOUR = Statement(
    "SELECT COUNT(*) FROM messages WHERE conversation_id = :conversation_id AND role = 'user'"
    " AND kind <> 'event' AND received_ts >= :since AND id > :after"
)
_NEWEST = Statement(
    "SELECT id FROM messages WHERE conversation_id = :conversation_id ORDER BY id DESC"
    " LIMIT 1 OFFSET :skip"
)
_TAG = Statement(
    "INSERT INTO customer_tags (contact_id, tag, added_by, created_at)"
    " VALUES (:contact_id, :tag, :actor, :at) ON CONFLICT (contact_id, tag) DO NOTHING"
)
_UNTAG = Statement("DELETE FROM customer_tags WHERE contact_id = :contact_id AND tag = :tag")
_TAGS = Statement("SELECT tag FROM customer_tags WHERE contact_id = :contact_id")
_ALL_TAGS = Statement(
    f"SELECT DISTINCT tag FROM customer_tags WHERE contact_id IN {FAMILY}"  # noqa: S608
)
_SHOW_TAGS = Statement(
    "UPDATE customers SET tags = :tags, version = version + 1"
    " WHERE (contact_id = :contact_id OR person_id = :contact_id) AND tags <> :tags"
)
_STATE = Statement(
    "UPDATE customers SET state = :state, state_before = :before, version = version + 1"
    " WHERE contact_id = :contact_id OR person_id = :contact_id"
)
_PIN = Statement(
    "UPDATE customers SET pinned = :pinned, version = version + 1"
    " WHERE contact_id = :contact_id OR person_id = :contact_id"
)
_BY_ID = Statement("SELECT contact_id, person_id FROM customers WHERE id = :id")
_SHOWN = (
    "id, contact_id, name, remark, phone, address, level, score, state, state_before, pinned, tags,"
    " person_id, aliases, total_messages, recent_messages, positive, judged, rated,"
    " satisfaction_avg, paid, deals, last_active_at, version"
)


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A contact as it is. ``tags`` are the person's."""

    id: int
    contact_id: str
    name: str
    remark: str
    phone: str
    address: str
    level: str
    score: int
    state: str
    state_before: str
    pinned: str
    tags: tuple[str, ...]
    person_id: str
    aliases: int
    total_messages: int
    recent_messages: int
    positive: int
    judged: int
    rated: int
    satisfaction_avg: float | None
    paid: int
    deals: int
    last_active_at: str
    version: int

    @property
    def counters(self) -> Counters:
        return Counters(
            self.total_messages,
            self.recent_messages,
            self.positive,
            self.judged,
            self.paid,
            self.deals,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which customers. ``after``: last_active_at and id of the last one seen."""

    level: str = ""
    state: str = ""
    tag: str = ""
    search: str = ""
    after: tuple[str, int] | None = None
    limit: int = 50


# What a turn knows ----------------------------------------------------------------------------


def facts(
    connection: Connection, contact_id: str, name: str, *, conversation_id: str, now: float
) -> CustomerFacts:
    """``name``: as the conversation has it."""
    row = _FACTS.first(connection, {"contact_id": contact_id})
    if row is None:
        return CustomerFacts(contact_id=contact_id, name=name)
    _, called, level, score, state, messages, tags, person_id, aliases = row
    if person_id or aliases:
        messages = sum(own.total_messages for own in person(connection, contact_id))
    settled = _settled(connection, contact_id, (called, level, score, state, tags))
    return replace(
        settled,
        name=settled.name or name,
        total_messages=messages,
        last_hour=_last_hour(connection, level, conversation_id, now),
    )


def _settled(connection: Connection, contact_id: str, row: _Row) -> CustomerFacts:
    """What of the facts is only read, not counted. Remembered under the very row that it was read
    from, so that no change by whatever process is missed."""
    remembered = connection.get_execution_options().get(REMEMBERED)
    found = remembered.get(contact_id, row) if remembered is not None else None
    if found is not None:
        return cast(CustomerFacts, found)
    called, level, score, state, tags = row
    read = CustomerFacts(
        contact_id,
        unseal(connection, called),
        level,
        score,
        state,
        tags=tuple(json.loads(tags)),
    )
    if remembered is not None:
        remembered.put(contact_id, read, row)
    return read


def _last_hour(connection: Connection, level: str, conversation_id: str, now: float) -> int:
    """Counted where there is a limit, and no further than just over it: it is asked each time."""
    most = limits_of(level).messages_per_hour
    if most is None:
        return 0
    of = {"conversation_id": conversation_id}
    # The customer's may be half of what was said; more than that cannot matter.
    oldest = _NEWEST.first(connection, of | {"skip": 4 * most})
    since = {"since": now - HOUR_S, "after": oldest[0] if oldest is not None else 0}
    found = _LAST_HOUR.first(connection, of | since)
    return int(found[0]) if found is not None else 0


# Changes by hand ------------------------------------------------------------------------------


def edit(
    connection: Connection, contact_id: str, changes: Mapping[str, str], *, now: float
) -> None:
    """``changes``: any of name, remark, phone, address (the contact's), state and pinned (the
    person's)."""
    known(connection, contact_id, now=now)
    own = {name: value for name, value in changes.items() if name in OWN}
    if own:
        values = _stored(connection, own)
        sets = ", ".join(f"{column} = :{column}" for column in values)
        connection.execute(
            text(
                f"UPDATE customers SET {sets}, version = version + 1"  # noqa: S608
                " WHERE contact_id = :contact_id"
            ),
            values | {"contact_id": contact_id},
        )
    speaker = person(connection, contact_id)[0]
    if "state" in changes:
        _set_state(connection, speaker, State(changes["state"]))
    if "pinned" in changes:
        pinned = {"pinned": changes["pinned"], "contact_id": speaker.contact_id}
        _PIN.run(connection, pinned)
        refresh(connection, contact_id)


def _stored(connection: Connection, own: Mapping[str, str]) -> dict[str, str]:
    values = {k: seal(connection, v) if k in SEALED else v for k, v in own.items()}
    if "name" in own:
        values["name_index"] = name_index(connection, own["name"])
    if "phone" in own:
        values["phone_digest"] = digest(connection, own["phone"]) if own["phone"] else ""
    return values


def _set_state(connection: Connection, speaker: Own, state: State) -> None:
    now_is = speaker.stage
    stage = Stage(state, now_is.before if state is State.CHURN else state)
    if state is State.CHURN and now_is.state is not State.CHURN:
        stage = Stage(state, now_is.state)
    _STATE.run(
        connection,
        {
            "state": stage.state.value,
            "before": stage.before.value,
            "contact_id": speaker.contact_id,
        },
    )


def tag(
    connection: Connection,
    contact_id: str,
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    actor: str,
    now: float,
) -> tuple[str, ...]:
    """The person's tags after that, in order. ``remove``: from each of their contacts."""
    known(connection, contact_id, now=now)
    at = iso(now)
    for one in add:
        values = {"contact_id": contact_id, "tag": one, "actor": actor, "at": at}
        _TAG.run(connection, values)
    whole = person(connection, contact_id)
    for own in whole if remove else ():
        for one in remove:
            _UNTAG.run(connection, {"contact_id": own.contact_id, "tag": one})
    return show_tags(connection, whole)


def tags_of(connection: Connection, contact_id: str) -> list[str]:
    """The person's, in order."""
    return sorted(row[0] for row in _ALL_TAGS.all(connection, {"contact_id": contact_id}))


def show_tags(connection: Connection, whole: Sequence[Own]) -> tuple[str, ...]:
    """Bring the rows of a person to what `customer_tags` says."""
    found = {
        str(row[0])
        for own in whole
        for row in _TAGS.all(connection, {"contact_id": own.contact_id})
    }
    tags = sorted(found)
    if whole:
        shown = json.dumps(tags, ensure_ascii=False)
        _SHOW_TAGS.run(connection, {"tags": shown, "contact_id": whole[0].contact_id})
    return tuple(tags)


# Reading --------------------------------------------------------------------------------------


def contact_of(connection: Connection, customer_id: int) -> str | None:
    """The contact that speaks for the person whom ``customer_id`` is one of."""
    row = _BY_ID.first(connection, {"id": customer_id})
    return (row[1] or row[0]) if row is not None else None


def contacts(connection: Connection, contact_id: str) -> list[CustomerRow]:
    """Every contact of the person, the one that speaks for all first."""
    ids = [own.contact_id for own in person(connection, contact_id)]
    if not ids:
        return []
    found = connection.execute(
        text(f"SELECT {_SHOWN} FROM customers WHERE contact_id IN :ids").bindparams(  # noqa: S608
            bindparam("ids", expanding=True)
        ),
        {"ids": ids},
    ).mappings()
    by_contact = {row["contact_id"]: _row(connection, dict(row)) for row in found}
    return [by_contact[one] for one in ids]


def listed(connection: Connection, wanted: Wanted) -> list[CustomerRow]:
    """Persons, the last active first."""
    conditions, params = ["c.person_id = ''"], dict[str, Any]()
    for column in ("level", "state"):
        if value := getattr(wanted, column):
            conditions.append(f"c.{column} = :{column}")
            params[column] = value
    if wanted.tag:
        conditions.append("c.tags LIKE :tag ESCAPE '\\'")
        params["tag"] = f"%{_plain(json.dumps(wanted.tag, ensure_ascii=False))}%"
    if wanted.search:
        found, values = _matches(connection, wanted.search)
        conditions.append(found)
        params |= values
    if wanted.after is not None:
        conditions.append("(c.last_active_at, c.id) < (:seen_at, :seen_id)")
        params |= {"seen_at": wanted.after[0], "seen_id": wanted.after[1]}
    shown = ", ".join(f"c.{column.strip()}" for column in _SHOWN.split(","))
    page = rows(
        connection,
        f"SELECT {shown} FROM customers c WHERE {' AND '.join(conditions)}"  # noqa: S608
        " ORDER BY c.last_active_at DESC, c.id DESC LIMIT :limit",
        **params,
        limit=wanted.limit,
    )
    return [_row(connection, row) for row in page]


def _matches(connection: Connection, search: str) -> tuple[str, dict[str, Any]]:
    """Any contact of the person: its name, its id or remark in part, its telephone as a whole."""
    name = name_clause(connection, "m.name", "m.name_index", search)
    phones = {f"phone_{at}": one for at, one in enumerate(digests(connection, search))}
    among = ", ".join(f":{mark}" for mark in phones)
    says = "m.contact_id LIKE :found ESCAPE '\\' OR m.remark LIKE :found ESCAPE '\\'"
    speaker = "CASE m.person_id WHEN '' THEN m.contact_id ELSE m.person_id END"
    condition = f"{name.sql} OR m.phone_digest IN ({among}) OR {says}"
    found = f"c.contact_id IN (SELECT {speaker} FROM customers m WHERE {condition})"  # noqa: S608
    return found, {**name.params, **phones, "found": f"%{_plain(search)}%"}


def _plain(text_: str) -> str:
    """Signs that mean nothing to LIKE."""
    return text_.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(connection: Connection, found: Mapping[str, Any]) -> CustomerRow:
    values = unsealed(connection, found, *SEALED)
    return CustomerRow(**values | {"tags": tuple(json.loads(values["tags"]))})
