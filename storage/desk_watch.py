"""What the clock finds at the desk: who waits, whose word is overdue, what is over. One process at
a time looks, by a lease; each act is a conditional update all the same."""

from dataclasses import dataclass

from sqlalchemy import Connection

from domain.desk import EventKind, Waiting
from storage import desk_events
from storage.handoffs import DESK
from storage.statements import Statement

_LEASE = Statement(
    "UPDATE desk_watch SET lease_owner = :owner, lease_until = :until"
    " WHERE name = 'desk' AND (lease_until < :now OR lease_owner = :holder)"
)
_LET_GO = Statement(
    "UPDATE desk_watch SET lease_owner = NULL, lease_until = 0 WHERE lease_owner = :owner"
)
_WAITING = Statement(
    """
    SELECT h.id, c.id, c.channel, c.account, h.priority, COALESCE(u.level, 'gray'), h.skill,
        h.waiting_since_ts, h.moves, h.previous_agent
    FROM handoffs h JOIN conversations c ON c.id = h.conversation_id
    LEFT JOIN customers u ON u.contact_id = c.contact_id
    WHERE h.status = 'open' AND h.target = :target AND c.mode <> 'human'
    """
)
_POOLED = Statement(
    "SELECT h.updated_at, c.mode FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
    " WHERE h.id = :id"
)
_MOVED = Statement("SELECT 1 FROM outbox WHERE message_id = :message_id")
# Only agents of ours have clocks: servicers of a platform and operators' names have none.
_COUNT_WAITING = Statement(
    "UPDATE handoffs SET due_ts = :now + :first"
    " WHERE status = 'open' AND target = :target AND due_ts IS NULL"
)
# Nobody is awaited while nobody is there.
_STOP_WAITING = Statement(
    "UPDATE handoffs SET due_ts = NULL WHERE status = 'open' AND due_ts IS NOT NULL"
)
_UNCOUNTED = Statement(
    """
    SELECT 1 FROM handoffs WHERE (status = 'taken' AND due_ts IS NULL AND asked_ts IS NOT NULL
            AND agent IN (SELECT id FROM agents))
        OR (status = 'open' AND target = :target AND (due_ts IS NULL) = :is_open)
    LIMIT 1
    """
)
_BUSY = Statement(
    "SELECT 1 FROM handoffs WHERE status IN ('open', 'taken')"
    " UNION ALL SELECT 1 FROM agents WHERE status <> 'offline' LIMIT 1"
)
_COUNT_TAKEN = Statement(
    """
    UPDATE handoffs SET due_ts = asked_ts + CASE WHEN first_reply_ts IS NULL THEN :first
        ELSE :next END
    WHERE status = 'taken' AND due_ts IS NULL AND asked_ts IS NOT NULL
        AND agent IN (SELECT id FROM agents)
    """
)
_OVERDUE = Statement(
    """
    SELECT h.id, h.conversation_id, h.status, h.overdue FROM handoffs h
    JOIN conversations c ON c.id = h.conversation_id
    WHERE h.status <> 'closed' AND h.target = :target AND h.due_ts <= :now
        AND ((h.status = 'open' AND c.mode <> 'human') OR h.agent IN (SELECT id FROM agents))
    ORDER BY h.due_ts, h.id LIMIT :limit
    """
)
_PUT_OFF = Statement(
    "UPDATE handoffs SET due_ts = :due, overdue = overdue + 1"
    " WHERE id = :id AND status <> 'closed' AND due_ts <= :now"
)
_IDLE = Statement(
    """
    SELECT conversation_id FROM handoffs
    WHERE status = 'taken' AND active_ts < :before AND asked_ts IS NULL
        AND agent IN (SELECT id FROM agents)
    ORDER BY active_ts LIMIT :limit
    """
)
_IS_IDLE = Statement(
    "SELECT 1 FROM handoffs WHERE id = :id AND status = 'taken' AND active_ts < :before"
    " AND asked_ts IS NULL"
)
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Overdue:
    handoff: int
    conversation: str
    status: str
    times: int


def hold_watch(connection: Connection, owner: str, *, now: float, lease_s: float) -> bool:
    """Whether ``owner`` is the one process that looks."""
    values = {"owner": owner, "holder": owner, "now": now, "until": now + lease_s}
    return _LEASE.run(connection, values) == 1


def let_go(connection: Connection, owner: str) -> None:
    _LET_GO.run(connection, {"owner": owner})


def waiting(connection: Connection) -> list[Waiting]:
    """Who waits to talk to a person here; in human mode they wait in a platform's own pool."""
    return [_waiting(*row) for row in _WAITING.all(connection, {"target": DESK})]


def in_pool(connection: Connection, one: Waiting, *, channels: frozenset[str]) -> bool:
    """Whether a platform's own servicers are asked first, or are being asked: it is ours only once
    the platform has refused."""
    if one.channel not in channels:
        return False
    row = _POOLED.first(connection, {"id": one.handoff})
    if row is None:
        return False
    updated_at, mode = row
    refused = mode == "queued" and _MOVED.first(
        connection, {"message_id": f"kf-session:{one.handoff}:{updated_at}"}
    )
    return not refused


def is_busy(connection: Connection) -> bool:
    """Whether there is anything to look after."""
    return _BUSY.first(connection, {}) is not None


def uncounted(connection: Connection, *, is_open: bool) -> bool:
    """Whether `count_down` would change anything."""
    values = {"target": DESK, "is_open": is_open}
    return _UNCOUNTED.first(connection, values) is not None


def count_down(
    connection: Connection, *, first_s: float, next_s: float, now: float, is_open: bool
) -> None:
    """Deadlines for what is awaited and has none yet; while the desk is closed, none for who
    waits."""
    if is_open:
        _COUNT_WAITING.run(connection, {"first": first_s, "target": DESK, "now": now})
    else:
        _STOP_WAITING.run(connection, {})
    _COUNT_TAKEN.run(connection, {"first": first_s, "next": next_s})


def overdue(connection: Connection, *, now: float) -> list[Overdue]:
    values = {"now": now, "target": DESK, "limit": AT_ONCE}
    return [Overdue(*row) for row in _OVERDUE.all(connection, values)]


def put_off(connection: Connection, one: Overdue, agent: str, *, due: float, now: float) -> bool:
    """It passed once more; ``due``: when we look again. False where the word has come meanwhile."""
    if _PUT_OFF.run(connection, {"id": one.handoff, "due": due, "now": now}) != 1:
        return False
    data = {"agent": agent, "times": one.times + 1}
    desk_events.tell(connection, EventKind.OVERDUE, one.conversation, now=now, data=data)
    return True


def idle(connection: Connection, *, before: float) -> list[str]:
    """Conversations in which it is the customer's turn since ``before``."""
    values = {"before": before, "limit": AT_ONCE}
    return [str(row[0]) for row in _IDLE.all(connection, values)]


def is_idle(connection: Connection, handoff: int, *, before: float) -> bool:
    return _IS_IDLE.first(connection, {"id": handoff, "before": before}) is not None


def _waiting(
    handoff: int,
    conversation: str,
    channel: str,
    account: str,
    priority: str,
    level: str,
    skill: str,
    since: float,
    moves: int,
    previous: str,
) -> Waiting:
    return Waiting(
        handoff, conversation, channel, account, priority, level, skill, since, moves > 0, previous
    )
