"""How alerts stand, and what became of them."""

from typing import Any

from sqlalchemy import Connection

from domain.alerts import AlertState, Standing, Turn
from storage.history import rows
from storage.statements import Statement

_ALL = Statement(
    "SELECT name, state, value, detail, since_ts, calm_ts, fired_ts, resolved_ts, fires FROM alerts"
)
_SAVE = Statement(
    """
    INSERT INTO alerts (name, state, value, detail, since_ts, calm_ts, fired_ts, resolved_ts, fires,
        checked_ts)
    VALUES (:name, :state, :value, :detail, :since, :calm, :fired, :resolved, :fires, :now)
    ON CONFLICT (name) DO UPDATE SET state = excluded.state, value = excluded.value,
        detail = excluded.detail, since_ts = excluded.since_ts, calm_ts = excluded.calm_ts,
        fired_ts = excluded.fired_ts, resolved_ts = excluded.resolved_ts, fires = excluded.fires,
        checked_ts = excluded.checked_ts
    WHERE alerts.state = :was AND alerts.checked_ts < excluded.checked_ts
    """
)
_TOLD = Statement(
    "INSERT INTO alert_events (name, event, at_ts, value, threshold, detail)"
    " VALUES (:name, :event, :now, :value, :threshold, :detail)"
)
_PRUNE = Statement("DELETE FROM alert_events WHERE at_ts < :before")
_DROP = Statement("DELETE FROM alerts WHERE name = :name")


def standings(connection: Connection) -> dict[str, Standing]:
    return {row[0]: Standing(AlertState(row[1]), *row[2:]) for row in _ALL.all(connection, {})}


def save(
    connection: Connection, name: str, standing: Standing, *, was: AlertState, now: float
) -> bool:
    """False where somebody else has looked since it was ``was``."""
    values = {
        "name": name,
        "state": standing.state.value,
        "value": standing.value,
        "detail": standing.detail,
        "since": standing.since,
        "calm": standing.calm,
        "fired": standing.fired,
        "resolved": standing.resolved,
        "fires": standing.fires,
        "was": was.value,
        "now": now,
    }
    return _SAVE.run(connection, values) == 1


def tell(
    connection: Connection,
    name: str,
    event: Turn,
    *,
    now: float,
    value: float | None,
    threshold: float,
    detail: str,
) -> None:
    values = {"name": name, "event": event, "now": now, "value": value}
    _TOLD.run(connection, values | {"threshold": threshold, "detail": detail})


def drop(connection: Connection, name: str) -> None:
    """No rule is left for it."""
    _DROP.run(connection, {"name": name})


def events(
    connection: Connection, *, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Newest first, older than number ``before``."""
    return rows(
        connection,
        "SELECT id, name, event, at_ts, value, threshold, detail FROM alert_events"
        " WHERE id < :before ORDER BY id DESC LIMIT :limit",
        limit=limit,
        before=before if before is not None else 2**62,
    )


def prune(connection: Connection, *, before: float) -> None:
    _PRUNE.run(connection, {"before": before})
