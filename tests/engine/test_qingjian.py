"""Qingjian's customers and the engine, over real sockets and the real graph."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.errors import PeerRejected, StorageError
from domain.messages import InboundMessage
from engine.metrics import Metrics
from engine.policy import EnginePolicy
from engine.qingjian import KEPT_PER_MINUTE, QingjianChannel, QingjianLink, outgoing_message
from storage import outbox
from storage.inbox import Receipt
from storage.outbox import NewDelivery
from tests.databases import open_database
from tests.engine.processes import QUICK, Process, running_process
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox
from tests.tools.qingjian.bridge import mapping_of, nested, running_bridge
from tools.qingjian.mapping import QingjianMapping, load_mapping

PREFIX = "/_sandbox/qingjian"
IMPATIENT = replace(QUICK, outbox_backoff_base_s=0.05, outbox_backoff_max_s=0.2)
Receive = Callable[[InboundMessage], Awaitable[Receipt]]


@contextlib.asynccontextmanager
async def linked(
    url: str,
    socket_url: str,
    *,
    mapping: QingjianMapping | None = None,
    policy: EnginePolicy = QUICK,
    through: Callable[[Receive], Receive] = lambda receive: receive,
    owner: str = "p1",
) -> AsyncIterator[tuple[Process, QingjianLink]]:
    """A process whose qingjian channel is connected; ``through`` wraps what stores messages."""
    with open_database(url) as kept:
        link = QingjianLink(socket_url, mapping or load_mapping(), kept, Metrics())
        channels = {"qingjian": QingjianChannel(link)}
        async with running_process(url, channels=channels, policy=policy, owner=owner) as process:
            await link.start(through(process.engine.receive))
            try:
                yield process, link
            finally:
                await link.stop()


def socket_of(sandbox: SandboxServer) -> str:
    return sandbox.url.replace("http", "ws", 1) + "/qingjian/ws"


def question(about: str) -> str:
    return f"充电桩{about}怎么安装"


async def say(sandbox: SandboxServer, content: str, customer: str = "小明", **more: Any) -> None:
    said = await asyncio.to_thread(
        sandbox.post,
        f"{PREFIX}/say",
        {"customer_id": customer, "content": content, **more},
        wait=10,
    )
    assert said["state"] == "delivered"


async def shown(
    sandbox: SandboxServer, chat: str = "小明", *, at_least: int = 0
) -> list[JsonObject]:
    """What the customer of ``chat`` has seen, in order."""
    wait = 10.0 if at_least else 0.0
    found = await asyncio.to_thread(
        sandbox.get, f"{PREFIX}/chats/{chat}", at_least=at_least, wait=wait
    )
    return list(found["messages"])


async def texts(sandbox: SandboxServer, chat: str = "小明", *, at_least: int = 0) -> list[str]:
    return [m["content"] for m in await shown(sandbox, chat, at_least=at_least)]


async def put(process: Process, texts: list[str], chat: str = "小明", **payload: Any) -> None:
    """What a turn's commit does: rows first, then the wake-up."""
    new = [
        NewDelivery(
            f"{chat}-{text}",
            chat,
            "message",
            "qingjian",
            "shop_001",
            chat,
            "t1",
            {"chat_id": chat, "to": chat, "text": text, "created_at": 1.0, **payload},
        )
        for text in texts
    ]
    await process.write(lambda c: outbox.add(c, new, "2026-01-01T00:00:00+00:00"))
    process.deliverer.wake(chat)


async def settled(process: Process) -> None:
    async def none_pending() -> bool:
        return not await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

    await process.until(none_pending)


