"""How often something is sent to one place, on both databases."""

from storage import paces
from storage.database import Database
from storage.paces import Pace

TWENTY = (Pace(20, 60.0),)
BOTH = (Pace(2, 1.0), Pace(3, 60.0))
NOW = 1_800_000_000.0


async def take(database: Database, place: str, rates: tuple[Pace, ...], now: float = NOW) -> float:
    return await database.write(lambda c: paces.take(c, place, rates, now=now), key=place)


async def test_the_21st_of_a_minute_waits_until_the_first_is_a_minute_old(
    database: Database,
) -> None:
    waits = [await take(database, "dingtalk", TWENTY, NOW + at) for at in range(20)]
    assert waits == [0.0] * 20
    assert await take(database, "dingtalk", TWENTY, NOW + 20) == 40.0
    assert await take(database, "dingtalk", TWENTY, NOW + 60) == 0.0
    assert await take(database, "dingtalk", TWENTY, NOW + 60) == 1.0


async def test_no_window_of_a_minute_holds_more_than_was_allowed(database: Database) -> None:
    now, sent = NOW, list[float]()
    while len(sent) < 70:
        wait = await take(database, "x", TWENTY, now)
        if wait:
            now += wait
        else:
            sent.append(now)
            now += 0.7
    for first in sent:
        assert sum(first <= at < first + 60.0 for at in sent) <= 20


async def test_the_strictest_of_several_rates_counts(database: Database) -> None:
    assert [await take(database, "x", BOTH) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert await take(database, "x", BOTH, NOW + 1) == 0.0
    assert await take(database, "x", BOTH, NOW + 2) == 58.0


async def test_each_place_has_a_pace_of_its_own(database: Database) -> None:
    one = (Pace(1, 60.0),)
    assert [await take(database, place, one) for place in "aba"] == [0.0, 0.0, 60.0]


async def test_a_clock_that_was_set_back_does_not_stop_anything(database: Database) -> None:
    assert [await take(database, "x", TWENTY, NOW + 9_000) for _ in range(20)] == [0.0] * 20
    assert await take(database, "x", TWENTY, NOW) == 0.0
