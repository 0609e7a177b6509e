"""What age alone changes of customers: messages stop being recent, and who is silent is gone.

A batch is one transaction. On PostgreSQL its rows are locked and others pass by, so several
processes share the work; a row that was done is due at another time.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, text

from domain.customers import (
    DAY_S,
    Counters,
    Happening,
    Stage,
    State,
    after,
    day_of,
    first_recent_day,
    has_churned,
)
from storage.customer_counts import Own, person, refresh
from storage.statements import Statement

WEEK_DAYS = 7
"""What others paid moves the average deal, and by it the value of who bought."""
_RECENT = text(
    "UPDATE customers SET recent_messages = COALESCE((SELECT SUM(d.messages) FROM customer_days d"
    " WHERE d.contact_id = customers.contact_id AND d.day >= :first), 0) WHERE contact_id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_FORGET = text("DELETE FROM customer_days WHERE contact_id IN :ids AND day < :first").bindparams(
    bindparam("ids", expanding=True)
)
_DUE = Statement("UPDATE customers SET due_at = :due WHERE contact_id = :contact_id")


def age(connection: Connection, *, now: float, churn_days: float, limit: int) -> int:
    """Bring the next ``limit`` contacts that are due up to date; returns how many there were."""
    due = _take(connection, now, limit)
    if not due:
        return 0
    first = first_recent_day(day_of(now))
    connection.execute(_RECENT, {"ids": due, "first": first})
    connection.execute(_FORGET, {"ids": due, "first": first})
    for contact_id in due:
        _one(connection, contact_id, now, churn_days)
    return len(due)


def _take(connection: Connection, now: float, limit: int) -> list[str]:
    skip = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
    found = connection.execute(
        text(
            "SELECT contact_id FROM customers WHERE due_at <= :now"  # noqa: S608
            f" ORDER BY due_at LIMIT :limit{skip}"
        ),
        {"now": now, "limit": limit},
    )
    return sorted(str(row[0]) for row in found)


def _one(connection: Connection, contact_id: str, now: float, churn_days: float) -> None:
    whole = person(connection, contact_id)
    silent = now - max(_seen(own) for own in whole)

    def moved(stage: Stage, _counted: Counters) -> Stage:
        return after(stage, Happening.SILENCE) if has_churned(silent, churn_days) else stage

    refresh(connection, contact_id, moved)
    own = next(one for one in whole if one.contact_id == contact_id)
    due = _next(own, now, churn_at=now - silent + churn_days * DAY_S)
    _DUE.run(connection, {"contact_id": contact_id, "due": due})


def _next(own: Own, now: float, *, churn_at: float) -> float | None:
    today = day_of(now)
    tomorrow = (today + 1) * DAY_S
    found = [churn_at] if churn_at > now and own.state != State.CHURN else []
    if own.recent_messages:
        found.append(tomorrow)
    if own.paid:
        found.append((today + WEEK_DAYS) * DAY_S)
    return max(tomorrow, min(found)) if found else None


def _seen(own: Own) -> float:
    return datetime.fromisoformat(own.last_active_at).timestamp() if own.last_active_at else 0.0
