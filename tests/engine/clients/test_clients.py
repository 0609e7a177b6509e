"""Signing in with keys, on both databases; two of a thing are two processes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pytest
from sqlalchemy import text

from domain.clients import ClientRole
from domain.errors import InvalidInput, NotFound
from engine.clients.clients import (
    OF_ADDRESS,
    OF_CLIENT,
    REMEMBERED_S,
    ClientPolicy,
    Clients,
    NewKey,
    SignedIn,
)
from engine.clients.keys import digest
from engine.clients.watch import ClientNotices, ClientWatch
from engine.desk.people import SignInRefused
from storage.database import Database
from storage.tasks import TaskBook

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.9"
POLICY = ClientPolicy(silence_s=90.0, overlap_s=3_600.0)
BOSS = "boss"


@dataclass(slots=True)
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def process(database: Database, clock: Callable[[], float]) -> Clients:
    return Clients(database, POLICY, back=notices().back, clock=clock)


def notices() -> ClientNotices:
    return ClientNotices(TaskBook(UTC, callbacks=False), {"staff"}, UTC)


@pytest.fixture
def clients(database: Database, clock: Clock) -> Clients:
    return process(database, clock)


async def new(clients: Clients, agent_id: str = "agent_001") -> NewKey:
    return await clients.add(agent_id, name="一号店", role=ClientRole.AGENT, by=BOSS)


async def stands(clients: Clients, signed: SignedIn) -> bool:
    found = await clients.standing(
        signed.client.agent_id, generation=signed.client.generation, key=signed.key.id
    )
    return found is not None


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return await database.read(lambda c: [tuple(row) for row in c.execute(text(sql))])


async def refused(clients: Clients, key: str, address: str = HOME, who: str = "agent_001") -> float:
    """The seconds to wait before the next try; 0: it was a plain no."""
    with pytest.raises(SignInRefused) as caught:
        await clients.sign_in(who, key, address)
    assert caught.value.status == (429 if caught.value.retry_after else 401)
    return caught.value.retry_after


async def test_the_right_key_signs_in_and_is_nowhere_in_the_database(
    clients: Clients, database: Database
) -> None:
    made = await new(clients)
    signed = await clients.sign_in("agent_001", made.text, HOME)
    assert signed.client.role is ClientRole.AGENT
    assert await stands(clients, signed)
    assert len(made.text) > 43
    for table in ("clients", "client_keys", "audit", "sign_in_failures"):
        assert made.text not in repr(await rows(database, f"SELECT * FROM {table}"))
    ((kept,),) = await rows(database, "SELECT digest FROM client_keys")
    assert kept == digest(made.text)


async def test_a_key_opens_its_own_client_only(clients: Clients) -> None:
    made = await new(clients)
    other = await new(clients, "agent_002")
    assert await refused(clients, other.text) == 0
    assert await refused(clients, "") == 0
    assert await refused(clients, made.text, who="agent_003") == 0


async def test_an_id_is_taken_once(clients: Clients) -> None:
    await new(clients)
    with pytest.raises(InvalidInput) as caught:
        await new(clients)
    assert caught.value.status == 409


async def test_old_keys_go_on_beside_a_new_one_for_the_overlap_and_end_by_themselves(
    clients: Clients, clock: Clock
) -> None:
    old = await new(clients)
    before = await clients.sign_in("agent_001", old.text, HOME)
    fresh = await clients.rotate("agent_001", by=BOSS)
    clock.now += POLICY.overlap_s - 1
    await clients.sign_in("agent_001", old.text, HOME)
    after = await clients.sign_in("agent_001", fresh.text, HOME)
    assert await stands(clients, before)
    clock.now += 2
    assert await refused(clients, old.text) == 0
    assert not await stands(clients, before)
    assert await stands(clients, after)


async def test_a_key_that_was_rotated_twice_ends_no_later_than_the_first_time(
    clients: Clients, clock: Clock
) -> None:
    old = await new(clients)
    await clients.rotate("agent_001", by=BOSS, overlap_s=60)
    await clients.rotate("agent_001", by=BOSS, overlap_s=7_200)
    clock.now += 61
    assert await refused(clients, old.text) == 0


async def test_a_revoked_key_ends_its_tokens_at_once_and_no_others(clients: Clients) -> None:
    first = await new(clients)
    second = await clients.rotate("agent_001", by=BOSS)
    of_first = await clients.sign_in("agent_001", first.text, HOME)
    of_second = await clients.sign_in("agent_001", second.text, HOME)
    assert await clients.revoke("agent_001", first.id, by=BOSS) == 1
    assert not await stands(clients, of_first)
    assert await stands(clients, of_second)
    assert await refused(clients, first.text) == 0
    with pytest.raises(NotFound):
        await clients.revoke("agent_001", first.id, by=BOSS)


async def test_disabling_ends_the_tokens_for_good_even_when_it_is_enabled_again(
    clients: Clients,
) -> None:
    made = await new(clients)
    signed = await clients.sign_in("agent_001", made.text, HOME)
    await clients.change("agent_001", by=BOSS, enabled=False)
    assert not await stands(clients, signed)
    assert await refused(clients, made.text) == 0
    await clients.change("agent_001", by=BOSS, enabled=True)
    assert not await stands(clients, signed)
    assert await stands(clients, await clients.sign_in("agent_001", made.text, HOME))


async def test_another_role_ends_the_tokens_and_another_name_does_not(clients: Clients) -> None:
    made = await new(clients)
    signed = await clients.sign_in("agent_001", made.text, HOME)
    await clients.change("agent_001", by=BOSS, name="二号店", role=ClientRole.AGENT)
    assert await stands(clients, signed)
    await clients.change("agent_001", by=BOSS, role=ClientRole.VIEWER)
    assert not await stands(clients, signed)


async def test_another_process_hears_of_it_within_seconds(
    clients: Clients, database: Database, clock: Clock
) -> None:
    assert REMEMBERED_S <= 3
    made, other = await new(clients), Clients(database, POLICY, clock=clock, remembered_s=0)
    signed = await clients.sign_in("agent_001", made.text, HOME)
    assert await stands(other, signed)
    await clients.revoke("agent_001", None, by=BOSS)
    assert not await stands(other, signed)


async def test_wrong_keys_are_counted_over_all_processes(
    clients: Clients, database: Database, clock: Clock
) -> None:
    made, other = await new(clients), process(database, clock)
    tries = [await refused(one, "kfc_wrong") for one in (clients, other) * 3]
    assert tries[: OF_CLIENT.free] == [0.0] * OF_CLIENT.free
    assert tries[OF_CLIENT.free] == OF_CLIENT.wait_s
    assert await refused(other, made.text) > 0
    clock.now += OF_CLIENT.wait_s
    await other.sign_in("agent_001", made.text, HOME)


async def test_guesses_from_elsewhere_do_not_lock_out_a_client_at_its_place(
    clients: Clients,
) -> None:
    made = await new(clients)
    await clients.sign_in("agent_001", made.text, HOME)
    for _ in range(OF_CLIENT.free):
        await refused(clients, "kfc_wrong", ELSEWHERE)
    assert await refused(clients, made.text, ELSEWHERE) > 0
    await clients.sign_in("agent_001", made.text, HOME)


async def test_an_address_that_tries_many_clients_is_slowed_down(clients: Clients) -> None:
    waits = [
        await refused(clients, "kfc_wrong", ELSEWHERE, f"agent_{one:03}")
        for one in range(OF_ADDRESS.free + 1)
    ]
    assert waits == [0.0] * OF_ADDRESS.free + [OF_ADDRESS.wait_s]
    assert await refused(clients, "kfc_wrong", HOME, "agent_000") == 0


async def test_every_act_is_audited_and_a_storm_of_guesses_is_not_written_out(
    clients: Clients, database: Database, clock: Clock
) -> None:
    made = await new(clients)
    await clients.sign_in("agent_001", made.text, HOME)
    await clients.rotate("agent_001", by=BOSS)
    await clients.revoke("agent_001", None, by=BOSS)
    await clients.change("agent_001", by=BOSS, enabled=False)
    found = await rows(database, "SELECT actor, action FROM audit ORDER BY id")
    assert found == [
        (BOSS, "client.add"),
        (BOSS, "client.key"),
        ("client:agent_001", "client.sign_in"),
        (BOSS, "client.key"),
        (BOSS, "client.revoke"),
        (BOSS, "client.change"),
    ]
    for one in range(200):
        clock.now += OF_ADDRESS.wait_s
        await refused(clients, "kfc_wrong", ELSEWHERE, f"nobody-{one}")
    ((written,),) = await rows(
        database, "SELECT count(*) FROM audit WHERE action = 'client.refused'"
    )
    assert 0 < written < 50


# Heartbeats -----------------------------------------------------------------------------------


def watch(
    database: Database, clock: Clock, owner: str = "one", *, alone: bool = True
) -> ClientWatch:
    return ClientWatch(database, POLICY, notices(), owner=owner, alone=alone, clock=clock)


async def told(database: Database) -> list[tuple[str, str]]:
    found = await rows(database, "SELECT payload FROM outbox WHERE channel = 'staff' ORDER BY id")
    payloads = [json.loads(row[0]) for row in found]
    return [(payload["reason"], payload["title"]) for payload in payloads]


GONE = ("client_offline", "客户端离线：一号店")
BACK = ("client_back", "客户端恢复：一号店")


async def test_a_client_that_misses_three_heartbeats_is_told_of_once_and_once_when_it_is_back(
    clients: Clients, database: Database, clock: Clock
) -> None:
    await new(clients)
    sweeps = watch(database, clock)
    assert await clients.heartbeat("agent_001", {"wx_online": True})
    clock.now += POLICY.silence_s
    assert await sweeps.sweep() == []
    clock.now += 1
    assert await sweeps.sweep() == ["agent_001"]
    assert await sweeps.sweep() == []
    assert await told(database) == [GONE]
    for _ in range(3):
        await clients.heartbeat("agent_001", {})
        clock.now += 30
    assert await sweeps.sweep() == []
    assert await told(database) == [GONE, BACK]
    clock.now += POLICY.silence_s
    assert await sweeps.sweep() == ["agent_001"]
    assert await told(database) == [GONE, BACK, GONE]


async def test_of_several_processes_one_tells(
    clients: Clients, database: Database, clock: Clock
) -> None:
    await new(clients)
    await clients.heartbeat("agent_001", {})
    clock.now += POLICY.silence_s + 1
    both = [watch(database, clock, owner, alone=False) for owner in ("one", "other")]
    assert [await one.sweep() for one in both] == [["agent_001"], []]
    assert await told(database) == [GONE]


async def test_a_watch_that_is_gone_is_followed_by_another(
    clients: Clients, database: Database, clock: Clock
) -> None:
    await new(clients)
    await clients.heartbeat("agent_001", {})
    assert await watch(database, clock, "one", alone=False).sweep() == []
    clock.now += POLICY.silence_s + 1
    assert await watch(database, clock, "other", alone=False).sweep() == ["agent_001"]


async def test_nobody_is_missed_for_the_time_in_which_the_service_was_not_there(
    clients: Clients, database: Database, clock: Clock
) -> None:
    await new(clients)
    await clients.heartbeat("agent_001", {})
    clock.now += 10_000
    sweeps = watch(database, clock, alone=False)
    await sweeps.start()
    try:
        assert await sweeps.sweep() == []
        clock.now += POLICY.silence_s + 1
        assert await sweeps.sweep() == ["agent_001"]
    finally:
        await sweeps.stop()


async def test_who_is_disabled_or_never_came_is_not_missed(
    clients: Clients, database: Database, clock: Clock
) -> None:
    await new(clients)
    await new(clients, "agent_002")
    await clients.heartbeat("agent_001", {})
    await clients.change("agent_001", by=BOSS, enabled=False)
    clock.now += POLICY.silence_s + 1
    assert await watch(database, clock).sweep() == []


async def test_of_a_client_that_nobody_registered_nothing_is_kept(
    clients: Clients, database: Database
) -> None:
    assert not await clients.heartbeat("stranger", {"cpu_percent": 1})
    assert await rows(database, "SELECT * FROM heartbeats") == []
