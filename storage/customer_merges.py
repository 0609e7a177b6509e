"""One person who came by several channels: contacts are linked, nothing is rewritten.

The contact that speaks for the person has the others as aliases (`customers.person_id`). Their
conversations, orders, deals and ratings stay where they are and are read together, so that a merge
can be undone without guessing what was whose.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.customers import Stage, State, as_bought, joined
from domain.errors import InvalidInput, NotFound
from storage.audit import record
from storage.clock import iso
from storage.customer_counts import Own, person, refresh
from storage.customers import show_tags
from storage.history import rows
from storage.statements import Statement

MAX_CONTACTS = 50
"""Of one person."""
_LINK = Statement(
    "UPDATE customers SET person_id = :person_id, aliases = 0, version = version + 1"
    " WHERE contact_id = :contact_id"
)
_SPEAKS = Statement(
    "UPDATE customers SET aliases = :aliases, person_id = '', version = version + 1"
    " WHERE contact_id = :contact_id"
)
_RESTORE = Statement(
    "UPDATE customers SET state = :state, state_before = :before, pinned = :pinned,"
    " version = version + 1 WHERE contact_id = :contact_id"
)
_MERGE = Statement(
    "INSERT INTO customer_merges (person_id, other_id, moved, before, by, at, undone_by)"
    " VALUES (:person_id, :other_id, :moved, :before, :by, :at, '') RETURNING id"
)
_UNDO = Statement(
    "UPDATE customer_merges SET undone_by = :by, undone_at = :at WHERE id = :id AND undone_at IS"
    " NULL RETURNING person_id, other_id, moved, before"
)
# The oldest first, everywhere: two merges that meet wait for each other.
_HOLD = Statement("UPDATE customers SET version = version + 1 WHERE contact_id = :contact_id")


@dataclass(frozen=True, slots=True)
class MergeRow:
    """``other_id`` and ``moved`` became ``person_id``; ``undone_at``: empty while they are."""

    id: int
    person_id: str
    other_id: str
    moved: tuple[str, ...]
    by: str
    at: str
    undone_by: str
    undone_at: str | None


def merge(connection: Connection, one: str, other: str, *, actor: str, now: float) -> MergeRow:
    """``other`` is ``one``, who speaks for both from now on. Raises NotFound, and InvalidInput
    (409) where they are the same person already or would be too many."""
    for contact in sorted({one, other}):
        _HOLD.run(connection, {"contact_id": contact})
    stays, comes = _of(connection, one), _of(connection, other)
    speaker, joins = stays[0].contact_id, comes[0].contact_id
    if speaker == joins:
        raise InvalidInput("other", "两位客户已经合并", status=409)
    if len(stays) + len(comes) > MAX_CONTACTS:
        raise InvalidInput("other", f"一位客户最多 {MAX_CONTACTS} 个联系人", status=409)
    before = {own.contact_id: _kept(own) for own in (*stays, *comes)}
    for own in comes:
        _LINK.run(connection, {"person_id": speaker, "contact_id": own.contact_id})
    aliases = len(stays) + len(comes) - 1
    _SPEAKS.run(connection, {"aliases": aliases, "contact_id": speaker})
    stage = joined([stays[0].stage, comes[0].stage])
    _stand(connection, [*stays, *comes], stage, stays[0].pinned or comes[0].pinned)
    moved = [own.contact_id for own in comes]
    made = {"person_id": speaker, "other_id": joins, "moved": moved, "by": actor, "at": iso(now)}
    row = _MERGE.first(connection, made | {"moved": _json(moved), "before": _json(before)})
    assert row is not None
    _noted(connection, "customer.merge", speaker, {"other": joins, "merge": row[0]}, actor, now)
    return MergeRow(row[0], speaker, joins, tuple(moved), actor, iso(now), "", None)


def unmerge(connection: Connection, merge_id: int, *, actor: str, now: float) -> MergeRow:
    """The contacts that came by this merge leave again, as a person of their own; what was bought
    and said since counts for whose contact it was. Raises NotFound, and InvalidInput (409) where it
    was undone before or the person is a part of another since."""
    found = _UNDO.first(connection, {"id": merge_id, "by": actor, "at": iso(now)})
    if found is None:
        if not rows(connection, "SELECT 1 FROM customer_merges WHERE id = :id", id=merge_id):
            raise NotFound("merge", str(merge_id))
        raise InvalidInput("merge", "这次合并已经撤销", status=409)
    speaker, joins, moved, before = found[0], found[1], json.loads(found[2]), json.loads(found[3])
    for contact in sorted([speaker, *moved]):
        _HOLD.run(connection, {"contact_id": contact})
    whole = {own.contact_id: own for own in _of(connection, speaker)}
    leave = [whole[contact] for contact in moved if contact in whole]
    if next(iter(whole)) != speaker or joins not in whole:
        raise InvalidInput("merge", "请先撤销之后的合并", status=409)
    for own in leave:
        person_id = "" if own.contact_id == joins else joins
        _LINK.run(connection, {"person_id": person_id, "contact_id": own.contact_id})
    _SPEAKS.run(connection, {"aliases": len(leave) - 1, "contact_id": joins})
    _SPEAKS.run(connection, {"aliases": len(whole) - len(leave) - 1, "contact_id": speaker})
    stay = len(whole) - len(leave)
    for contact in (joins,) if stay > 1 else (speaker, joins):
        _stand_as_before(connection, contact, before[contact])
    if stay > 1:
        show_tags(connection, person(connection, speaker))
        refresh(connection, speaker)
    detail = {"other": joins, "merge": merge_id}
    _noted(connection, "customer.unmerge", speaker, detail, actor, now)
    return MergeRow(merge_id, speaker, joins, tuple(moved), "", "", actor, iso(now))


def merges_of(connection: Connection, contact_id: str) -> list[MergeRow]:
    """Those of the person, the newest first."""
    found = rows(
        connection,
        "SELECT id, person_id, other_id, moved, by, at, undone_by, undone_at FROM customer_merges"
        " WHERE person_id = :contact OR other_id = :contact ORDER BY id DESC LIMIT 100",
        contact=contact_id,
    )
    return [MergeRow(**row | {"moved": tuple(json.loads(row["moved"]))}) for row in found]


def _of(connection: Connection, contact_id: str) -> list[Own]:
    whole = person(connection, contact_id)
    if not whole:
        raise NotFound("customer", contact_id)
    return whole


def _kept(own: Own) -> dict[str, str]:
    stage = own.stage
    return {"state": stage.state.value, "before": stage.before.value, "pinned": own.pinned}


def _stand_as_before(connection: Connection, contact: str, kept: dict[str, str]) -> None:
    """But for what was bought since."""
    whole = person(connection, contact)
    stage = Stage(State(kept["state"]), State(kept["before"]))
    stage = as_bought(stage, sum(own.deals for own in whole))
    _stand(connection, whole, stage, kept["pinned"])


def _stand(connection: Connection, whole: Sequence[Own], stage: Stage, pinned: str) -> None:
    """The whole person in one state; then its tags and standing anew."""
    values = {"state": stage.state.value, "before": stage.before.value, "pinned": pinned}
    for own in whole:
        _RESTORE.run(connection, values | {"contact_id": own.contact_id})
    now_is = person(connection, whole[0].contact_id)
    show_tags(connection, now_is)
    refresh(connection, whole[0].contact_id)


def _noted(
    connection: Connection, action: str, subject: str, detail: dict[str, Any], by: str, now: float
) -> None:
    record(connection, at=iso(now), actor=by, action=action, subject=subject, detail=detail)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
