"""Which processes there are, and how their machines are, as each says itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from storage.statements import Statement

_SEEN = Statement(
    """
    INSERT INTO processes (owner, host, pid, started_ts, seen_ts, readings)
    VALUES (:owner, :host, :pid, :started, :now, :readings)
    ON CONFLICT (owner) DO UPDATE SET seen_ts = excluded.seen_ts, readings = excluded.readings
    """
)
_ALL = Statement(
    "SELECT owner, host, pid, started_ts, seen_ts, readings FROM processes ORDER BY owner"
)
_GONE = Statement("DELETE FROM processes WHERE owner = :owner")
_FORGET = Statement("DELETE FROM processes WHERE seen_ts < :before")
_FORGET_OTHERS = Statement("DELETE FROM processes WHERE owner <> :owner")


@dataclass(frozen=True, slots=True)
class Process:
    owner: str
    host: str
    pid: int
    started: float
    seen: float
    readings: Mapping[str, Any]


def seen(connection: Connection, process: Process) -> None:
    values = {
        "owner": process.owner,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "now": process.seen,
        "readings": json.dumps(process.readings, ensure_ascii=False),
    }
    _SEEN.run(connection, values)


def gone(connection: Connection, owner: str) -> None:
    """It has ended as it should."""
    _GONE.run(connection, {"owner": owner})


def take_over(connection: Connection, owner: str) -> None:
    """``owner`` is the only process on this database: whatever ran before has been replaced."""
    _FORGET_OTHERS.run(connection, {"owner": owner})


def forget(connection: Connection, *, before: float) -> None:
    _FORGET.run(connection, {"before": before})


def known(connection: Connection) -> list[Process]:
    return [_process(*row) for row in _ALL.all(connection, {})]


def _process(
    owner: str, host: str, pid: int, started: float, seen_ts: float, readings: str
) -> Process:
    return Process(owner, host, pid, started, seen_ts, json.loads(readings))
