"""Agents of the desk and their sessions, as rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from domain.desk import Agent, AgentRole, Presence
from storage import desk_events
from storage.audit import record
from storage.clock import iso
from storage.statements import Statement

_COLUMNS = (
    "a.id, a.name, a.role, a.skills, a.scopes, a.max_load, a.status, a.seen_ts, a.enabled,"
    " a.created_at,"
    " (SELECT COUNT(*) FROM handoffs h WHERE h.status = 'taken' AND h.agent = a.id)"
)
_GET = Statement(f"SELECT {_COLUMNS} FROM agents a WHERE a.id = :id")  # noqa: S608
_ALL = Statement(f"SELECT {_COLUMNS} FROM agents a WHERE 1 = 1 ORDER BY a.id")  # noqa: S608
_ANY = Statement("SELECT 1 FROM agents WHERE enabled LIMIT 1")
_ADD = Statement(
    """
    INSERT INTO agents (id, name, role, password, skills, scopes, max_load, status, seen_ts,
        enabled, failures, locked_ts, created_at)
    VALUES (:id, :name, :role, :password, :skills, :scopes, :max_load, 'offline', 0, :enabled, 0, 0,
        :at)
    ON CONFLICT (id) DO NOTHING RETURNING id
    """
)
CHANGEABLE = frozenset({"name", "role", "password", "skills", "scopes", "max_load", "enabled"})

_LOCK_OF = Statement("SELECT password, locked_ts, enabled FROM agents WHERE id = :id")
_FAILED = Statement(
    """
    UPDATE agents SET failures = failures + 1,
        locked_ts = CASE WHEN failures + 1 >= :free THEN :now + :wait ELSE locked_ts END
    WHERE id = :id RETURNING failures
    """
)
_RIGHT = Statement(
    "UPDATE agents SET failures = 0, locked_ts = 0, seen_ts = :now WHERE id = :id AND enabled"
)
_SIGN_IN = Statement(
    "INSERT INTO agent_sessions (token_hash, agent_id, csrf, created_ts, seen_ts, expires_ts)"
    " VALUES (:token_hash, :agent_id, :csrf, :now, :now, :expires)"
)
_SESSION = Statement(
    """
    SELECT s.agent_id, s.csrf, s.expires_ts FROM agent_sessions s
    JOIN agents a ON a.id = s.agent_id
    WHERE s.token_hash = :token_hash AND s.expires_ts > :now AND a.enabled
    """
)
_SIGN_OUT = Statement("DELETE FROM agent_sessions WHERE token_hash = :token_hash")
_SIGN_OUT_ALL = Statement("DELETE FROM agent_sessions WHERE agent_id = :id")
_SESSIONS = Statement(
    "SELECT COUNT(*) FROM agent_sessions WHERE agent_id = :id AND expires_ts > :now"
)
_PRUNE = Statement("DELETE FROM agent_sessions WHERE expires_ts <= :now")
_SEEN = Statement("UPDATE agents SET seen_ts = :now WHERE id = :id AND seen_ts < :now")
_PRESENCE = Statement(
    "UPDATE agents SET status = :status, seen_ts = :now WHERE id = :id AND enabled"
)
_GONE = Statement(
    "SELECT id FROM agents WHERE status <> 'offline' AND seen_ts < :before ORDER BY id"
)
_IS_GONE = Statement(
    "UPDATE agents SET status = 'offline'"
    " WHERE id = :id AND status <> 'offline' AND seen_ts < :before"
)
_HELD = Statement(
    "SELECT conversation_id FROM handoffs WHERE status = 'taken' AND agent = :id ORDER BY id"
)


def get(connection: Connection, agent: str) -> Agent | None:
    row = _GET.first(connection, {"id": agent})
    return _agent(*row) if row is not None else None


def listed(connection: Connection) -> list[Agent]:
    return [_agent(*row) for row in _ALL.all(connection, {})]


def any_enabled(connection: Connection) -> bool:
    return _ANY.first(connection, {}) is not None


def add(connection: Connection, agent: Agent, password: str, *, by: str, now: float) -> bool:
    """``password``: as it is stored. False where there is one of that id."""
    values = {
        "id": agent.id,
        "name": agent.name,
        "role": agent.role.value,
        "password": password,
        "skills": json.dumps(agent.skills, ensure_ascii=False),
        "scopes": json.dumps(agent.scopes, ensure_ascii=False),
        "max_load": agent.max_load,
        "enabled": agent.enabled,
        "at": iso(now),
    }
    added = _ADD.first(connection, values) is not None
    if added:
        _record(connection, "agent.add", agent.id, by, now, {"role": agent.role.value})
    return added


def change(
    connection: Connection, agent: str, changes: Mapping[str, Any], *, by: str, now: float
) -> bool:
    """Columns of CHANGEABLE; skills and scopes as sequences. False where there is none."""
    unknown = changes.keys() - CHANGEABLE
    if unknown or not changes:
        raise ValueError(f"an agent has no {', '.join(sorted(unknown))} that could be changed")
    values = {name: _stored(value) for name, value in changes.items()}
    sets = ", ".join(f"{name} = :{name}" for name in sorted(values))
    done = connection.execute(
        text(f"UPDATE agents SET {sets} WHERE id = :id"),  # noqa: S608
        values | {"id": agent},
    )
    if done.rowcount == 1:
        _record(connection, "agent.change", agent, by, now, {"changed": sorted(changes)})
    return done.rowcount == 1


def _stored(value: Any) -> Any:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return json.dumps(list(value), ensure_ascii=False) if listed else value


# Signing in -----------------------------------------------------------------------------------


def password_of(connection: Connection, agent: str) -> tuple[str, float, bool] | None:
    """As stored, until when none is tried, and whether the agent may sign in at all."""
    row = _LOCK_OF.first(connection, {"id": agent})
    return (row[0], row[1], bool(row[2])) if row is not None else None


def wrong_password(
    connection: Connection, agent: str, *, free: int, wait_s: float, now: float
) -> None:
    """From the ``free``-th on, the next one is tried ``wait_s`` later at the earliest."""
    values = {"id": agent, "free": free, "wait": wait_s, "now": now}
    if _FAILED.first(connection, values) is not None:
        _record(connection, "agent.refused", agent, "", now, {})


def sign_in(
    connection: Connection, agent: str, *, token_hash: str, csrf: str, expires: float, now: float
) -> Agent | None:
    """None where the agent may not sign in any more."""
    if _RIGHT.run(connection, {"id": agent, "now": now}) != 1:
        return None
    session = {"token_hash": token_hash, "agent_id": agent, "csrf": csrf}
    _SIGN_IN.run(connection, session | {"expires": expires, "now": now})
    _record(connection, "agent.sign_in", agent, agent, now, {})
    return get(connection, agent)


def session(
    connection: Connection, token_hash: str, *, now: float
) -> tuple[Agent, str, float] | None:
    """Whose it is, its CSRF token, and when it runs out."""
    row = _SESSION.first(connection, {"token_hash": token_hash, "now": now})
    agent = get(connection, row[0]) if row is not None else None
    return (agent, row[1], row[2]) if row is not None and agent is not None else None


def sign_out(connection: Connection, token_hash: str) -> None:
    _SIGN_OUT.run(connection, {"token_hash": token_hash})


def sign_out_all(connection: Connection, agent: str) -> None:
    _SIGN_OUT_ALL.run(connection, {"id": agent})


def has_session(connection: Connection, agent: str, *, now: float) -> bool:
    row = _SESSIONS.first(connection, {"id": agent, "now": now})
    return row is not None and row[0] > 0


def prune_sessions(connection: Connection, *, now: float) -> None:
    _PRUNE.run(connection, {"now": now})


# Presence -------------------------------------------------------------------------------------


def seen(connection: Connection, agent: str, *, now: float) -> None:
    _SEEN.run(connection, {"id": agent, "now": now})


def set_presence(connection: Connection, agent: str, status: Presence, *, now: float) -> None:
    before = get(connection, agent)
    changed = _PRESENCE.run(connection, {"id": agent, "status": status.value, "now": now}) == 1
    if changed and before is not None and before.status is not status:
        desk_events.tell_presence(connection, agent, status.value, scopes=before.scopes, now=now)


def gone(connection: Connection, *, before: float) -> list[str]:
    """Who should be there and has given no sign of life since ``before``."""
    return [str(row[0]) for row in _GONE.all(connection, {"before": before})]


def leaves(connection: Connection, agent: str, *, before: float, now: float) -> bool:
    """False where they have come back meanwhile."""
    if _IS_GONE.run(connection, {"id": agent, "before": before}) != 1:
        return False
    left = get(connection, agent)
    scopes = left.scopes if left is not None else ()
    desk_events.tell_presence(connection, agent, Presence.OFFLINE.value, scopes=scopes, now=now)
    return True


def held_by(connection: Connection, agent: str) -> list[str]:
    """Conversations that are with the agent."""
    return [str(row[0]) for row in _HELD.all(connection, {"id": agent})]


def _agent(
    agent_id: str,
    name: str,
    role: str,
    skills: str,
    scopes: str,
    max_load: int,
    status: str,
    seen_ts: float,
    enabled: bool,
    created_at: str,
    load: int,
) -> Agent:
    return Agent(
        id=agent_id,
        name=name,
        role=AgentRole(role),
        skills=tuple(json.loads(skills)),
        scopes=tuple(json.loads(scopes)),
        max_load=max_load,
        status=Presence(status),
        seen_ts=seen_ts,
        enabled=bool(enabled),
        created_at=created_at,
        load=load,
    )


def _record(
    connection: Connection, action: str, agent: str, by: str, now: float, detail: dict[str, Any]
) -> None:
    record(
        connection,
        at=iso(now),
        actor=by or "desk",
        action=action,
        subject=agent,
        detail=detail,
    )