async def test_a_customer_of_a_shop_is_answered_alone_and_in_a_group(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    async with linked(database_url, socket_of(sandbox_server)) as (process, _):
        await say(sandbox_server, question("甲"))
        await say(
            sandbox_server, question("乙"), group_id="群1", acc_id="shop_002", acc_type="WeCom"
        )
        (alone,) = await shown(sandbox_server, at_least=1)
        (grouped,) = await shown(sandbox_server, "群1", at_least=1)
        rows = await process.rows(
            "SELECT account, chat_id, sender_id FROM conversations ORDER BY account"
        )
    assert (alone["content"], alone["acc_id"], alone["acc_type"], alone["group_id"]) == (
        f"答:{question('甲')}",
        "shop_001",
        "AliWorkbench",
        "",
    )
    assert (grouped["content"], grouped["acc_type"], grouped["customer_id"]) == (
        f"答:{question('乙')}",
        "WeCom",
        "小明",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("shop_001", "小明", "小明"),
        ("shop_002", "群1", "小明"),
    ]


async def test_a_message_that_comes_several_times_is_answered_once(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("qingjian", "duplicate", times=3)
    async with linked(database_url, socket_of(sandbox_server)) as (process, link):
        await say(sandbox_server, question("甲"))
        await texts(sandbox_server, at_least=1)
        await say(sandbox_server, question("甲"), msg_id="again")
        await say(sandbox_server, question("甲"), msg_id="again")
        assert len(await texts(sandbox_server, at_least=2)) == 2
        await process.quiet()
        await settled(process)
        assert await process.count("outbox") == 2
        assert link.state["received"] >= 9
    assert len(await texts(sandbox_server)) == 2


async def test_a_burst_is_stored_whole_and_each_customers_order_is_kept(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    customers = [f"客户{n}" for n in range(20)]
    said = [
        {"customer_id": customer, "content": question(f"{number}")}
        for number in range(10)
        for customer in customers
    ]
    async with linked(database_url, socket_of(sandbox_server)) as (process, link):
        await asyncio.to_thread(sandbox_server.post, f"{PREFIX}/say/batch", {"messages": said})
        outgoing = await asyncio.to_thread(sandbox_server.get, f"{PREFIX}/outgoing", wait=30)
        assert (outgoing["pending"], outgoing["delivered"]) == (0, 200)
        await process.quiet()
        await settled(process)
        stored = await process.rows(
            "SELECT sender_id, content FROM messages m JOIN conversations c"
            " ON c.id = m.conversation_id WHERE role = 'user' ORDER BY m.id"
        )
        assert link.state["unknown"] == 0
    for customer in customers:
        mine = [row["content"] for row in stored if row["sender_id"] == customer]
        assert mine == [question(f"{number}") for number in range(10)]
        # A turn takes what is unread together, so there are at most as many answers.
        answers = await texts(sandbox_server, customer)
        assert 1 <= len(answers) <= 10
        assert question("9") in answers[-1]


async def test_what_is_not_stored_is_not_acknowledged_and_is_stored_later(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    broken = True

    def through(receive: Receive) -> Receive:
        async def refusing(message: InboundMessage) -> Receipt:
            if broken:
                raise StorageError("the disk is full")
            return await receive(message)

        return refusing

    async with linked(database_url, socket_of(sandbox_server), through=through) as (process, _):
        said = {"customer_id": "小明", "content": question("甲")}
        first = await asyncio.to_thread(sandbox_server.post, f"{PREFIX}/say", said, wait=0.3)
        assert first["state"] == "pending"
        assert await process.count("messages") == 0
        broken = False
        assert await texts(sandbox_server, at_least=1) == [f"答:{question('甲')}"]
        outgoing = await asyncio.to_thread(sandbox_server.get, f"{PREFIX}/outgoing", wait=10)
    assert outgoing["pending"] == 0


async def test_a_payment_is_stored_as_an_event_and_nobody_talks_back(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    async with linked(database_url, socket_of(sandbox_server)) as (process, _):
        await say(sandbox_server, "", pays=True, order_id="o1")
        await process.quiet()
        rows = await process.rows("SELECT kind, event, content FROM messages")
        assert rows == [{"kind": "event", "event": "payment", "content": ""}]
        assert await process.count("outbox") == 0


async def test_frames_that_nobody_understands_are_kept_a_few_a_minute(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    async with linked(database_url, socket_of(sandbox_server)) as (process, link):
        await say(sandbox_server, question("甲"))
        for number in range(KEPT_PER_MINUTE + 5):
            await asyncio.to_thread(
                sandbox_server.post, f"{PREFIX}/frame", {"frame": {"type": "coupon", "n": number}}
            )
        await say(sandbox_server, question("乙"))
        assert link.state["unknown"] == KEPT_PER_MINUTE + 5

        async def kept() -> bool:
            return await process.count("audit") >= KEPT_PER_MINUTE

        await process.until(kept)
        rows = await process.rows(
            "SELECT actor, subject, detail FROM audit WHERE action = 'qingjian.unknown_frame'"
            " ORDER BY id"
        )
    # The clock may pass from one minute to the next while they come.
    assert KEPT_PER_MINUTE <= len(rows) <= KEPT_PER_MINUTE + 5
    assert rows[0]["actor"] == "qingjian"
    assert rows[0]["subject"].startswith("ws://127.0.0.1:")
    assert '"reason": "no rule fits"' in rows[0]["detail"]
    assert "coupon" in rows[0]["detail"]


async def test_after_the_peer_is_killed_and_back_the_answer_arrives_once(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    with running_sandbox() as first:
        port = first.url.rpartition(":")[2]
        async with linked(database_url, socket_of(first), policy=IMPATIENT) as (process, link):
            await say(first, question("甲"))
            assert len(await texts(first, at_least=1)) == 1
            await settled(process)  # what is shown may not be confirmed yet
            await asyncio.to_thread(first.kill)
            await put(process, ["一", "二"])

            async def postponed() -> bool:
                return bool(await process.rows("SELECT 1 FROM outbox WHERE attempts > 0"))

            await process.until(postponed)
            with running_sandbox(extra=["--port", port]) as second:
                await settled(process)
                assert await texts(second, at_least=2) == ["一", "二"]
                await say(second, question("乙"))
                assert await texts(second, at_least=3) == ["一", "二", f"答:{question('乙')}"]
                assert link.state["connects"] == 2
                assert link.is_connected


@pytest.mark.parametrize("fault", ["cut_stream", "refuse", "status"])
async def test_order_is_kept_and_nothing_is_shown_twice_while_the_peer_fails_at_random(
    database_url: str, sandbox_server: SandboxServer, fault: str
) -> None:
    extra = {"status": 503} if fault == "status" else {}
    sandbox_server.fault("qingjian", fault, rate=0.3, request_kind="send", count=6, **extra)
    policy = replace(IMPATIENT, outbox_max_attempts=100)
    async with linked(database_url, socket_of(sandbox_server), policy=policy) as (process, _):
        for chat in ("甲", "乙"):
            await put(process, [f"{chat}{n}" for n in range(8)], chat)
        await settled(process)
    for chat in ("甲", "乙"):
        assert await texts(sandbox_server, chat) == [f"{chat}{n}" for n in range(8)]


async def test_a_refusal_that_cannot_pass_is_a_dead_letter_and_the_next_one_goes_out(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("qingjian", "status", count=1, request_kind="send", status=403)
    async with linked(database_url, socket_of(sandbox_server)) as (process, _):
        await put(process, ["一", "二"])
        await settled(process)
        rows = await process.rows("SELECT status, last_error FROM outbox ORDER BY id")
    assert [row["status"] for row in rows] == ["dead", "delivered"]
    assert "403 injected" in rows[0]["last_error"]
    assert await texts(sandbox_server) == ["二"]


async def test_files_and_images_go_out_as_such(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    async with linked(database_url, socket_of(sandbox_server)) as (process, _):
        for type_ in ("file", "image"):
            await put(process, [type_], type=type_, url=f"http://h/{type_}", name="稿")
        found = await shown(sandbox_server, at_least=2)
    assert [(m["msg_type"], m["content"], m["name"]) for m in found] == [
        ("file", "http://h/file", "稿"),
        ("image", "http://h/image", "稿"),
    ]


@pytest.mark.parametrize("payload", [{"type": "video"}, {"type": "image"}, {"text": ""}])
async def test_a_row_that_no_attempt_can_send_is_refused_at_once(
    database_url: str, sandbox_server: SandboxServer, payload: JsonObject
) -> None:
    async with linked(database_url, socket_of(sandbox_server)) as (process, _):
        await put(process, ["一"], **payload)
        await settled(process)
        (row,) = await process.rows("SELECT * FROM outbox")
        assert (row["status"], row["attempts"]) == ("dead", 1)
    delivery = outbox.Delivery(
        **{**dict.fromkeys(outbox.Delivery.__slots__, ""), "payload": payload}  # type: ignore[arg-type]
    )
    with pytest.raises(PeerRejected):
        outgoing_message(delivery, "AliWorkbench")


async def test_an_account_is_answered_as_its_last_frame_said_and_else_as_the_mapping_says(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    mapping = load_mapping().model_copy(update={"accounts": {"shop_001": "WeCom"}})
    socket = socket_of(sandbox_server)
    async with linked(database_url, socket, mapping=mapping) as (process, link):
        await put(process, ["一"])
        await settled(process)
        await say(sandbox_server, question("甲"), acc_type="Pinduoduo")
        await shown(sandbox_server, at_least=2)
        assert link.account_type("shop_009") == "AliWorkbench"
    types = [message["acc_type"] for message in await shown(sandbox_server)]
    assert types == ["WeCom", "Pinduoduo"]


async def test_another_bridge_is_a_mapping_file_and_no_code(database_url: str) -> None:
    async with (
        running_bridge() as bridge,
        linked(database_url, bridge.url, mapping=mapping_of()) as (process, _),
    ):
        await bridge.until_connected()
        await bridge.say(nested(text=question("甲"), room="群7"))
        (sent,) = await bridge.until_frames("sendMsg")
        rows = await process.rows("SELECT account, channel_message_id, sent_ts FROM messages")
    assert sent["data"] == {
        "shop": "AliWorkbench:9",
        "target": {"uid": "u1", "room": "群7"},
        "body": [{"text": f"答:{question('甲')}"}],
    }
    assert rows[0] == {
        "account": "9",
        "channel_message_id": "1001",
        "sent_ts": pytest.approx(1_700_000_000.123),
    }


async def test_without_id_and_time_a_repetition_is_one_message_and_a_later_word_another(
    database_url: str,
) -> None:
    async with (
        running_bridge() as bridge,
        linked(database_url, bridge.url, mapping=mapping_of()) as (process, _),
    ):
        await bridge.until_connected()
        for text in ("甲", "甲", "乙"):
            await bridge.say(nested(text=question(text), id=None, ts=None))
        await bridge.until_frames("got", 3)
        await process.quiet()
        rows = await process.rows("SELECT content FROM messages WHERE role = 'user' ORDER BY id")
    assert [row["content"] for row in rows] == [question("甲"), question("乙")]


async def test_two_processes_on_one_bridge_answer_once(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    socket = socket_of(sandbox_server)
    async with (
        linked(database_url, socket, owner="p1") as (process, one),
        linked(database_url, socket, owner="p2") as (_, other),
    ):
        await asyncio.to_thread(sandbox_server.get, f"{PREFIX}/connections", at_least=2, wait=10)
        for number in range(5):
            await say(sandbox_server, question(f"{number}"))
            await texts(sandbox_server, at_least=number + 1)
        await process.quiet()
        await settled(process)
        assert one.state["received"] >= 5
        assert other.state["received"] >= 5
    assert await texts(sandbox_server) == [f"答:{question(f'{n}')}" for n in range(5)]


async def test_who_waits_for_a_connection_is_told_of_it(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    told = asyncio.Event()
    with open_database(database_url) as kept:
        link = QingjianLink(socket_of(sandbox_server), load_mapping(), kept, Metrics())

        async def never(_: InboundMessage) -> Receipt:
            raise AssertionError("nobody writes here")

        await link.start(never, on_connected=told.set)
        await asyncio.wait_for(told.wait(), 10)
        assert link.is_connected
        assert link.state["peer"] == sandbox_server.url.replace("http", "ws")
        await link.stop()
        assert link.state["status"] == "stopped"
