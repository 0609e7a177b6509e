"""The simulated Qingjian software, spoken to with a plain WebSocket client."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox

PREFIX = "/_sandbox/qingjian"


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def next(self, seconds: float = 60.0) -> JsonObject:
        async with asyncio.timeout(seconds):
            frame: JsonObject = json.loads(await self.socket.recv())
        return frame

    async def ask(self, frame: Any) -> JsonObject:
        await self.send(frame)
        return await self.next()


@asynccontextmanager
async def client_of(sandbox: SandboxServer) -> AsyncIterator[Client]:
    url = sandbox.url.replace("http", "ws", 1) + "/qingjian/ws"
    async with connect(url, proxy=None, close_timeout=1) as socket:
        yield Client(socket)


async def do(call: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(call, *args, **kwargs)


def a_send(seq: str = "s1", **more: Any) -> JsonObject:
    frame = {"type": "send", "seq": seq, "acc_id": "shop_001", "acc_type": "AliWorkbench"}
    return frame | {"customer_id": "小明", "group_id": "", "content": "您好"} | more


def shown(sandbox: SandboxServer, chat: str = "小明") -> list[JsonObject]:
    return list(sandbox.get(f"{PREFIX}/chats/{chat}")["messages"])


async def test_login_heartbeat_and_a_message_are_answered_and_journalled(
    sandbox_server: SandboxServer,
) -> None:
    async with client_of(sandbox_server) as client:
        login = await client.ask({"type": "login", "access_token": "s3cret"})
        assert (login["type"], login["code"]) == ("login_result", 0)
        assert await client.ask({"type": "ping"}) == {"type": "pong"}
        assert await client.ask(a_send()) == {"type": "ack", "seq": "s1", "code": 0}
    entries = await do(sandbox_server.journal, "qingjian")
    assert [(e["kind"], e["method"], e["status"]) for e in entries] == [
        ("connect", "GET", 101),
        ("login", "WS", 0),
        ("ping", "WS", 0),
        ("send", "WS", 0),
    ]
    assert entries[1]["body"] == {"type": "login", "access_token": "***"}
    assert entries[3]["body"]["content"] == "您好"
    assert (entries[3]["accepted"], entries[3]["duplicate"]) == (True, False)


async def test_the_same_seq_is_shown_once(sandbox_server: SandboxServer) -> None:
    async with client_of(sandbox_server) as client:
        for _ in range(2):
            assert (await client.ask(a_send()))["code"] == 0
        await client.ask(a_send("s2", group_id="群1", msg_type="image", content="http://h/1"))
    (one,) = await do(shown, sandbox_server)
    assert (one["content"], one["received"]) == ("您好", 2)
    (grouped,) = await do(shown, sandbox_server, "群1")
    assert (grouped["msg_type"], grouped["customer_id"]) == ("image", "小明")
    chats = await do(sandbox_server.get, f"{PREFIX}/chats")
    assert chats["chats"] == [{"chat_id": "小明", "messages": 1}, {"chat_id": "群1", "messages": 1}]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"acc_type": ""}, "acc_type"), ({"content": ""}, "content"), ({"msg_type": "x"}, "msg_type")],
)
async def test_an_unusable_message_is_refused_with_its_field(
    sandbox_server: SandboxServer, change: JsonObject, field: str
) -> None:
    async with client_of(sandbox_server) as client:
        answer = await client.ask(a_send(**change))
    assert (answer["seq"], answer["code"]) == ("s1", 400)
    assert field in answer["message"]
    assert await do(shown, sandbox_server) == []


@pytest.mark.parametrize("frame", ["{", "[]", {"type": "dance"}, {}])
async def test_a_frame_of_no_known_type_is_answered_with_an_error(
    sandbox_server: SandboxServer, frame: object
) -> None:
    async with client_of(sandbox_server) as client:
        assert (await client.ask(frame))["code"] == 400
        assert (await client.ask({"type": "ping"}))["type"] == "pong"


async def test_a_customer_writes_in_a_group_with_images_or_pays(
    sandbox_server: SandboxServer,
) -> None:
    async with client_of(sandbox_server) as client:
        await client.ask({"type": "ping"})
        said = {"customer_id": "小明", "group_id": "群1", "content": "看", "images": ["http://h/1"]}
        await do(sandbox_server.post, f"{PREFIX}/say", said)
        written = await client.next()
        paid = {"customer_id": "小明", "pays": True, "order_id": "o1", "amount": "59.90"}
        await do(sandbox_server.post, f"{PREFIX}/say", paid | {"msg_id": "p1", "time": 17e8})
        event = await client.next()
    assert {k: written[k] for k in ("type", "acc_id", "acc_type", "group_id", "images")} == {
        "type": "message",
        "acc_id": "shop_001",
        "acc_type": "AliWorkbench",
        "group_id": "群1",
        "images": ["http://h/1"],
    }
    assert (event["type"], event["event"], event["msg_id"]) == ("event", "payment", "p1")
    assert (event["order_id"], event["amount"], event["time"]) == ("o1", "59.90", 17e8)


async def test_what_is_not_acknowledged_is_sent_again_at_the_next_connection(
    sandbox_server: SandboxServer,
) -> None:
    said = await do(
        sandbox_server.post, f"{PREFIX}/say", {"customer_id": "小明", "content": "在吗"}
    )
    assert said["state"] == "pending"
    async with client_of(sandbox_server) as client:
        assert (await client.next())["msg_id"] == said["msg_id"]
    async with client_of(sandbox_server) as client:
        assert (await client.next())["msg_id"] == said["msg_id"]
        await client.send({"type": "received", "msg_id": said["msg_id"]})
        outgoing = await do(sandbox_server.get, f"{PREFIX}/outgoing", wait=5)
    assert (outgoing["pending"], outgoing["delivered"]) == (0, 1)
    assert outgoing["messages"][0]["attempts"] == 2
    async with client_of(sandbox_server) as client:
        assert await client.ask({"type": "ping"}) == {"type": "pong"}


async def test_what_is_not_acknowledged_is_sent_again_after_a_while(
    sandbox_server: SandboxServer,
) -> None:
    async with client_of(sandbox_server) as client:
        await client.ask({"type": "ping"})
        await do(sandbox_server.post, f"{PREFIX}/say", {"customer_id": "小明", "content": "在吗"})
        first, second = await client.next(), await client.next(10.0)
    assert first == second


async def test_a_duplicate_fault_sends_a_message_several_times(
    sandbox_server: SandboxServer,
) -> None:
    await do(sandbox_server.fault, "qingjian", "duplicate", count=1, times=3)
    async with client_of(sandbox_server) as client:
        await client.ask({"type": "ping"})
        await do(sandbox_server.post, f"{PREFIX}/say", {"customer_id": "小明", "content": "在吗"})
        assert len({(await client.next())["msg_id"] for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("kind", "closes", "acts"),
    [
        ("refuse", True, False),
        ("cut_stream", True, True),
        ("hang", False, False),
        ("lost_answer", False, True),
    ],
)
async def test_a_fault_may_lose_the_frame_or_its_answer_or_the_connection(
    sandbox_server: SandboxServer, kind: str, closes: bool, acts: bool
) -> None:
    await do(sandbox_server.fault, "qingjian", kind, count=1, request_kind="send")
    async with client_of(sandbox_server) as client:
        await client.send(a_send())
        if closes:
            with pytest.raises(ConnectionClosed):
                await client.next()
        else:
            assert await client.ask({"type": "ping"}) == {"type": "pong"}
    assert bool(await do(shown, sandbox_server)) is acts
    (entry,) = await do(sandbox_server.journal, "qingjian", kind="send")
    assert (entry["fault"], entry["answered"], entry["status"]) == (kind, False, None)


async def test_a_fault_may_refuse_delay_or_garble_the_answer(
    sandbox_server: SandboxServer,
) -> None:
    def fault(kind: str, **params: Any) -> str:
        return sandbox_server.fault("qingjian", kind, count=1, request_kind="send", **params)

    async with client_of(sandbox_server) as client:
        await do(fault, "status", status=429)
        assert (await client.ask(a_send()))["code"] == 429
        assert await do(shown, sandbox_server) == []
        await do(fault, "garbage", body="您好{")
        await client.send(a_send())
        assert await client.socket.recv() == "您好{"
        await do(fault, "empty")
        assert await client.ask(a_send()) == {"type": "ack"}
        await do(fault, "latency", seconds=0.2)
        started = time.monotonic()
        assert (await client.ask(a_send()))["code"] == 0
        assert time.monotonic() - started >= 0.2


async def test_a_connection_may_be_refused_and_closed_from_outside(
    sandbox_server: SandboxServer,
) -> None:
    await do(sandbox_server.fault, "qingjian", "refuse", count=1, request_kind="connect")
    with pytest.raises(InvalidStatus):
        async with client_of(sandbox_server):
            pass
    async with client_of(sandbox_server) as client:
        await client.ask({"type": "ping"})
        assert await do(sandbox_server.post, f"{PREFIX}/disconnect", {}) == {"closed": 1}
        with pytest.raises(ConnectionClosed):
            await client.next()


async def test_any_frame_can_be_sent_to_the_service(sandbox_server: SandboxServer) -> None:
    async with client_of(sandbox_server) as client:
        await client.ask({"type": "ping"})
        await do(sandbox_server.post, f"{PREFIX}/frame", {"text": "{nonsense"})
        assert await client.socket.recv() == "{nonsense"
        await do(sandbox_server.post, f"{PREFIX}/frame", {"frame": {"type": "coupon"}})
        assert await client.next() == {"type": "coupon"}


async def test_a_reset_forgets_everything_and_closes_connections(
    sandbox_server: SandboxServer,
) -> None:
    async with client_of(sandbox_server) as client:
        await client.ask(a_send())
        await do(sandbox_server.post, f"{PREFIX}/say", {"customer_id": "小明", "content": "在吗"})
        await do(sandbox_server.reset)
        await asyncio.wait_for(client.socket.wait_closed(), 5)
    assert await do(shown, sandbox_server) == []
    assert (await do(sandbox_server.get, f"{PREFIX}/outgoing"))["messages"] == []


async def test_the_sandbox_ends_with_a_service_connected() -> None:
    with running_sandbox() as sandbox:
        async with client_of(sandbox) as client:
            await client.ask({"type": "ping"})
            sandbox.process.terminate()
            with pytest.raises(ConnectionClosed):
                await client.next()
            # uvicorn ends by the signal that it was sent, after an orderly shutdown.
            assert await asyncio.to_thread(sandbox.process.wait, 4) == -signal.SIGTERM
