"""Figures: added up with what they count, put together as they age, the same on both databases."""

import asyncio
import time
from datetime import timedelta, timezone
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import storage.figures_tables  # noqa: F401  registers its tables with Row.metadata
from domain.errors import StaleTurn
from domain.figures import ModelSums, Sums, day_of, day_start
from storage import figures
from storage.database import Database
from storage.figures_tables import AlertEvent, AlertRow, FigureRow, ModelFigureRow, ProcessRow
from storage.tables import Row
from tests.databases import open_database
from tests.storage.test_inbox_and_turns import a_message, a_turn, claim, commit, receive

BEIJING = timezone(timedelta(hours=8))
NOON = 1_780_027_200.0
"""2026-05-29 12:00 in Beijing."""
OURS = {
    str(table.__tablename__)
    for table in (FigureRow, ModelFigureRow, AlertRow, AlertEvent, ProcessRow)
}
CALL: dict[str, Any] = {
    "provider": "deepseek",
    "model": "deepseek-flash",
    "purpose": "reply",
    "outcome": "ok",
    "status": 200,
    "attempt": 1,
    "tokens_in": 800,
    "tokens_out": 200,
    "tokens_estimated": False,
    "latency_ms": 900,
    "cost": 0.0032,
    "currency": "CNY",
    "error": None,
}


async def test_the_tables_are_those_of_the_migrations(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, Row.metadata)
        return [one for one in found if any(f"'{name}'" in repr(one) for name in OURS)]

    assert await database.read(differences) == []


async def total(database: Database, since: float = 0.0, until: float = 2**40) -> Sums:
    return await database.read(lambda c: figures.total(c, since=since, until=until))


async def test_a_committed_turn_is_counted_with_it(database: Database) -> None:
    receipt = await receive(database, a_message())
    held = await claim(database, receipt.conversation_id)
    ended = held.messages[-1].received_ts + 6.5
    turn = a_turn(held, ended=ended, sentiment="negative", model_calls=(CALL,))
    await commit(database, turn)
    assert await total(database) == Sums(
        messages=1,
        turns=1,
        answers=1,
        response_ms=6_500,
        slow=1,
        confidence=0.9,
        solved=1,
        negative=1,
        tokens_in=800,
        tokens_out=200,
    )
    found = await database.read(lambda c: figures.calls(c, since=0, until=2**40))
    assert found == {("deepseek", "CNY"): ModelSums(1, 0, 900, 800, 200, 0.0032)}


async def test_a_turn_that_is_not_committed_is_not_counted(database: Database) -> None:
    receipt = await receive(database, a_message())
    held = await claim(database, receipt.conversation_id)
    await claim(database, receipt.conversation_id, "other", at=held.until + 1)
    with pytest.raises(StaleTurn):
        await commit(database, a_turn(held))
    assert await total(database) == Sums()


async def test_what_a_person_is_asked_to_answer_counts_as_no_answer_of_ours(
    database: Database,
) -> None:
    receipt = await receive(database, a_message())
    held = await claim(database, receipt.conversation_id)
    await commit(database, a_turn(held, reply=None, outcome="transferred"))
    assert await total(database) == Sums(messages=1, turns=1)


async def test_a_call_without_a_known_price_has_no_currency(database: Database) -> None:
    unknown = CALL | {"cost": None, "currency": "CNY", "outcome": "timeout"}
    await database.write(lambda c: figures.add_call(c, unknown, at=NOON))
    found = await database.read(lambda c: figures.calls(c, since=NOON - 1, until=NOON + 1))
    assert found == {("deepseek", ""): ModelSums(1, 1, 900, 800, 200, 0.0)}


async def test_sums_of_a_name_are_those_of_its_rows(database: Database) -> None:
    def unit(connection: Connection) -> None:
        for channel, tier, intent, n in (
            ("kf", "white", "price", 1),
            ("kf", "gray", "price", 2),
            ("api", "gray", "chat", 4),
        ):
            sums = Sums(messages=n, turns=n, confidence=n / 2)
            figures.add(connection, sums, at=NOON, channel=channel, tier=tier, intent=intent)

    await database.write(unit)
    window = {"since": NOON - 600, "until": NOON + 600}
    found = await database.read(lambda c: figures.by_name(c, "channel", **window))
    assert {name: one.messages for name, one in found.items()} == {"api": 4, "kf": 3}
    found = await database.read(lambda c: figures.by_name(c, "tier", **window))
    assert {name: one.confidence for name, one in found.items()} == {"gray": 3.0, "white": 0.5}
    found = await database.read(lambda c: figures.by_name(c, "intent", **window))
    assert {name: one.turns for name, one in found.items()} == {"chat": 4, "price": 3}


