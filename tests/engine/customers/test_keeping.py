"""What the sweep does for customers: it ages them, and removes files of who was erased."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

from domain.customers import DAY_S
from engine.customers.desk import CustomerDesk
from engine.customers.keeping import CustomerKeeping
from engine.regressions.files import Regressions
from storage import customer_counts, customer_erasures
from storage.customer_erasures import erase
from storage.database import Database
from storage.history import rows
from tests.storage.everyone import Somebody, fill
from tests.tools.pictures.drawing import jpeg, paper
from tools.pictures.store import PictureStore

CONTACT = "web:shop:u"


class Floor:
    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.now = database, time.time()
        self.store = PictureStore(folder / "pictures")
        self.regressions = Regressions(folder / "regressions")
        self.desk = CustomerDesk(
            database, self.store, self.regressions, wording_of=str.strip, clock=self.clock
        )
        self.keeping = CustomerKeeping(
            database, self.desk, churn_days=90, every_s=3_600, first_after_s=0, clock=self.clock
        )

    def clock(self) -> float:
        return self.now


@pytest.fixture
def floor(database: Database, tmp_path: Path) -> Floor:
    return Floor(database, tmp_path)


async def test_customers_age_without_a_message(floor: Floor) -> None:
    for number in range(3):
        contact, now = f"{CONTACT}{number}", floor.now

        def write(connection: Connection, contact: str = contact, now: float = now) -> None:
            customer_counts.wrote(connection, contact, name="", messages=1, intent="price", now=now)

        await floor.database.write(write)
    floor.now += 91 * DAY_S
    assert await floor.keeping.age() == 3
    found = await floor.database.read(lambda c: rows(c, "SELECT state, score FROM customers"))
    # 40 * 0.6 + 30 * 0/1 + 30 * 0.6 = 42
    assert found == [{"state": "churn", "score": 42}] * 3
    assert await floor.keeping.age() == 0


async def test_files_that_a_crash_left_of_who_was_erased_are_removed(floor: Floor) -> None:
    stored = await floor.store.put(jpeg(paper(40, 40)))
    who = Somebody(3)
    who.picture = stored.sha256
    await floor.database.write(lambda c: fill(c, who))
    floor.now += 5
    kept = floor.regressions.folder / f"{who.marker}.yaml"
    kept.parent.mkdir()
    kept.write_text("turns: []", "utf-8")

    # The rows are gone, and the process died before it came to the files.
    await floor.database.write(
        lambda c: erase(c, who.contact, actor="boss", now=floor.now, wording_of=str.strip)
    )
    assert await floor.store.holds(stored.sha256)
    assert await floor.keeping.finish() == 1
    assert not await floor.store.holds(stored.sha256)
    assert not kept.exists()
    assert await floor.database.read(customer_erasures.unfinished) == []


async def test_a_picture_that_has_come_again_since_stays(floor: Floor) -> None:
    data = jpeg(paper(40, 40))
    stored = await floor.store.put(data)
    who = Somebody(3)
    who.picture = stored.sha256
    await floor.database.write(lambda c: fill(c, who))
    floor.now -= 5
    await floor.database.write(
        lambda c: erase(c, who.contact, actor="boss", now=floor.now, wording_of=str.strip)
    )
    await floor.keeping.finish()
    assert await floor.store.holds(stored.sha256)
    assert await floor.store.read(stored.sha256) == data
