"""A hundred thousand pending timers, measured in rows and instructions instead of seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from storage.database import Database
from storage.history import rows
from storage.tasks import TaskBook, TaskRow
from tests.engine.processes import ZONE

BOOK = TaskBook(ZONE, callbacks=True)
TOMORROW = 86_400
MANY_TIMERS = text(
    """
    INSERT INTO tasks (task_id, type, trigger_type, action_type, priority, timeout_hours, status,
        retry_count, max_retry, body, source, created_ts, due_at, watch_no, run_no, event_no,
        waiting, lease_until)
    WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 100000)
    SELECT 'many' || i, 'greeting', 'time_reach', 'add_tag', 'normal', 24, 'pending', 0, 3, '{}',
        'tianwang', :now, :due + i, 0, 0, 0, 0, 0 FROM numbers
    """
)
Ask = Callable[[Connection], object]


def add_many(connection: Connection) -> None:
    now = time.time()
    connection.execute(MANY_TIMERS, {"now": now, "due": now + TOMORROW})
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE tasks"))  # as autovacuum does within a minute


@contextmanager
def counting_steps(connection: Connection, taken: list[int]) -> Iterator[None]:
    """SQLite: hundreds of instructions of its machine."""
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(lambda: taken.append(1), 100)
    yield
    driver.set_progress_handler(None, 0)


def rows_read(connection: Connection) -> int:
    """PostgreSQL: rows of tasks that this transaction has read so far."""
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
    return int(connection.execute(text(f"{read} WHERE relname = 'tasks'")).scalar_one())


def work(connection: Connection, ask: Ask) -> int:
    if connection.dialect.name == "sqlite":
        taken: list[int] = []
        with counting_steps(connection, taken):
            ask(connection)
        return len(taken)
    before = rows_read(connection)
    ask(connection)
    return rows_read(connection) - before


async def test_the_questions_that_are_asked_over_and_over_cost_the_same_with_many_timers(
    database: Database,
) -> None:
    now = time.time()
    asked: dict[str, Ask] = {
        "due": lambda c: BOOK.next_due(c, now=now),
        "set by hand": BOOK.is_adrift,
        "to be watched for": lambda c: BOOK.watched_after(c, 0, 100),
        "still pending": lambda c: BOOK.pending_among(c, ["many1", "many2"]),
    }

    async def costs() -> dict[str, int]:
        return {
            name: await database.read(lambda c, ask=ask: work(c, ask))  # type: ignore[misc]
            for name, ask in asked.items()
        }

    without = await costs()
    await database.write(add_many)
    assert await database.read(lambda c: BOOK.next_due(c, now=now)) is not None
    dearer = {name: cost - without[name] for name, cost in (await costs()).items()}
    assert all(more <= 2 for more in dearer.values()), dearer


async def claimed(database: Database, now: float) -> list[TaskRow]:
    return await database.write(
        lambda c: BOOK.claim_due(c, owner="p1", now=now, lease_s=30.0, limit=200)
    )


async def test_those_that_are_due_are_taken_without_reading_the_others(
    database: Database,
) -> None:
    await database.write(add_many)
    (row,) = await database.read(
        lambda c: rows(c, "SELECT due_at FROM tasks WHERE task_id = 'many50'")
    )
    taken: list[TaskRow] = []

    def take(connection: Connection) -> int:
        return work(
            connection,
            lambda c: taken.extend(
                BOOK.claim_due(c, owner="p1", now=row["due_at"], lease_s=30.0, limit=200)
            ),
        )

    cost = await database.write(take)
    assert {task.task_id for task in taken} == {f"many{n}" for n in range(1, 51)}
    assert cost < 1_000
    assert await claimed(database, row["due_at"]) == []
