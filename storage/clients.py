"""Clients, their keys and heartbeats, as rows; every change with its audit record."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from domain.clients import Client, ClientKey, ClientRole
from storage.audit import record
from storage.clock import iso
from storage.statements import Statement

_COLUMNS = "agent_id, name, role, enabled, generation, address, created_at"
_KEY_COLUMNS = "id, agent_id, prefix, created_at, expires_ts, revoked_ts, used_ts"
_GET = Statement(f"SELECT {_COLUMNS} FROM clients WHERE agent_id = :agent_id")  # noqa: S608
_ADD = Statement(
    "INSERT INTO clients (agent_id, name, role, enabled, generation, address, created_at)"
    " VALUES (:agent_id, :name, :role, :enabled, 1, '', :at)"
    " ON CONFLICT (agent_id) DO NOTHING RETURNING agent_id"
)
_KEYS = Statement(
    f"SELECT {_KEY_COLUMNS} FROM client_keys WHERE agent_id = :agent_id ORDER BY id"  # noqa: S608
)
_ADD_KEY = Statement(
    "INSERT INTO client_keys (agent_id, digest, prefix, created_at)"
    " VALUES (:agent_id, :digest, :prefix, :at) RETURNING id"
)
_END_KEYS = Statement(
    "UPDATE client_keys SET expires_ts = :until WHERE agent_id = :agent_id AND id <> :id"
    " AND revoked_ts IS NULL AND (expires_ts IS NULL OR expires_ts > :until)"
)
_REVOKE = Statement(
    "UPDATE client_keys SET revoked_ts = :now"
    " WHERE id = :id AND agent_id = :agent_id AND revoked_ts IS NULL"
)
_FIND_KEY = Statement(
    f"SELECT {_KEY_COLUMNS} FROM client_keys"  # noqa: S608
    " WHERE digest = :digest AND agent_id = :agent_id"
)
_USED = Statement("UPDATE client_keys SET used_ts = :now WHERE id = :id")
_FROM = Statement("UPDATE clients SET address = :address WHERE agent_id = :agent_id")
_BEAT = Statement(
    """
    INSERT INTO heartbeats (agent_id, status, seen_ts) VALUES (:agent_id, :status, :now)
    ON CONFLICT (agent_id) DO UPDATE SET status = excluded.status, seen_ts = excluded.seen_ts
    RETURNING offline_ts
    """
)
_IS_BACK = Statement(
    "UPDATE heartbeats SET offline_ts = NULL WHERE agent_id = :agent_id AND offline_ts IS NOT NULL"
)
_SILENT = Statement(
    """
    SELECT h.agent_id, c.name, h.seen_ts FROM heartbeats h
    JOIN clients c ON c.agent_id = h.agent_id
    WHERE h.seen_ts < :before AND h.offline_ts IS NULL AND c.enabled
    ORDER BY h.seen_ts LIMIT :limit
    """
)
_IS_GONE = Statement(
    "UPDATE heartbeats SET offline_ts = :now"
    " WHERE agent_id = :agent_id AND offline_ts IS NULL AND seen_ts < :before"
)
CHANGEABLE = frozenset({"name", "role", "enabled"})
MAX_SILENT = 100
"""Told of in one sweep; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last heartbeat; ``status``: as the client said it."""

    status: dict[str, Any]
    at_ts: float


@dataclass(frozen=True, slots=True)
class Listed:
    client: Client
    keys: tuple[ClientKey, ...]
    seen: Seen | None


def get(connection: Connection, agent_id: str) -> Client | None:
    row = _GET.first(connection, {"agent_id": agent_id})
    return _client(row) if row is not None else None


def keys_of(connection: Connection, agent_id: str) -> tuple[ClientKey, ...]:
    return tuple(ClientKey(*row) for row in _KEYS.all(connection, {"agent_id": agent_id}))


def listed(
    connection: Connection,
    *,
    search: str = "",
    role: ClientRole | None = None,
    enabled: bool | None = None,
    limit: int,
    offset: int,
) -> tuple[list[Listed], int]:
    """By id, with the number of all that fit. ``search``: a part of the id or the name."""
    conditions, asked = ["1 = 1"], dict[str, Any]()
    if search:
        conditions.append("(c.agent_id LIKE :search ESCAPE '!' OR c.name LIKE :search ESCAPE '!')")
        asked["search"] = f"%{_literal(search)}%"
    if role is not None:
        conditions.append("c.role = :role")
        asked["role"] = role.value
    if enabled is not None:
        conditions.append("c.enabled = :enabled")
        asked["enabled"] = enabled
    where = " AND ".join(conditions)
    total = connection.execute(
        text(f"SELECT count(*) FROM clients c WHERE {where}"),  # noqa: S608
        asked,
    ).scalar_one()
    columns = ", ".join(f"c.{name}" for name in _COLUMNS.split(", "))
    found = connection.execute(
        text(
            f"SELECT {columns}, h.status, h.seen_ts FROM clients c"  # noqa: S608
            f" LEFT JOIN heartbeats h ON h.agent_id = c.agent_id WHERE {where}"
            " ORDER BY c.agent_id LIMIT :limit OFFSET :offset"
        ),
        asked | {"limit": limit, "offset": offset},
    ).all()
    keys = _keys_of_all(connection, [row[0] for row in found])
    return [_listed(tuple(row), keys) for row in found], int(total)


def one_listed(connection: Connection, agent_id: str) -> Listed | None:
    client = get(connection, agent_id)
    if client is None:
        return None
    row = connection.execute(
        text("SELECT status, seen_ts FROM heartbeats WHERE agent_id = :agent_id"),
        {"agent_id": agent_id},
    ).first()
    return Listed(client, keys_of(connection, agent_id), _seen(*row) if row is not None else None)


# Changes --------------------------------------------------------------------------------------


def add(connection: Connection, client: Client, *, by: str, now: float) -> bool:
    """False where there is one of that id."""
    values = {"agent_id": client.agent_id, "name": client.name, "role": client.role.value}
    values_at = values | {"enabled": client.enabled, "at": iso(now)}
    if _ADD.first(connection, values_at) is None:
        return False
    _record(connection, "client.add", client.agent_id, by, now, {"role": client.role.value})
    return True


def change(
    connection: Connection, agent_id: str, changes: Mapping[str, Any], *, by: str, now: float
) -> bool:
    """Columns of CHANGEABLE. False where there is no such client. Its tokens end with another role
    and when it is disabled."""
    unknown = changes.keys() - CHANGEABLE
    if unknown or not changes:
        raise ValueError(f"a client has no {', '.join(sorted(unknown))} that could be changed")
    sets = ", ".join(f"{name} = :{name}" for name in sorted(changes))
    ends = ", generation = generation + 1" if changes.keys() & {"role", "enabled"} else ""
    done = connection.execute(
        text(f"UPDATE clients SET {sets}{ends} WHERE agent_id = :agent_id"),  # noqa: S608
        {**changes, "agent_id": agent_id},
    )
    if done.rowcount == 1:
        detail = {name: changes[name] for name in sorted(changes)}
        _record(connection, "client.change", agent_id, by, now, detail)
    return done.rowcount == 1


def add_key(
    connection: Connection,
    agent_id: str,
    *,
    digest: str,
    prefix: str,
    others_until: float | None,
    by: str,
    now: float,
) -> int:
    """``others_until``: when the keys before it end; None: they stay as they are."""
    values = {"agent_id": agent_id, "digest": digest, "prefix": prefix, "at": iso(now)}
    row = _ADD_KEY.first(connection, values)
    assert row is not None
    detail: dict[str, Any] = {"key": row[0], "prefix": prefix}
    if others_until is not None:
        until = {"agent_id": agent_id, "id": row[0], "until": others_until}
        _END_KEYS.run(connection, until)
        detail["others_until"] = iso(others_until)
    _record(connection, "client.key", agent_id, by, now, detail)
    return int(row[0])


def revoke(
    connection: Connection, agent_id: str, keys: Sequence[int], *, by: str, now: float
) -> int:
    """How many of them there were; its tokens end with them."""
    done = [
        key
        for key in keys
        if _REVOKE.run(connection, {"agent_id": agent_id, "id": key, "now": now}) == 1
    ]
    if done:
        _record(connection, "client.revoke", agent_id, by, now, {"keys": done})
    return len(done)


# Signing in -----------------------------------------------------------------------------------


def key_that_opens(
    connection: Connection, agent_id: str, digest: str, *, now: float
) -> ClientKey | None:
    row = _FIND_KEY.first(connection, {"digest": digest, "agent_id": agent_id})
    key = ClientKey(*row) if row is not None else None
    return key if key is not None and key.opens(now) else None


def signed_in(connection: Connection, key: ClientKey, *, address: str, now: float) -> None:
    _USED.run(connection, {"id": key.id, "now": now})
    _FROM.run(connection, {"agent_id": key.agent_id, "address": address})
    detail = {"key": key.id, "address": address}
    actor = f"client:{key.agent_id}"
    _record(connection, "client.sign_in", key.agent_id, actor, now, detail)


# Heartbeats -----------------------------------------------------------------------------------


def beat(connection: Connection, agent_id: str, status: Mapping[str, Any], *, now: float) -> bool:
    """Whether staff was told that it is gone, which is over now."""
    said = json.dumps(status, ensure_ascii=False)
    row = _BEAT.first(connection, {"agent_id": agent_id, "status": said, "now": now})
    if row is None or row[0] is None:
        return False
    return _IS_BACK.run(connection, {"agent_id": agent_id}) == 1


def silent(connection: Connection, *, before: float) -> list[tuple[str, str, float]]:
    """(id, name, last heartbeat) of those that nobody has been told of yet."""
    found = _SILENT.all(connection, {"before": before, "limit": MAX_SILENT})
    return [(row[0], row[1], row[2]) for row in found]


def is_gone(connection: Connection, agent_id: str, *, before: float, now: float) -> bool:
    """False where another process was faster, or a heartbeat."""
    return _IS_GONE.run(connection, {"agent_id": agent_id, "before": before, "now": now}) == 1


def _keys_of_all(connection: Connection, ids: Sequence[str]) -> dict[str, list[ClientKey]]:
    keys: dict[str, list[ClientKey]] = {}
    if ids:
        statement = text(
            f"SELECT {_KEY_COLUMNS} FROM client_keys"  # noqa: S608
            " WHERE agent_id IN :ids ORDER BY id"
        ).bindparams(bindparam("ids", expanding=True))
        for row in connection.execute(statement, {"ids": list(ids)}):
            keys.setdefault(row[1], []).append(ClientKey(*row))
    return keys


def _listed(row: tuple[Any, ...], keys: Mapping[str, Sequence[ClientKey]]) -> Listed:
    *client, status, seen_ts = row
    seen = _seen(status, seen_ts) if seen_ts is not None else None
    return Listed(_client(tuple(client)), tuple(keys.get(row[0], ())), seen)


def _seen(status: str, seen_ts: float) -> Seen:
    return Seen(json.loads(status), seen_ts)


def _client(row: tuple[Any, ...]) -> Client:
    agent_id, name, role, enabled, generation, address, created_at = row
    return Client(agent_id, name, ClientRole(role), bool(enabled), generation, address, created_at)


def _literal(wanted: str) -> str:
    return wanted.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _record(
    connection: Connection, action: str, agent_id: str, by: str, now: float, detail: dict[str, Any]
) -> None:
    record(connection, at=iso(now), actor=by, action=action, subject=agent_id, detail=detail)
