"""What is remembered of customers: found again, and never after their row has changed."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from domain.decisions import CustomerFacts
from domain.lru import ByteLru, Found
from storage import customers
from storage.customers import REMEMBERED
from storage.database import Database
from tests.databases import open_database

WHO = "web::u1"
INSERT = (
    "INSERT INTO customers (contact_id, name, level, score, state, total_messages, last_active_at,"
    " remark) VALUES (:id, '张三', 'gray', 60, 'new', 1, '', '')"
)


class Process:
    """One with a memory of its own; ``looks``: what came of each."""

    def __init__(self, database: Database) -> None:
        self.database, self.looks = database, list[Found]()
        lru: ByteLru[str, CustomerFacts] = ByteLru(1 << 20, ttl_s=60.0, count=self.looks.append)
        database.engine.update_execution_options(**{REMEMBERED: lru})

    async def facts(self, name: str = "") -> CustomerFacts:
        return await self.database.read(
            lambda c: customers.facts(c, WHO, name, conversation_id="c_1", now=0.0)
        )

    async def run(self, sql: str) -> None:
        await self.database.write(lambda c: c.execute(text(sql), {"id": WHO}))


@pytest.fixture
def processes(database_url: str) -> Iterator[tuple[Process, Process]]:
    with open_database(database_url) as one, open_database(database_url) as two:
        yield Process(one), Process(two)


async def test_a_customer_is_read_once_and_counted_each_time(
    processes: tuple[Process, Process],
) -> None:
    one, two = processes
    await one.run(INSERT)
    first = await one.facts()
    await two.run("UPDATE customers SET total_messages = 7 WHERE contact_id = :id")
    again = await one.facts()
    assert one.looks == ["miss", "hit"]
    assert (first.name, first.total_messages, again.total_messages) == ("张三", 1, 7)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("name", "'李四'", "李四"),
        ("level", "'black'", "black"),
        ("score", "85", 85),
        ("state", "'deal'", "deal"),
        ("tags", """'["vip"]'""", ("vip",)),
    ],
)
async def test_a_change_by_another_process_is_seen_at_once(
    processes: tuple[Process, Process], column: str, value: str, shown: object
) -> None:
    one, two = processes
    await one.run(INSERT)
    await one.facts()
    await two.run(f"UPDATE customers SET {column} = {value} WHERE contact_id = :id")
    assert getattr(await one.facts(), column) == shown
    assert one.looks == ["miss", "stale"]


async def test_who_was_erased_is_nobody(processes: tuple[Process, Process]) -> None:
    one, two = processes
    await one.run(INSERT)
    await one.facts()
    await two.run("DELETE FROM customers WHERE contact_id = :id")
    assert await one.facts("新客") == CustomerFacts(contact_id=WHO, name="新客")
