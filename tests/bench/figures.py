"""``python -m tests.bench.figures``: what counting costs a turn, and what it costs to read the
figures of a year of traffic. SQLite, and PostgreSQL with four writers that count one channel."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta, timezone
from pathlib import Path

from sqlalchemy import Connection, text

from domain.figures import DAY_S, HOUR_S, Sums, day_of, day_start
from engine.figures.alerts import read
from engine.figures.stats import last_day
from storage import figures
from storage.database import Database
from tests.bench.ground import print_machine
from tests.databases import fresh_postgres_database, open_database, postgres_server

BEIJING = timezone(timedelta(hours=8))
ONE = Sums(messages=1, turns=1, answers=1, response_ms=400, confidence=0.9, solved=1)
CHANNELS, TIERS = ("api", "wecom_kf", "wechat", "webhook"), ("white", "gray", "black")
INTENTS = ("price", "usage", "fault", "order_status", "after_sale", "complaint", "other", "chat")
NOTHING = text("SELECT 1")


def databases(stack: ExitStack) -> Iterator[tuple[str, Database]]:
    file = Path(tempfile.mkdtemp(prefix="kefu-figures-")) / "kefu.db"
    yield "SQLite", stack.enter_context(open_database(f"sqlite:///{file}"))
    server = stack.enter_context(postgres_server())
    url = stack.enter_context(fresh_postgres_database(server))
    yield "PostgreSQL", stack.enter_context(open_database(url))


async def counting(database: Database, turns: int) -> tuple[float, float]:
    """Microseconds of a unit that counts and of one that does nothing, as they come in at once."""

    def count(connection: Connection) -> None:
        figures.add(connection, ONE, at=time.time(), channel="api", tier="gray", intent="price")

    def nothing(connection: Connection) -> None:
        connection.execute(NOTHING)

    async def measured(unit: Callable[[Connection], None]) -> float:
        started = time.perf_counter()
        for begin in range(0, turns, 256):
            waves = range(begin, min(begin + 256, turns))
            await asyncio.gather(*(database.write(unit, key=str(n)) for n in waves))
        return (time.perf_counter() - started) / turns * 1e6

    await measured(nothing)
    return await measured(count), await measured(nothing)


def fill_a_year(connection: Connection, now: float) -> None:
    """Days, two days of hours and two hours of minutes, in every combination."""
    spans = [(now - day * DAY_S, "day") for day in range(2, 365)]
    spans += [(now - hour * HOUR_S, "hour") for hour in range(2, 48)]
    spans += [(now - minute * 60, "minute") for minute in range(120)]
    for at, _ in spans:
        for channel in CHANNELS:
            for tier in TIERS:
                for intent in INTENTS:
                    figures.add(connection, ONE, at=at, channel=channel, tier=tier, intent=intent)


async def reading(database: Database, times: int) -> dict[str, float]:
    now = time.time()
    await database.write(lambda c: fill_a_year(c, now))
    for _ in range(20):
        await database.write(
            lambda c: figures.fold(c, now=now, day_start=lambda at: day_start(at, BEIJING))
        )
    asked: dict[str, Callable[[Connection], object]] = {
        "indicators": lambda c: (
            figures.total(c, since=now - HOUR_S, until=now + 1),
            last_day(c, now),
        ),
        "30 days by day": lambda c: figures.by_day(
            c, since=now - 30 * DAY_S, until=now, day=lambda slot: day_of(slot, BEIJING)
        ),
        "a year by intent": lambda c: figures.by_name(c, "intent", since=0, until=now),
        "alerts": lambda c: read(c, now),
    }
    found = {}
    for name, unit in asked.items():
        await database.read(unit)
        started = time.perf_counter()
        for _ in range(times):
            await database.read(unit)
        found[name] = (time.perf_counter() - started) / times * 1e3
    return found


async def main(turns: int, times: int) -> None:
    print_machine()
    with ExitStack() as stack:
        for name, database in databases(stack):
            counted, empty = await counting(database, turns)
            print(f"\n### {name}\n")
            print(f"counting a turn: {counted:.0f} µs (a unit that does nothing: {empty:.0f} µs)\n")
            print("| read | ms |\n|---|---|")
            for what, ms in (await reading(database, times)).items():
                print(f"| {what} | {ms:.2f} |")
            rows = await database.read(
                lambda c: c.execute(text("SELECT COUNT(*) FROM figures")).scalar_one()
            )
            print(f"\nrows: {rows:,}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.turns, arguments.times))
