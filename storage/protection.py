"""Which keys have sealed what, and sealing anew: rows that another key, or none, has sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from storage.sealed import SEALED, FieldKeys, keys_of
from storage.statements import Statement

_KNOWN = Statement("SELECT id, digest FROM field_keys")
_PUT = Statement(
    """
    INSERT INTO field_keys (id, digest, state, place, resealed, first_seen_at)
    VALUES (:id, :digest, 'old', '', 0, :at) ON CONFLICT (id) DO NOTHING
    """
)
_DEMOTE = Statement("UPDATE field_keys SET state = 'old' WHERE state = 'current' AND id <> :id")
_PROMOTE = Statement(
    "UPDATE field_keys SET state = 'current', place = '', resealed = 0"
    " WHERE id = :id AND state <> 'current'"
)
_CURRENT = Statement("SELECT id, place, resealed FROM field_keys WHERE state = 'current'")
_MOVE = Statement(
    "UPDATE field_keys SET place = :place, resealed = resealed + :changed WHERE id = :id"
)
_RETIRE = Statement("DELETE FROM field_keys WHERE state = 'old'")
DONE = "done"
_RECORDS = "turn_records"


@dataclass(frozen=True, slots=True)
class KeyState:
    """``state``: current or old; ``place`` and ``resealed``: as `FieldKeyRow` says."""

    id: str
    state: str
    place: str
    resealed: int
    first_seen_at: str


@dataclass(frozen=True, slots=True)
class Step:
    """``place``: where the next step begins; `DONE`: every row has been looked at. ``unreadable``:
    values whose key is not there; they stay as they are."""

    place: str
    looked_at: int = 0
    changed: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    key: str
    columns: tuple[str, ...]
    parts: Mapping[str, str]
    whole: Mapping[str, str]

    @property
    def selected(self) -> str:
        return ", ".join((*self.columns, *self.parts.values(), *self.whole.values()))


def _tables() -> tuple[_Table, ...]:
    names = dict.fromkeys((one.table, one.key) for one in SEALED)
    found = []
    for name, key in names:
        own = [one for one in SEALED if one.table == name]
        parts = {one.column: one.parts for one in own if one.parts}
        whole = {one.column: one.whole for one in own if one.whole}
        found.append(_Table(name, key, tuple(one.column for one in own), parts, whole))
    return (*found, _Table(_RECORDS, "turn_id", ("body", "base"), {}, {}))


TABLES = _tables()


def is_adopted(connection: Connection, keys: FieldKeys) -> bool:
    """Whether `adopt` has nothing to do."""
    known = {str(row[0]): str(row[1]) for row in _KNOWN.all(connection, {})}
    current = _CURRENT.first(connection, {})
    seals = current[0] if current is not None else None
    return known == keys.checks and seals == next(iter(keys.ids), None)


def adopt(connection: Connection, keys: FieldKeys, *, at: str) -> list[str]:
    """Keys that rows are sealed with and that are not there, or are others than they were; where
    there are none, ``keys`` are noted, the first as the one that seals."""
    known = {str(row[0]): str(row[1]) for row in _KNOWN.all(connection, {})}
    missing = [one for one, digest in known.items() if keys.checks.get(one) != digest]
    if missing:
        return sorted(missing)
    for key_id, digest in keys.checks.items():
        if key_id not in known:
            _PUT.run(connection, {"id": key_id, "digest": digest, "at": at})
    if keys.ids:
        _DEMOTE.run(connection, {"id": keys.ids[0]})
        _PROMOTE.run(connection, {"id": keys.ids[0]})
    return []


def states(connection: Connection) -> list[KeyState]:
    found = connection.execute(
        text(
            "SELECT id, state, place, resealed, first_seen_at FROM field_keys"
            " ORDER BY CASE state WHEN 'current' THEN 0 ELSE 1 END, first_seen_at, id"
        )
    )
    return [KeyState(*row) for row in found]


def reseal(connection: Connection, *, limit: int) -> Step:
    """Look at the next ``limit`` rows of one table, and seal what the first key has not sealed.
    Where the last step ended is kept with the key, so that anybody may go on."""
    current = _CURRENT.first(connection, {})
    if current is None or current[1] == DONE:
        return Step(DONE)
    step = _step(connection, current[1], limit)
    _MOVE.run(connection, {"id": current[0], "place": step.place, "changed": step.changed})
    return step


def begin_again(connection: Connection) -> None:
    """Look at every row anew."""
    current = _CURRENT.first(connection, {})
    if current is not None:
        _MOVE.run(connection, {"id": current[0], "place": "", "changed": 0})


def retire(connection: Connection) -> None:
    """No row is sealed with an old key any more."""
    _RETIRE.run(connection, {})


def _step(connection: Connection, place: str, limit: int) -> Step:
    name, _, after = (place or f"{TABLES[0].name}:").partition(":")
    at = next(number for number, table in enumerate(TABLES) if table.name == name)
    table = TABLES[at]
    rows = _rows(connection, table, after, limit)
    changed = unreadable = 0
    for row in rows:
        sealed, missed = _sealed(keys_of(connection), table, row)
        unreadable += missed
        changed += _write(connection, table, row, sealed)
    if len(rows) == limit:
        return Step(f"{table.name}:{rows[-1][table.key]}", len(rows), changed, unreadable)
    following = f"{TABLES[at + 1].name}:" if at + 1 < len(TABLES) else DONE
    return Step(following, len(rows), changed, unreadable)


def _rows(connection: Connection, table: _Table, after: str, limit: int) -> list[dict[str, Any]]:
    numbered = table.key == "id" and table.name != "conversations"
    since: str | int = int(after or 0) if numbered else after
    found = connection.execute(
        text(
            f"SELECT {table.key}, {table.selected} FROM {table.name}"  # noqa: S608
            f" WHERE {table.key} > :after ORDER BY {table.key} LIMIT :limit"
        ),
        {"after": since, "limit": limit},
    )
    return [dict(row) for row in found.mappings()]


def _sealed(keys: FieldKeys, table: _Table, row: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """What of the row has to change, and how many of its values no key opens."""
    changes: dict[str, Any] = {}
    unreadable = 0
    for column in table.columns:
        value = row[column]
        if value is None or value == "":
            continue
        found = _resealed(keys, value)
        if found is None:
            unreadable += 1
            continue
        if found != value:
            changes[column] = found
        if isinstance(found, str):
            indexed = _indexed(keys, table, column, keys.unseal(found))
            changes |= {name: told for name, told in indexed.items() if row[name] != told}
    return changes, unreadable


def _resealed(keys: FieldKeys, value: str | bytes) -> str | bytes | None:
    """The value under the first key, itself where it is that; None where it cannot be read."""
    if isinstance(value, str):
        if keys.is_current(value):
            return value
        return keys.seal(plain) if (plain := keys.unseal(value)) else None
    if keys.are_current(value):
        return value
    opened = keys.unseal_bytes(bytes(value))
    return keys.seal_bytes(opened) if opened is not None else None


def _indexed(keys: FieldKeys, table: _Table, column: str, plain: str) -> dict[str, str]:
    found = {}
    if column in table.parts:
        found[table.parts[column]] = keys.name_index(plain)
    if column in table.whole:
        found[table.whole[column]] = keys.digests(plain)[0]
    return found


def _write(
    connection: Connection, table: _Table, row: dict[str, Any], changes: dict[str, Any]
) -> int:
    """What somebody has written meanwhile is left: it is sealed with the first key anyway."""
    if not changes:
        return 0
    sets = ", ".join(f"{column} = :{column}" for column in changes)
    kept = " AND ".join(f"{column} = :old_{column}" for column in changes)
    old = {f"old_{column}": row[column] for column in changes}
    done = connection.execute(
        text(f"UPDATE {table.name} SET {sets} WHERE {table.key} = :key AND {kept}"),  # noqa: S608
        {**changes, **old, "key": row[table.key]},
    )
    return done.rowcount
