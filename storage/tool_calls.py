"""What calls of tools were answered, under the keys that their callers chose.

``key`` is a digest of caller, tool and the caller's own key; ``answer`` is JSON.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from storage.clock import iso
from storage.statements import Statement


class Remembered(NamedTuple):
    arguments_hash: str
    answer: str


_FIND = Statement("SELECT arguments_hash, answer FROM tool_calls WHERE key = :key")
_ADD = Statement(
    "INSERT INTO tool_calls (key, tool, caller, arguments_hash, answer, created_at)"
    " VALUES (:key, :tool, :caller, :arguments_hash, :answer, :at) ON CONFLICT (key) DO NOTHING"
)
_FORGET = Statement("DELETE FROM tool_calls WHERE created_at < :before")


def find(connection: Connection, key: str) -> Remembered | None:
    row = _FIND.first(connection, {"key": key})
    return Remembered(*row) if row else None


def remember(
    connection: Connection,
    key: str,
    *,
    tool: str,
    caller: str,
    arguments_hash: str,
    answer: str,
    now: float,
) -> bool:
    """False where another call was first: its answer stands."""
    values = {"key": key, "tool": tool, "caller": caller, "arguments_hash": arguments_hash}
    return _ADD.run(connection, values | {"answer": answer, "at": iso(now)}) == 1


def forget(connection: Connection, *, before: float) -> int:
    """How many were forgotten."""
    return _FORGET.run(connection, {"before": iso(before)})
