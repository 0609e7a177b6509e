"""Which process does some periodic work, by a lease on its row."""

from sqlalchemy import Connection

from storage.statements import Statement

_HOLD = Statement(
    """
    INSERT INTO watches (name, lease_owner, lease_until) VALUES (:name, :owner, :until)
    ON CONFLICT (name) DO UPDATE SET lease_owner = :owner, lease_until = :until
    WHERE watches.lease_until < :now OR watches.lease_owner = :owner
    RETURNING name
    """
)
_LET_GO = Statement(
    "UPDATE watches SET lease_owner = NULL, lease_until = 0.0"
    " WHERE name = :name AND lease_owner = :owner"
)


def hold(connection: Connection, name: str, owner: str, *, now: float, lease_s: float) -> bool:
    """Whether the work is ``owner``'s until then."""
    values = {"name": name, "owner": owner, "now": now, "until": now + lease_s}
    return _HOLD.first(connection, values) is not None


def let_go(connection: Connection, name: str, owner: str) -> None:
    _LET_GO.run(connection, {"name": name, "owner": owner})
