"""Tokens of platforms that all processes share: one of them fetches, under a lease, the others
read what it stored."""

from typing import NamedTuple

from sqlalchemy import Connection

from storage.statements import Statement


class TokenRow(NamedTuple):
    """``token``: encrypted; empty before the first one, which is generation 1."""

    token: str
    generation: int
    fetched_ts: float
    expires_ts: float
    lease_until: float


_NEVER = TokenRow("", 0, 0.0, 0.0, 0.0)
_COLUMNS = "token, generation, fetched_ts, expires_ts, lease_until"
_FIND = Statement(f"SELECT {_COLUMNS} FROM platform_tokens WHERE key = :key")  # noqa: S608
_KNOWN = Statement(
    """
    INSERT INTO platform_tokens (key, token, generation, fetched_ts, expires_ts, lease_until)
    VALUES (:key, '', 0, 0, 0, 0) ON CONFLICT (key) DO NOTHING
    """
)
_FIRST = Statement(
    """
    INSERT INTO platform_tokens (key, token, generation, fetched_ts, expires_ts, lease_until)
    VALUES (:key, :token, 1, :now, 0, 0) ON CONFLICT (key) DO NOTHING
    """
)
# Of the generation that was seen: what another process has just fetched is not fetched again.
_LEASE = Statement(
    """
    UPDATE platform_tokens SET lease_owner = :owner, lease_until = :until
    WHERE key = :key AND generation = :generation AND lease_until <= :now
    """
)
_STORE = Statement(
    """
    UPDATE platform_tokens SET token = :token, generation = generation + 1,
        fetched_ts = :fetched_ts, expires_ts = :expires_ts, lease_owner = NULL, lease_until = 0
    WHERE key = :key AND lease_owner = :owner RETURNING generation
    """
)
_RELEASE = Statement(
    """
    UPDATE platform_tokens SET lease_owner = NULL, lease_until = 0
    WHERE key = :key AND lease_owner = :owner
    """
)


def find(connection: Connection, key: str) -> TokenRow:
    row = _FIND.first(connection, {"key": key})
    return TokenRow(*row) if row else _NEVER


def keep_first(connection: Connection, key: str, token: str, *, now: float) -> str:
    """What the first of all processes has put there; ``token``, if that is this one."""
    _FIRST.run(connection, {"key": key, "token": token, "now": now})
    return find(connection, key).token


def lease(
    connection: Connection, key: str, *, generation: int, owner: str, now: float, until: float
) -> bool:
    """Whether ``owner`` may fetch the one that follows ``generation``: False where another does, or
    has."""
    _KNOWN.run(connection, {"key": key})
    values = {"key": key, "generation": generation, "owner": owner, "now": now, "until": until}
    return _LEASE.run(connection, values) == 1


def store(
    connection: Connection,
    key: str,
    *,
    owner: str,
    token: str,
    fetched_ts: float,
    expires_ts: float,
) -> int | None:
    """Its generation; None if ``owner`` holds the lease no more: another token is on its way."""
    values = {"key": key, "owner": owner, "token": token}
    row = _STORE.first(connection, values | {"fetched_ts": fetched_ts, "expires_ts": expires_ts})
    return int(row[0]) if row else None


def release(connection: Connection, key: str, *, owner: str) -> None:
    """``owner`` has fetched none; another may try."""
    _RELEASE.run(connection, {"key": key, "owner": owner})
