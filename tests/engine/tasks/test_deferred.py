"""Tools that do more than make rows: called by the runner, under one key, never twice at once."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from domain.decisions import Effect, EffectKind
from domain.errors import PeerRejected, PeerUnavailable
from domain.tasks import TaskStatus
from engine.delivery import Channel
from engine.tasks.runner import AT_ONCE
from storage.database import Database
from tests.databases import open_database
from tests.engine.processes import Clock, Process, Tasks, a_message, running_process
from tests.engine.tasks.orders import (
    PATIENT,
    at_time,
    audit,
    becomes,
    callbacks,
    pass_time,
    receive,
    status,
)
from tests.sandbox_server import SandboxServer
from tools.registry import STAFF, Tool, ToolCall, ToolOutcome

ACTION = {"type": "call_peer", "what": "查库存"}
LEASE_S = 600.0


class Asked(BaseModel):
    what: str


class Answered(BaseModel):
    stock: int


@dataclass
class Peer:
    """A peer behind a tool: notes each call, fails or holds as told."""

    errors: list[Exception] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    hold: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, call: ToolCall, args: Asked) -> ToolOutcome:
        self.calls.append(call.key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.reached.set()
            if self.hold is not None:
                await self.hold.wait()
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self.at_once -= 1
        notice = {"title": "库存", "text": args.what, "priority": "normal", "reason": "stock"}
        return ToolOutcome({"stock": 3}, (Effect(EffectKind.NOTICE, "notice", notice),))

    def tool(self) -> Tool[Any]:
        about = "Asks a peer for its stock."
        return Tool("call_peer", about, Asked, Answered, STAFF, self.run, inline=False)


async def start(
    stack: AsyncExitStack,
    url: str,
    channels: dict[str, Channel],
    peer: Peer,
    *,
    owner: str = "p1",
    alone: bool = False,
    clock: Clock | None = None,
    **tasks: Any,
) -> Process:
    running = running_process(
        url,
        channels=channels,
        policy=PATIENT,
        clock=clock or Clock(),
        owner=owner,
        alone=alone,
        tasks=Tasks(tools=(peer.tool(),), **tasks),
    )
    return await stack.enter_async_context(running)


async def fire(process: Process) -> dict[str, Any]:
    return await process.engine.ask(a_message("", whole="好的"))


async def test_the_turn_does_not_wait_for_a_tool_that_calls_a_peer(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    peer = Peer(hold=asyncio.Event())
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer)
        task = await receive(process, action=ACTION)
        answer = await fire(process)
        assert (answer["decision"], await status(process, task)) == ("task", "triggered")
        assert peer.hold is not None
        peer.hold.set()
        done = await becomes(process, task, "completed")
        assert (done["result"], len(peer.calls)) == ('{"stock": 3}', 1)
        (told,) = await callbacks(sandbox_server, task)
        assert told["result"] == {"stock": 3}
        assert len(await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)) == 1


async def test_a_peer_that_is_away_is_asked_again_with_backoff_under_the_same_key(
    database_url: str, channels: dict[str, Channel]
) -> None:
    peer = Peer([PeerUnavailable("erp", "away")] * 2)
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer)
        task = await receive(process, action=ACTION)
        await fire(process)
        done = await becomes(process, task, "completed")
        assert (done["retry_count"], done["error_message"]) == (2, None)
        assert len(peer.calls) == 3
        assert len(set(peer.calls)) == 1
        tries = [detail for action, detail in await audit(process, task) if "attempt" in action]
        assert tries == [{"error": "erp: away", "retry": n} for n in (1, 2)]


async def test_the_wait_between_two_attempts_doubles(
    database_url: str, channels: dict[str, Channel]
) -> None:
    peer = Peer([PeerUnavailable("erp", "away")] * 4)
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer, backoff_base_s=60.0)
        task = await receive(process, action=ACTION)
        await fire(process)

        async def failed_once() -> bool:
            return bool((await process.tasks.status(task))["retry_count"])

        await process.until(failed_once)
        found = await process.tasks.status(task)
        (row,) = await process.rows("SELECT due_at, body FROM tasks")
        assert (found["status"], found["error_message"]) == ("triggered", "erp: away")
        assert process.work is not None
        waits = [process.work.turns.acting.policy.delay(retries) for retries in range(4)]
        assert waits == [60.0, 120.0, 240.0, 300.0]
        assert len(peer.calls) == 1
        assert row["due_at"] is not None


async def test_when_retries_are_used_up_it_has_failed_and_a_call_tries_again_under_a_new_key(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    peer = Peer([PeerUnavailable("erp", "away")] * 3)
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer)
        task = await receive(process, action=ACTION, max_retry=2)
        await fire(process)
        failed = await becomes(process, task, "failed")
        assert (failed["retry_count"], failed["error_message"]) == (2, "erp: away")
        await process.tasks.retry(task, actor="设计师 lz")
        done = await becomes(process, task, "completed")
        assert (done["retry_count"], len(set(peer.calls))) == (0, 2)
        told = await callbacks(sandbox_server, task, at_least=2)
        assert [one["status"] for one in told] == ["failed", "completed"]


async def test_what_the_peer_refuses_is_not_asked_again(
    database_url: str, channels: dict[str, Channel]
) -> None:
    peer = Peer([PeerRejected("erp", "no such article")])
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer)
        task = await receive(process, action=ACTION)
        await fire(process)
        failed = await becomes(process, task, "failed")
        assert (failed["error_message"], len(peer.calls)) == ("erp: no such article", 1)


async def outlast_leases(clock: Clock, *processes: Process) -> None:
    """Two leases pass, in which each look finds those that it holds on the way to their end."""
    ending = "SELECT 1 FROM tasks WHERE lease_owner IS NOT NULL AND lease_until < :soon"

    async def renewed() -> bool:
        return not await processes[0].rows(ending, soon=clock() + 0.8 * LEASE_S)

    for _ in range(5):
        pass_time(clock, 0.4 * LEASE_S, *processes)
        await processes[0].until(renewed)


async def test_a_slow_tool_is_never_called_twice_at_once_however_long_its_lease(
    database_url: str, channels: dict[str, Channel], clock: Clock
) -> None:
    peer = Peer(hold=asyncio.Event())
    async with AsyncExitStack() as stack:
        both: dict[str, Any] = {"clock": clock, "lease_s": LEASE_S}
        one = await start(stack, database_url, channels, peer, owner="p1", **both)
        two = await start(stack, database_url, channels, peer, owner="p2", **both)
        task = await receive(one, action=ACTION)
        await fire(two)
        await peer.reached.wait()
        await outlast_leases(clock, one, two)
        assert (len(peer.calls), peer.most_at_once) == (1, 1)
        assert peer.hold is not None
        peer.hold.set()
        await becomes(one, task, "completed")
    assert (len(peer.calls), peer.most_at_once) == (1, 1)


async def test_many_slow_tools_hold_up_neither_leases_nor_timers(
    database_url: str, channels: dict[str, Channel], clock: Clock
) -> None:
    peer, many = Peer(hold=asyncio.Event()), AT_ONCE[TaskStatus.TRIGGERED] + 36
    ids = [f"slow{n}" for n in range(many)]
    async with AsyncExitStack() as stack:
        one = await start(stack, database_url, channels, peer, clock=clock, lease_s=LEASE_S)
        for task in ids:
            await receive(one, action=ACTION, task_id=task)
        await fire(one)
        await one.until(all_slots_taken(peer))
        await outlast_leases(clock, one)
        assert len(peer.calls) == AT_ONCE[TaskStatus.TRIGGERED]
        notice = {"type": "notify_staff", "message": "到点了"}
        timer = await receive(one, action=notice, trigger=at_time(clock() + 60))
        pass_time(clock, 60, one)
        await becomes(one, timer, "completed")
        assert peer.hold is not None
        peer.hold.set()
        for task in ids:
            await becomes(one, task, "completed")
    assert sorted(peer.calls) == sorted(f"task:{task}:1" for task in ids)


def all_slots_taken(peer: Peer) -> Callable[[], Any]:
    async def taken() -> bool:
        return peer.at_once == AT_ONCE[TaskStatus.TRIGGERED]

    return taken


async def die_before_the_commit(database: Database) -> None:
    """What a process leaves behind that was killed while its tool was under way."""
    await database.write(
        lambda c: (
            c.exec_driver_sql(
                "UPDATE tasks SET lease_owner = 'dead', lease_until = due_at + 3600"
            ).rowcount
        )
    )


async def test_a_process_that_died_before_its_commit_leaves_the_call_to_the_next_same_key(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    first, second = Peer(hold=asyncio.Event()), Peer()
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, first)
        task = await receive(process, action=ACTION)
        await fire(process)
        await first.reached.wait()
        assert process.work is not None
        await process.work.runner.stop(grace_s=0.0)
    with open_database(database_url) as database:
        await die_before_the_commit(database)
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, second, owner="p2", alone=True)
        await becomes(process, task, "completed")
        assert second.calls == first.calls
        notices = await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)
        assert len(notices) == 1
        assert len(await callbacks(sandbox_server, task)) == 1


async def test_a_stop_gives_back_what_it_could_not_finish(
    database_url: str, channels: dict[str, Channel]
) -> None:
    peer = Peer(hold=asyncio.Event())
    async with AsyncExitStack() as stack:
        process = await start(stack, database_url, channels, peer)
        await receive(process, action=ACTION)
        await fire(process)
        await peer.reached.wait()
        assert process.work is not None
        await process.work.runner.stop(grace_s=0.05)
        held = "SELECT task_id FROM tasks WHERE lease_owner IS NOT NULL OR due_at IS NULL"
        assert await process.rows(held) == []