async def _fill(database: Database, *, until: float, hours: int) -> None:
    def unit(connection: Connection) -> None:
        for hour in range(hours):
            at = until - hour * 3_600
            for minute in (0, 17, 51):
                when = at - minute * 60
                one = Sums(messages=1, turns=1, answers=1, response_ms=100, confidence=0.5)
                figures.add(connection, one, at=when, channel="kf", tier="gray", intent="price")
                figures.add_call(connection, CALL, at=when)

    await database.write(unit)


def _rows_by_span(connection: Connection) -> dict[int, int]:
    found = connection.execute(text("SELECT span, COUNT(*) FROM figures GROUP BY span"))
    return {int(row[0]): int(row[1]) for row in found}


def _days(found: dict[str, Sums]) -> dict[str, int]:
    return {day: one.messages for day, one in found.items()}


async def test_putting_stretches_together_changes_no_sum(database: Database) -> None:
    await _fill(database, until=NOON, hours=24 * 5)

    def start(at: float) -> int:
        return day_start(at, BEIJING)

    def days(connection: Connection) -> dict[str, Sums]:
        return figures.by_day(
            connection, since=0, until=2**40, day=lambda slot: day_of(slot, BEIJING)
        )

    before = await database.read(days), await total(database)
    costs = await database.read(lambda c: figures.calls(c, since=0, until=2**40))
    for _ in range(40):
        await database.write(lambda c: figures.fold(c, now=NOON, day_start=start))
    assert await database.write(lambda c: figures.fold(c, now=NOON, day_start=start)) == 0
    after = await database.read(days), await total(database)
    assert after == before
    # Noon to midnight is 12 hours, and noon itself: 13 × 3, of which two lie before midnight.
    assert _days(after[0]) == {
        "2026-05-24": 35,
        "2026-05-25": 72,
        "2026-05-26": 72,
        "2026-05-27": 72,
        "2026-05-28": 72,
        "2026-05-29": 37,
    }
    folded = await database.read(lambda c: figures.calls(c, since=0, until=2**40))
    assert folded[("deepseek", "CNY")].cost == pytest.approx(costs[("deepseek", "CNY")].cost)
    spans = await database.read(_rows_by_span)
    # Hours since yesterday began, days before; by the minute what is younger than two hours.
    assert spans.keys() == {60, 3_600, 86_400}
    assert (spans[86_400], spans[3_600], spans[60]) == (4, 35, 4)


async def test_the_last_day_is_found_whole_whatever_was_put_together(database: Database) -> None:
    await _fill(database, until=NOON, hours=24 * 4)
    for _ in range(20):
        await database.write(
            lambda c: figures.fold(c, now=NOON, day_start=lambda at: day_start(at, BEIJING))
        )
    found = await total(database, since=NOON - 86_400, until=NOON + 1)
    # 24 hours with three messages each, and that of noon itself.
    assert found.messages == 73


async def test_processes_that_put_together_at_once_lose_and_double_nothing(
    database_url: str,
) -> None:
    with open_database(database_url) as one, open_database(database_url) as other:
        await _fill(one, until=NOON, hours=60)
        before = await total(one)

        def fold(connection: Connection) -> int:
            start = 8 * 3_600
            return figures.fold(
                connection,
                now=NOON,
                day_start=lambda at: int((at + start) // 86_400) * 86_400 - start,
            )

        await asyncio.gather(*(db.write(fold) for _ in range(6) for db in (one, other)))
        assert await total(other) == before


async def test_writers_at_the_same_time_each_count(database: Database) -> None:
    receipts = [await receive(database, a_message(n, chat=f"c{n}")) for n in range(30)]
    held = [await claim(database, one.conversation_id) for one in receipts]
    await asyncio.gather(
        *(
            commit(database, a_turn(one, turn_id=f"t-{one.conversation_id}", reply=None))
            for one in held
        )
    )
    assert (await total(database, since=time.time() - 900)).turns == 30
