"""Guesses at keys, leases of periodic work and the audit log, on both databases."""

from functools import partial

import pytest
from sqlalchemy import Connection

from domain.clients import Throttle
from storage import audit, sign_ins, watches
from storage.clock import iso
from storage.database import Database

NOW = 1_800_000_000.0
FEW = Throttle(free=3, wait_s=30.0, forget_s=900.0)
MANY = Throttle(free=100, wait_s=2.0, forget_s=900.0)


async def guess(database: Database, at: float, **limits: Throttle) -> float:
    return await database.write(lambda c: sign_ins.attempt(c, limits, now=NOW + at))


async def test_after_the_free_guesses_one_is_tried_every_so_often(database: Database) -> None:
    waits = [await guess(database, at, a=FEW) for at in (0, 1, 2, 3, 31.9)]
    assert waits == pytest.approx([0, 0, 0, 29, 0.1], abs=1e-3)
    assert await guess(database, 32, a=FEW) == 0
    assert await guess(database, 33, a=FEW) == pytest.approx(29)


async def test_a_guess_that_may_not_be_made_costs_none_of_the_other_limits(
    database: Database,
) -> None:
    for at in range(3):
        await guess(database, at, a=FEW)
    for _ in range(5):
        assert await guess(database, 3, a=FEW, b=FEW) > 0
    assert await guess(database, 3, b=FEW) == 0


async def test_the_right_key_and_a_quiet_time_forget_what_was_wrong(database: Database) -> None:
    for at in range(3):
        await guess(database, at, a=FEW, b=FEW)
    await database.write(lambda c: sign_ins.was_right(c, ["a"]))
    assert [await guess(database, 3, a=FEW) for _ in range(3)] == [0, 0, 0]
    assert [await guess(database, 903.1, b=FEW) for _ in range(3)] == [0, 0, 0]
    assert await guess(database, 903.1, b=FEW) == 30


async def test_guesses_that_come_at_once_are_no_more_than_one_after_another(
    database: Database,
) -> None:
    limits = {"a": FEW}
    made = [
        database.write(lambda c: sign_ins.attempt(c, limits, now=NOW), key=str(one))
        for one in range(40)
    ]
    assert [await one for one in made].count(0.0) == 3


async def test_invented_names_do_not_fill_the_table(database: Database) -> None:
    for one in range(12):
        await guess(database, one, **{f"agent:{one}": MANY})
    gone = await database.write(lambda c: sign_ins.prune(c, before=NOW + 4, keep=5))
    assert gone == 7
    assert await guess(database, 13, **{"agent:11": Throttle(free=2, wait_s=9)}) == 0
    assert await guess(database, 13, **{"agent:11": Throttle(free=2, wait_s=9)}) == 9


async def test_one_process_at_a_time_holds_a_watch_until_it_lets_go_or_is_gone(
    database: Database,
) -> None:
    async def holds(owner: str, at: float, name: str = "clients") -> bool:
        return await database.write(
            lambda c: watches.hold(c, name, owner, now=NOW + at, lease_s=30)
        )

    assert await holds("one", 0)
    assert not await holds("other", 10)
    assert await holds("other", 10, "something else")
    assert await holds("one", 20)
    assert not await holds("other", 49)
    assert await holds("other", 50.1)
    await database.write(lambda c: watches.let_go(c, "clients", "one"))
    assert not await holds("one", 51)
    await database.write(lambda c: watches.let_go(c, "clients", "other"))
    assert await holds("one", 52)


async def test_the_audit_log_is_found_by_actor_action_subject_and_time(database: Database) -> None:
    rows = (
        ("client:one", "client.sign_in", "one"),
        ("boss", "client.change", "one"),
        ("boss", "clientele", "two"),
        ("boss", "order.quote", "7"),
    )
    for at, (actor, action, subject) in enumerate(rows):
        entry = {"at": iso(NOW + at), "actor": actor, "action": action, "subject": subject}
        await database.write(partial(_record, entry=entry, number=at))

    async def found(limit: int = 10, **wanted: str | int) -> list[int]:
        entries = await database.read(lambda c: audit.search(c, wanted, limit=limit))
        return [entry["detail"]["n"] for entry in entries]

    assert await found() == [3, 2, 1, 0]
    assert await found(actor="boss") == [3, 2, 1]
    assert await found(action="client.*") == [1, 0]
    assert await found(action="client.change", subject="one") == [1]
    assert await found(action="c_ient.*") == []
    assert await found(since=iso(NOW + 1), until=iso(NOW + 3)) == [2, 1]
    newest = await database.read(lambda c: audit.search(c, {}, limit=2))
    assert await found(before=newest[-1]["id"], limit=2) == [1, 0]


def _record(connection: Connection, *, entry: dict[str, str], number: int) -> None:
    audit.record(connection, **entry, detail={"n": number})
