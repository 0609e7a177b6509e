"""Stopping, dying and being overtaken: another process goes on where this one left off."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from domain.errors import StorageError
from domain.messages import InboundMessage
from engine.delivery import Channel
from storage import inbox
from storage.database import Database
from storage.inbox import Claim
from tests.databases import fresh_postgres_database, open_database
from tests.engine.processes import (
    QUICK,
    Clock,
    Process,
    StandingClock,
    a_message,
    answer_to,
    running_process,
    shown,
)
from tests.sandbox_server import SandboxServer

SWEEPING = replace(QUICK, sweep_s=0.05)
HELD_LEASES = (
    "SELECT lease_owner, attempts FROM conversations WHERE lease_until > 0 OR attempts > 0"
    " UNION ALL SELECT lease_owner, 0 FROM outbox WHERE lease_until > 0"
)


async def store(database: Database, message: InboundMessage, claim_for: str | None = None) -> None:
    """Intake by a process that dies right after its commit."""
    stamped = replace(message, received_at=time.time())
    await database.write(
        lambda c: inbox.receive(c, stamped, claim_for=claim_for, lease_s=QUICK.lease_s)
    )


def claim(connection: Connection, message: InboundMessage) -> Claim | None:
    return inbox.claim(
        connection,
        message.conversation,
        owner="dead",
        now=time.time() + 1,
        lease_s=QUICK.lease_s,
        merge_limit=1,
    )


async def test_a_graceful_stop_lets_running_turns_finish(database_url: str) -> None:
    message = a_message("慢")
    async with running_process(database_url) as process:
        hold = process.knowledge.hold("慢")
        asking = asyncio.create_task(process.engine.ask(message))
        await hold.reached.wait()
        stopping = asyncio.create_task(process.engine.stop(10))
        await asyncio.sleep(0)
        hold.let_go.set()
        await stopping
        assert (await asking)["content"] == answer_to(message)
        assert await process.rows(HELD_LEASES) == []


async def test_a_stop_gives_back_what_it_could_not_finish_and_the_next_process_answers(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    message = a_message("慢", route="push")
    async with running_process(database_url, channels=channels, owner="p1") as process:
        hold = process.knowledge.hold("慢")
        await process.engine.receive(message)
        await hold.reached.wait()
        await process.engine.stop(0.05)
        assert await process.rows(HELD_LEASES) == []
    async with running_process(database_url, channels=channels, owner="p2"):
        texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [answer_to(message)]


async def test_a_stop_gives_back_what_was_claimed_and_not_begun(database_url: str) -> None:
    policy = replace(QUICK, concurrent_turns=1)
    async with running_process(database_url, policy=policy) as process:
        hold = process.knowledge.hold("慢")
        await process.engine.receive(a_message("慢", chat="甲"))
        await hold.reached.wait()
        await process.engine.receive(a_message("一号", chat="乙"))
        await process.engine.stop(0.05)
        assert await process.rows(HELD_LEASES) == []


async def test_a_delivery_that_a_stop_interrupts_is_made_by_the_next_process(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "hang", count=1)
    message = a_message("一号", route="push")
    async with running_process(database_url, channels=channels, owner="p1") as process:
        await process.engine.receive(message)
        await asyncio.to_thread(sandbox_server.journal, "webhook", at_least=1, wait=5)
        await process.engine.stop(0.05)
        assert await process.rows(HELD_LEASES) == []
    async with running_process(database_url, channels=channels, owner="p2"):
        texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [answer_to(message)]


async def test_messages_that_nobody_was_woken_for_are_found_at_start(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    messages = [a_message(f"{n}号", chat=f"客户{n}", route="push") for n in range(5)]
    with open_database(database_url) as database:
        for message in messages:
            await store(database, message)
    async with running_process(database_url, channels=channels, owner="p2"):
        for message in messages:
            texts = await asyncio.to_thread(shown, sandbox_server, message.chat_id, at_least=1)
            assert texts == [answer_to(message)]


async def test_the_only_process_takes_over_at_once_what_a_dead_one_had_claimed(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    message = a_message("一号", route="push")
    with open_database(database_url) as database:
        await store(database, message, claim_for="dead")
    async with running_process(database_url, channels=channels, alone=True):
        texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
    assert texts == [answer_to(message)]


async def test_messages_that_killed_every_process_that_took_them_are_parked(
    database_url: str,
) -> None:
    policy = replace(QUICK, crash_limit=2)
    message = a_message("毒")
    with open_database(database_url) as database:
        await store(database, message, claim_for="dead")
        for _ in range(2):
            await database.write(inbox.release_all_leases)
            assert await database.write(lambda c: claim(c, message)) is not None
    async with running_process(database_url, policy=policy, alone=True) as process:
        answer = await process.engine.ask(message)
        assert answer["decision"] == "default"
        assert process.knowledge.searched == []
        parked = await process.rows("SELECT error FROM dead_letters")
    assert parked == [{"error": "the process died 3 times in this turn"}]


@pytest.mark.parametrize("route", ["poll", "push"])
async def test_a_paused_process_cannot_commit_a_turn_that_another_has_taken_over(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer, route: str
) -> None:
    later = Clock()
    message = a_message("慢", route="push" if route == "push" else "poll")
    async with (
        running_process(database_url, channels=channels, owner="paused") as paused,
        running_process(
            database_url, channels=channels, owner="other", policy=SWEEPING, clock=later
        ) as other,
    ):
        hold = paused.knowledge.hold("慢")
        await paused.engine.receive(message)
        await hold.reached.wait()
        assert other.knowledge.searched == []
        later.ahead = QUICK.lease_s + 1
        await other.quiet()
        hold.let_go.set()
        await paused.until(lambda: _idle(paused))
        assert (len(paused.knowledge.searched), len(other.knowledge.searched)) == (1, 1)
        assert await other.count("turns") == 1
        replies = await other.rows("SELECT content FROM messages WHERE role = 'assistant'")
        assert [row["content"] for row in replies] == [answer_to(message)]
        if route == "push":
            texts = await asyncio.to_thread(shown, sandbox_server, at_least=1)
            assert texts == [answer_to(message)]


async def test_a_caller_of_an_overtaken_process_gets_the_other_ones_answer(
    database_url: str,
) -> None:
    later = Clock()
    message = a_message("慢")
    async with (
        running_process(database_url, owner="paused") as paused,
        running_process(database_url, owner="other", policy=SWEEPING, clock=later) as other,
    ):
        hold = paused.knowledge.hold("慢")
        asking = asyncio.create_task(paused.engine.ask(message, deadline_s=2))
        await hold.reached.wait()
        later.ahead = QUICK.lease_s + 1
        await other.quiet()
        hold.let_go.set()
        assert (await asking)["content"] == answer_to(message)


async def test_a_held_turn_keeps_its_lease_as_long_as_its_process_lives(
    database_url: str,
) -> None:
    policy, clock = replace(SWEEPING, lease_s=0.3), StandingClock()
    message = a_message("慢")
    async with (
        running_process(database_url, owner="p1", policy=policy, clock=clock) as holder,
        running_process(database_url, owner="p2", policy=policy, clock=clock) as other,
    ):
        hold = holder.knowledge.hold("慢")
        asking = asyncio.create_task(holder.engine.ask(message))
        await hold.reached.wait()
        for _ in range(8):
            clock.now += policy.lease_s / 3
            await holder.until(lambda: _is_renewed(holder, clock() + policy.lease_s))
        assert other.knowledge.searched == []
        hold.let_go.set()
        assert (await asking)["content"] == answer_to(message)
        assert await holder.count("turns") == 1


async def _is_renewed(process: Process, until: float) -> bool:
    (row,) = await process.rows("SELECT lease_until FROM conversations")
    return bool(row["lease_until"] > until - 0.01)


async def test_two_processes_that_get_the_same_messages_run_each_turn_once(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    messages = [a_message(f"{n}号", chat=f"客户{n % 4}", route="push") for n in range(40)]
    policy = replace(SWEEPING, debounce_async_s=0.02)
    async with (
        running_process(database_url, channels=channels, owner="p1", policy=policy) as one,
        running_process(database_url, channels=channels, owner="p2", policy=policy) as two,
    ):
        receipts = await asyncio.gather(
            *(process.engine.receive(m) for m in messages for process in (one, two))
        )
        assert sorted(r.duplicate for r in receipts) == [False] * 40 + [True] * 40
        await one.quiet()
        await two.quiet()
        turns = await one.count("turns")
        assert len(one.knowledge.searched) + len(two.knowledge.searched) >= turns

        async def all_delivered() -> bool:
            return not await one.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

        await one.until(all_delivered)
    for chat in {m.chat_id for m in messages}:
        texts = await asyncio.to_thread(shown, sandbox_server, chat)
        lines = "\n".join(text.removeprefix("答:") for text in texts).splitlines()
        assert sorted(lines) == sorted(m.text for m in messages if m.chat_id == chat)


async def test_a_process_that_freezes_inside_a_transaction_does_not_hold_up_the_others(
    postgres_url: str,
) -> None:
    with fresh_postgres_database(postgres_url) as url, open_database(url) as other:
        frozen = Database(url, frozen_s=0.3)
        await asyncio.to_thread(frozen.start)
        message = a_message("一号")
        await store(other, message)
        begun, thaw = threading.Event(), threading.Event()

        def freeze(connection: Connection) -> None:
            claim(connection, message)
            begun.set()
            thaw.wait()
            claim(connection, message)

        freezing = frozen.write(freeze)
        await asyncio.to_thread(begun.wait)
        taken = await asyncio.wait_for(other.write(lambda c: claim(c, message)), timeout=5)
        assert taken is not None
        thaw.set()
        with pytest.raises(StorageError):
            await freezing
        assert await frozen.write(lambda c: claim(c, message)) is None
        await asyncio.to_thread(frozen.close)


async def _idle(process: Process) -> bool:
    return not process.turns.active
