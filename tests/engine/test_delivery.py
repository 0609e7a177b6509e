"""The outbox against a peer that fails: order, patience, dead letters, lost answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.decisions import Effect
from domain.errors import NotFound, PeerUnavailable
from engine.delivery import QUICK_ATTEMPTS, Channel, sweep_outbox
from storage import outbox
from storage.database import Database
from storage.outbox import Delivery, NewDelivery
from tests.engine.processes import QUICK, Clock, Process, StandingClock, running_process, shown
from tests.sandbox_server import SandboxServer

IMPATIENT = replace(QUICK, outbox_backoff_base_s=0.01, outbox_backoff_max_s=0.05)


def texts_for(chat: str, count: int) -> list[str]:
    return [f"{chat}第{n}条" for n in range(count)]


async def send(process: Process, chat: str, texts: Sequence[str], channel: str = "webhook") -> None:
    """What a turn's commit does: rows first, then the wake-up."""
    new = [
        NewDelivery(
            f"{chat}-{text}",
            chat,
            "message",
            channel,
            "shop",
            chat,
            "t1",
            {"chat_id": chat, "to": chat, "text": text, "created_at": 1.0},
        )
        for text in texts
    ]
    await process.write(lambda c: outbox.add(c, new, "2026-01-01T00:00:00+00:00"))
    process.deliverer.wake(chat)


async def states(process: Process) -> list[dict[str, Any]]:
    return await process.rows("SELECT status, attempts, last_error FROM outbox ORDER BY id")


async def settled(process: Process) -> None:
    """Nothing is pending."""

    async def none_pending() -> bool:
        return not await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

    await process.until(none_pending)


async def postponed(process: Process) -> None:
    """The failed head has been put back."""

    async def put_back() -> bool:
        return bool(
            await process.rows(
                "SELECT 1 FROM outbox WHERE status = 'pending' AND attempts > 0 AND lease_until = 0"
            )
        )

    await process.until(put_back)


