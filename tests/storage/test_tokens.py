"""One fetches, under a lease, and what it stores is of one generation more."""

from storage import tokens
from storage.database import Database

KEY, NOW = "wecom:ww12:0a1b", 1_700_000_000.0


async def leased(
    database: Database, owner: str, *, generation: int = 0, now: float = NOW, key: str = KEY
) -> bool:
    return await database.write(
        lambda c: tokens.lease(c, key, generation=generation, owner=owner, now=now, until=now + 15)
    )


async def stored(database: Database, owner: str, token: str) -> int | None:
    return await database.write(
        lambda c: tokens.store(
            c, KEY, owner=owner, token=token, fetched_ts=NOW, expires_ts=NOW + 7_200
        )
    )


async def found(database: Database, key: str = KEY) -> tokens.TokenRow:
    return await database.read(lambda c: tokens.find(c, key))


async def test_a_token_that_nobody_has_fetched_is_of_no_generation(database: Database) -> None:
    assert await found(database) == ("", 0, 0.0, 0.0, 0.0)


async def test_one_of_two_gets_the_lease(database: Database) -> None:
    assert await leased(database, "one")
    assert not await leased(database, "two")
    assert not await leased(database, "one")
    assert (await found(database)).lease_until == NOW + 15
    assert await leased(database, "two", key="wecom:ww12:ffff")


async def test_what_is_stored_ends_the_lease_and_is_one_generation_more(
    database: Database,
) -> None:
    assert await leased(database, "one")
    assert await stored(database, "one", "sealed") == 1
    assert await found(database) == ("sealed", 1, NOW, NOW + 7_200, 0.0)


async def test_who_has_not_seen_the_newest_does_not_get_the_lease(database: Database) -> None:
    assert await leased(database, "one")
    assert await stored(database, "one", "sealed") == 1
    assert not await leased(database, "two", generation=0)
    assert await leased(database, "two", generation=1)


async def test_a_lease_that_ran_out_goes_to_the_next_and_the_first_stores_nothing(
    database: Database,
) -> None:
    assert await leased(database, "one")
    assert not await leased(database, "two", now=NOW + 14.9)
    assert await leased(database, "two", now=NOW + 15)
    assert await stored(database, "one", "late") is None
    assert await stored(database, "two", "sealed") == 1
    assert await stored(database, "two", "again") is None
    assert (await found(database)).token == "sealed"


async def test_only_the_holder_gives_the_lease_up(database: Database) -> None:
    assert await leased(database, "one")
    await database.write(lambda c: tokens.release(c, KEY, owner="two"))
    assert not await leased(database, "two")
    await database.write(lambda c: tokens.release(c, KEY, owner="one"))
    assert await leased(database, "two")
