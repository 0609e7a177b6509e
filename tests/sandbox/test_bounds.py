"""What traffic makes grow stays within its bound, and says so."""

import asyncio
import time

import httpx
import pytest
from pydantic import BaseModel

from sandbox.app import create_app
from sandbox.changes import Changes
from sandbox.delivery import Deliverer, Delivery, TooManyPending
from sandbox.gate import connection_of
from sandbox.received import ReceivedLog
from sandbox.settings import SandboxSettings
from sandbox.wecom.kf_log import KfLog
from tests.sandbox.service import running_service


class Item(BaseModel):
    text: str


def delivery(number: int, lane: str = "c") -> Delivery:
    return Delivery(
        id=f"m{number}",
        lane=lane,
        path="/x",
        body=b"{}",
        headers=lambda _: {},
        created_at=0.0,
    )


def test_a_customer_service_log_over_its_bound_forgets_the_oldest_and_keeps_its_cursors() -> None:
    log = KfLog(3)
    for number in range(2):
        log.add("wk", {"msgid": f"m{number}"}, 0.0)
    cursor = log.page("wk", "", 1, oldest=0.0).next_cursor
    for number in range(2, 6):
        log.add("wk", {"msgid": f"m{number}"}, 0.0)
    page = log.page("wk", cursor, 2, oldest=0.0)
    assert ([one["msgid"] for one in page.messages], page.has_more) == (["m3", "m4"], True)
    rest = log.page("wk", page.next_cursor, 2, oldest=0.0)
    assert ([one["msgid"] for one in rest.messages], rest.has_more) == (["m5"], False)


def test_log_over_its_bound_drops_the_oldest_and_counts_it() -> None:
    log = ReceivedLog(2, Changes())
    for number in range(4):
        log.add(f"m{number}", Item(text=str(number)), at=0.0)
    assert [dropped.id for dropped in log.trim()] == ["m0", "m1"]
    assert [kept.as_dict()["text"] for kept in log] == ["2", "3"]
    assert log.dropped == 2


async def test_chats_forget_what_the_log_drops() -> None:
    app = create_app(SandboxSettings(max_messages=3))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        for number in range(6):
            body = {"message_id": f"m{number}", "chat_id": f"c{number // 4}", "text": "x"}
            await client.post("/webhook/deliver", json=body)
        chats = (await client.get("/_sandbox/webhook/chats")).json()
    assert chats == {
        "chats": [{"chat_id": "c0", "messages": 1}, {"chat_id": "c1", "messages": 2}],
        "dropped": 3,
    }


async def test_pending_messages_have_a_limit() -> None:
    settings = SandboxSettings(max_pending=2, target="http://127.0.0.1:9")
    deliverer = Deliverer(create_app(settings).sandbox, "webhook")
    await deliverer.start()
    deliverer.add(delivery(1))
    deliverer.add(delivery(2))
    with pytest.raises(TooManyPending, match="2 messages"):
        deliverer.add(delivery(3))
    await deliverer.stop()
    assert deliverer.pending == 0


async def test_message_that_no_one_takes_fails_in_the_end_and_lets_the_next_pass() -> None:
    def refuse_first(arrival: object) -> int:
        return 500 if len(service.arrivals) < 3 else 200

    with running_service(refuse_first) as service:
        settings = SandboxSettings(target=service.url, delivery_seconds=0.3)
        sandbox = create_app(settings).sandbox
        deliverer = Deliverer(sandbox, "webhook")
        await deliverer.start()
        deliverer.add(delivery(1))
        deliverer.add(delivery(2))
        assert await sandbox.changes.until(lambda: deliverer.pending == 0, 10)
        states = {item.id: (item.state, item.status) for item in deliverer}
        await deliverer.stop()
    assert states == {"m1": ("failed", 500), "m2": ("delivered", 200)}


async def test_waiting_ends_at_its_time_when_nothing_changes() -> None:
    started = time.perf_counter()
    assert not await Changes().until(lambda: False, 0.05)
    assert 0.04 < time.perf_counter() - started < 2


async def test_waiting_ends_at_once_when_the_sandbox_stops() -> None:
    changes = Changes()
    waiting = asyncio.create_task(changes.until(lambda: False, 60))
    await asyncio.sleep(0)
    changes.close()
    assert await asyncio.wait_for(waiting, 2) is False


async def test_server_whose_connections_cannot_be_closed_is_said() -> None:
    async def send(_: object) -> None:
        """Some other server's send."""

    with pytest.raises(RuntimeError, match="uvicorn"):
        connection_of(send)