async def test_each_conversation_keeps_its_order_while_the_peer_fails_at_random(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", rate=0.3, status=503)
    sandbox_server.fault("webhook", "refuse", rate=0.2)
    sandbox_server.fault("webhook", "lost_answer", rate=0.2)
    chats = {chat: texts_for(chat, 8) for chat in ("甲", "乙", "丙")}
    policy = replace(IMPATIENT, outbox_max_attempts=100)
    async with running_process(database_url, channels=channels, policy=policy) as process:
        for chat, texts in chats.items():
            await send(process, chat, texts)
        await settled(process)
    for chat, texts in chats.items():
        assert await asyncio.to_thread(shown, sandbox_server, chat) == texts


class AwayFor:
    """A channel whose peer cannot be reached for one chat."""

    def __init__(self, channel: Channel, chat: str) -> None:
        self._channel, self._chat = channel, chat

    async def deliver(self, delivery: Delivery) -> None:
        if delivery.payload["chat_id"] == self._chat:
            raise PeerUnavailable("webhook", "away")
        await self._channel.deliver(delivery)


async def test_a_conversation_that_cannot_be_reached_holds_no_other_back(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    channels["webhook"] = AwayFor(channels["webhook"], "甲")
    async with running_process(database_url, channels=channels) as process:
        await send(process, "甲", texts_for("甲", 2))
        await send(process, "乙", texts_for("乙", 2))
        assert await asyncio.to_thread(shown, sandbox_server, "乙", at_least=2) == texts_for(
            "乙", 2
        )
        await postponed(process)
        assert await asyncio.to_thread(shown, sandbox_server, "甲") == []
        found = await states(process)
    assert [(row["status"], row["attempts"]) for row in found[:2]] == [
        ("pending", 1),
        ("pending", 0),
    ]


async def test_a_hiccup_is_tried_again_at_once_and_an_outage_later(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    clock = Clock()
    async with running_process(database_url, channels=channels, clock=clock) as process:
        sandbox_server.fault("webhook", "status", count=1, status=502)
        await send(process, "甲", ["一"])
        await settled(process)
        sandbox_server.fault("webhook", "status", count=QUICK_ATTEMPTS, status=502)
        await send(process, "甲", ["二", "三"])
        await postponed(process)
        assert await asyncio.to_thread(shown, sandbox_server) == ["一"]
        clock.ahead = QUICK.outbox_backoff_base_s + 1
        await sweep_outbox(process.database, process.deliverer, now=clock())
        await settled(process)
    assert await asyncio.to_thread(shown, sandbox_server) == ["一", "二", "三"]


async def test_the_pause_that_a_peer_asks_for_is_kept(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", count=1, status=429, headers={"retry-after": "120"})
    clock = Clock()
    async with running_process(database_url, channels=channels, clock=clock) as process:
        await send(process, "甲", ["一"])
        await postponed(process)
        for ahead, requests in ((0, 1), (110, 1), (121, 2)):
            clock.ahead = ahead
            process.deliverer.wake("甲")
            if requests == 2:
                await settled(process)
            assert len(await asyncio.to_thread(sandbox_server.journal, "webhook")) == requests
    assert await asyncio.to_thread(shown, sandbox_server) == ["一"]


async def test_after_the_last_attempt_a_delivery_is_a_dead_letter_and_the_next_one_passes(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", count=2 * QUICK_ATTEMPTS, status=500)
    policy = replace(IMPATIENT, outbox_max_attempts=2)
    async with running_process(database_url, channels=channels, policy=policy) as process:
        await send(process, "甲", ["一", "二"])
        await settled(process)
        dead, passed = await states(process)
        assert (dead["status"], dead["attempts"]) == ("dead", 2)
        assert "500" in dead["last_error"]
        assert passed["status"] == "delivered"
        assert await asyncio.to_thread(shown, sandbox_server) == ["二"]


async def test_a_dead_letter_is_delivered_when_an_operator_resends_it(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", count=1, status=410)
    await send(process, "甲", ["一"])
    await settled(process)
    assert [row["status"] for row in await states(process)] == ["dead"]
    ids = await process.rows("SELECT id FROM outbox")
    await process.engine.resend(ids[0]["id"], actor="operator")
    assert await asyncio.to_thread(shown, sandbox_server, at_least=1) == ["一"]
    await settled(process)
    with pytest.raises(NotFound):
        await process.engine.resend(ids[0]["id"], actor="operator")


async def test_a_refusal_is_final_and_is_not_tried_again(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "status", count=1, status=400)
    await send(process, "甲", ["一", "二"])
    await settled(process)
    assert [row["status"] for row in await states(process)] == ["dead", "delivered"]
    assert len(await asyncio.to_thread(sandbox_server.journal, "webhook")) == 2


async def test_an_answer_for_a_channel_that_is_not_configured_is_a_dead_letter_that_says_so(
    process: Process,
) -> None:
    await send(process, "甲", ["一"], channel="pigeon")
    await settled(process)
    assert await states(process) == [
        {"status": "dead", "attempts": 1, "last_error": "pigeon: this channel is not configured"}
    ]


async def test_a_delivery_whose_answer_was_lost_is_repeated_under_the_same_message_id(
    process: Process, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("webhook", "lost_answer", count=1)
    await send(process, "甲", ["一"])
    await settled(process)
    requests = await asyncio.to_thread(sandbox_server.journal, "webhook")
    assert [r["body"]["message_id"] for r in requests] == ["甲-一", "甲-一"]
    assert [r["duplicate"] for r in requests] == [False, True]
    assert requests[0]["body"] == requests[1]["body"]
    assert await asyncio.to_thread(shown, sandbox_server) == ["一"]


class Slow:
    """A channel to a peer that answers nothing before it is let go."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self.let_go = channel, asyncio.Event()

    async def deliver(self, delivery: Delivery) -> Sequence[Effect] | None:
        await self.let_go.wait()
        return await self._channel.deliver(delivery)


async def test_a_delivery_that_waits_its_turn_at_a_slow_peer_is_sent_by_one_process_only(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    slow, clock = Slow(channels["webhook"]), StandingClock()
    policy = replace(QUICK, lease_s=0.3, sweep_s=0.05, deliveries_per_channel=1)
    both: dict[str, Any] = {"channels": {"webhook": slow}, "policy": policy, "clock": clock}
    chats = [f"客户{n}" for n in range(4)]
    async with (
        running_process(database_url, owner="p1", **both) as process,
        running_process(database_url, owner="p2", **both),
    ):
        for chat in chats:
            await send(process, chat, ["一"])

        async def all_held() -> bool:
            held = "SELECT 1 FROM outbox WHERE lease_until > :until"
            until = clock() + policy.lease_s - 0.01
            return len(await process.rows(held, until=until)) == len(chats)

        for _ in range(8):
            await process.until(all_held)
            clock.now += policy.lease_s / 3
        slow.let_go.set()
        await settled(process)
        requests = await asyncio.to_thread(sandbox_server.journal, "webhook")
        assert sorted(r["body"]["chat_id"] for r in requests) == chats
        assert [row["attempts"] for row in await states(process)] == [1] * len(chats)


async def test_queues_that_must_wait_do_not_hide_one_that_is_due(database: Database) -> None:
    """The second delivery of a postponed queue looks due, and is not."""
    now = 1_000.0
    for chat in ("甲", "乙", "丙"):
        new = [
            NewDelivery(f"{chat}{n}", chat, "message", "webhook", "shop", chat, "t1", {})
            for n in range(2)
        ]
        await database.write(lambda c, new=new: outbox.add(c, new, "now"))  # type: ignore[misc]
    for chat in ("甲", "乙"):
        head = await database.write(
            lambda c, q=chat: outbox.claim_head(c, q, owner="p", now=now, lease_s=9)  # type: ignore[misc]
        )
        assert head is not None
        await database.write(
            lambda c, at=head.id: outbox.postpone(  # type: ignore[misc]
                c, at, owner="p", error="503", retry_at=now + 60
            )
        )
    due = await database.write(lambda c: outbox.due_queues(c, now=now, limit=1))
    assert due == ["丙"]
    later = await database.write(lambda c: outbox.due_queues(c, now=now + 61))
    assert sorted(later) == sorted(["甲", "乙", "丙"])
