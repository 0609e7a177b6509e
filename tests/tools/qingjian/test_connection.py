"""The connection against a real WebSocket server that dies, keeps silent and talks nonsense."""

import asyncio
import json
import logging
import time

import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tests.tools.qingjian.bridge import (
    NESTED,
    Recorder,
    a_text,
    connected,
    mapping_of,
    nested,
    running_bridge,
)
from tools.qingjian.connection import QingjianConnection
from tools.qingjian.mapping import QingjianMapping, load_mapping

UNACKNOWLEDGED = [rule for rule in NESTED["incoming"] if rule["kind"] != "ack"]


def login_mapping(timeout_s: float = 5.0) -> QingjianMapping:
    rule = {"kind": "login", "when": {"cmd": "hi"}, "success": {"ok": True}, "reason": "why"}
    return mapping_of(
        incoming=[*NESTED["incoming"], rule],
        outgoing=NESTED["outgoing"] | {"login": {"cmd": "login", "key": "s3cret"}},
        connection={"websocket_ping_s": 0, "login_timeout_s": timeout_s},
    )


async def test_frames_of_customers_are_handed_over_in_order_and_acknowledged_when_told() -> None:
    recorder = Recorder()
    async with running_bridge() as bridge, connected(bridge.url, mapping_of(), recorder):
        for number in range(3):
            await bridge.say(nested(id=number, text=f"第{number}条"))
        got = await bridge.until_frames("got", 3)
        recorder.acknowledges = False
        await bridge.say(nested(id=3, text="第3条"))
        await recorder.until(4)
    assert [frame["id"] for frame in got] == [0, 1, 2]
    assert len([frame for frame in bridge.frames if frame["cmd"] == "got"]) == 3
    assert [frame.message.text for frame in recorder.customers] == [f"第{n}条" for n in range(4)]


async def test_a_message_is_sent_when_the_peer_has_acknowledged_it() -> None:
    async with running_bridge() as bridge, connected(bridge.url, mapping_of()) as connection:
        await connection.send(a_text())
        assert bridge.sent() == ["在的"]
        assert connection.state.sent == 1


@pytest.mark.parametrize(
    ("reply", "error", "hint"),
    [
        ({"success": False, "err": {"code": "BUSY", "text": "慢点"}}, PeerUnavailable, "BUSY 慢点"),
        ({"success": False, "err": {"code": "BLOCKED"}}, PeerRejected, "BLOCKED"),
        (None, PeerUnavailable, "no acknowledgement in time"),
        ("die", PeerUnavailable, "lost"),
    ],
)
async def test_a_message_that_is_not_taken_says_whether_to_try_again(
    reply: object, error: type[Exception], hint: str
) -> None:
    async with running_bridge() as bridge, connected(bridge.url, mapping_of()) as connection:
        bridge.replies = [reply]  # type: ignore[list-item]
        with pytest.raises(error, match=hint):
            await connection.send(a_text())
        await connection.send(a_text("t2:reply", "第二条"), wait_s=5.0)
        assert bridge.sent() == ["在的", "第二条"]


async def test_an_acknowledgement_that_comes_too_late_spares_the_customer_a_second_copy() -> None:
    async with running_bridge() as bridge, connected(bridge.url, mapping_of()) as connection:
        bridge.replies = [None]
        with pytest.raises(PeerUnavailable):
            await connection.send(a_text())
        before = connection.state.received
        late = {"cmd": "resp", "req": bridge.frames[0]["req"], "data": {"success": True}}
        await bridge.say(late)
        async with asyncio.timeout(60):
            while connection.state.received == before:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.005)
        await connection.send(a_text())
        assert bridge.sent() == ["在的"]


async def test_a_peer_that_never_acknowledges_has_a_message_once_it_is_read() -> None:
    mapping = mapping_of(incoming=UNACKNOWLEDGED, connection={"websocket_ping_s": 5})
    async with running_bridge() as bridge, connected(bridge.url, mapping) as connection:
        await connection.send(a_text())
        await bridge.until_frames("sendMsg")
        for socket in bridge.sockets:
            socket.transport.pause_reading()
        with pytest.raises(PeerUnavailable, match="not read in time"):
            await connection.send(a_text("t2:reply"))
        bridge.sockets[0].transport.resume_reading()


async def test_without_acknowledgements_and_pings_sent_is_done() -> None:
    mapping = mapping_of(incoming=UNACKNOWLEDGED)
    async with running_bridge() as bridge, connected(bridge.url, mapping) as connection:
        await connection.send(a_text())
        await bridge.until_frames("sendMsg")


async def test_without_a_connection_a_message_is_refused_for_now() -> None:
    connection = QingjianConnection("ws://127.0.0.1:9", mapping_of(), Recorder())
    with pytest.raises(PeerUnavailable) as caught:
        await connection.send(a_text())
    assert caught.value.retry_after
    await connection.start()
    with pytest.raises(PeerUnavailable, match="not connected"):
        await connection.send(a_text(), wait_s=0.05)
    await connection.stop()
    assert connection.state.status == "stopped"


async def test_after_the_peer_is_gone_and_back_messages_go_both_ways_again() -> None:
    recorder = Recorder()
    async with running_bridge() as first:
        port = int(first.url.rpartition(":")[2])
        connection = QingjianConnection(first.url, mapping_of(), recorder, chance=lambda: 0.0)
        await connection.start()
        await connection.send(a_text(), wait_s=5.0)
    try:
        assert not await connection.until_ready(0.05)
        async with running_bridge(port) as second:
            await connection.send(a_text("t2:reply"), wait_s=10.0)
            await second.say(nested())
            await recorder.until(1)
            assert second.sent() == ["在的"]
            assert (connection.state.connects, recorder.connects) == (2, 2)
    finally:
        await connection.stop()


async def test_pauses_between_attempts_grow_to_half_a_minute() -> None:
    sure = QingjianConnection("ws://h", mapping_of(), Recorder(), chance=lambda: 1.0)
    pauses = [sure._pause(failures) for failures in (0, 1, 2, 3, 7, 1_000)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 30.0, 30.0]
    half = QingjianConnection("ws://h", mapping_of(), Recorder(), chance=lambda: 0.0)
    assert half._pause(1_000) == 15.0


async def test_a_connection_that_carried_messages_is_opened_again_soon_however_often_it_ends() -> (
    None
):
    async with running_bridge() as bridge, connected(bridge.url, mapping_of()) as connection:
        async with asyncio.timeout(15):  # eight pauses, each twice the last, would take longer
            for number in range(8):
                await connection.send(a_text(f"t{number}"), wait_s=15.0)
                bridge.sockets[0].transport.abort()
                while connection.state.status == "connected":  # noqa: ASYNC110 - tells nobody
                    await asyncio.sleep(0.005)
        assert connection.state.connects == 8


async def test_heartbeats_are_sent_and_answered() -> None:
    mapping = mapping_of(
        outgoing=NESTED["outgoing"] | {"heartbeat": {"cmd": "alive"}},
        connection={"websocket_ping_s": 0, "heartbeat_s": 0.02},
    )
    async with running_bridge() as bridge, connected(bridge.url, mapping):
        await bridge.until_frames("alive", 2)
        await bridge.say({"cmd": "beat", "n": 5})
        assert (await bridge.until_frames("beat"))[0] == {"cmd": "beat", "n": 5}


async def test_a_connection_on_which_nothing_comes_is_given_up() -> None:
    mapping = mapping_of(connection={"websocket_ping_s": 0, "heartbeat_s": 0.02, "silence_s": 0.06})
    async with running_bridge() as bridge, connected(bridge.url, mapping) as connection:
        async with asyncio.timeout(60):
            while connection.state.connects < 2:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.01)
        assert "not a frame" in connection.state.last_error


async def test_nothing_is_sent_before_the_peer_has_let_us_in() -> None:
    recorder = Recorder()
    async with running_bridge() as bridge:
        connection = QingjianConnection(bridge.url, login_mapping(), recorder)
        await connection.start()
        await bridge.until_frames("login")
        with pytest.raises(PeerUnavailable, match="not connected"):
            await connection.send(a_text(), wait_s=0.05)
        assert recorder.connects == 0
        await bridge.say({"cmd": "hi", "ok": True})
        await connection.send(a_text(), wait_s=5.0)
        await connection.stop()


@pytest.mark.parametrize("answer", [{"cmd": "hi", "ok": False, "why": "钥匙不对"}, None])
async def test_a_login_that_is_refused_or_not_answered_ends_the_connection(
    answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_bridge() as bridge:
        connection = QingjianConnection(bridge.url, login_mapping(0.1), Recorder())
        await connection.start()
        await bridge.until_frames("login")
        if answer is not None:
            await bridge.say(answer)
        await bridge.until_connected(0)
        async with asyncio.timeout(60):
            while connection.state.status != "waiting":  # noqa: ASYNC110 - tells nobody
                await asyncio.sleep(0.005)
        await connection.stop()
    expected = "钥匙不对" if answer else "no answer in time"
    assert expected in connection.state.last_error
    ours = [record for record in caplog.records if record.name.startswith("tools.")]
    assert ours
    assert not any("s3cret" in record.getMessage() for record in ours)


async def test_nonsense_is_counted_and_the_connection_goes_on() -> None:
    recorder = Recorder()
    async with running_bridge() as bridge, connected(bridge.url, mapping_of(), recorder) as own:
        nonsense: list[object] = ["{", b"\xff\x00", [], {"cmd": "?"}, {"cmd": "resp"}, "[" * 9_999]
        for frame in nonsense:
            await bridge.say(frame)
        await bridge.say(nested())
        await recorder.until(len(nonsense) + 1)
        assert (own.state.unknown, own.state.connects) == (len(nonsense), 1)
    assert len(recorder.customers) == 1


async def test_a_frame_over_the_limit_is_skipped_and_one_far_over_it_ends_the_connection() -> None:
    mapping = mapping_of(connection={"websocket_ping_s": 0, "max_frame_bytes": 2_000})
    recorder = Recorder()
    async with running_bridge() as bridge, connected(bridge.url, mapping, recorder) as own:
        await bridge.say("x" * 3_000)
        await recorder.until(1)
        assert own.state.connects == 1
        await bridge.say("x" * 9_000)
        await bridge.until_connected(0)
        await bridge.until_connected(1)
    assert "1009" in own.state.last_error


async def test_a_burst_is_read_whole_and_in_order() -> None:
    recorder = Recorder()
    async with running_bridge() as bridge, connected(bridge.url, mapping_of(), recorder):
        started = time.monotonic()
        for number in range(1_000):
            await bridge.say(nested(id=number))
        await recorder.until(1_000)
        assert time.monotonic() - started < 20
    ids = [frame.message.channel_message_id for frame in recorder.customers]
    assert ids == [str(number) for number in range(1_000)]


async def test_answers_to_many_at_once_are_told_apart() -> None:
    async with running_bridge() as bridge, connected(bridge.url, mapping_of()) as connection:
        await asyncio.gather(*(connection.send(a_text(f"t{n}", f"{n}")) for n in range(100)))
        assert sorted(bridge.sent(), key=int) == [str(n) for n in range(100)]


async def test_an_address_is_shown_without_what_may_be_secret() -> None:
    url = "ws://user:pass@127.0.0.1:9528/x?token=abc"
    assert QingjianConnection(url, mapping_of(), Recorder()).peer == "ws://127.0.0.1:9528"


async def test_the_default_mapping_and_the_sandbox_understand_each_other(
    sandbox_server: SandboxServer,
) -> None:
    url = sandbox_server.url.replace("http", "ws", 1) + "/qingjian/ws"
    recorder = Recorder()
    async with connected(url, load_mapping(), recorder) as connection:
        said = await asyncio.to_thread(
            sandbox_server.post,
            "/_sandbox/qingjian/say",
            {"customer_id": "小明", "content": "好的", "images": ["http://h/1"]},
            wait=5,
        )
        assert said["state"] == "delivered"
        await connection.send(a_text(chat_id="小明", to="小明"))
        await connection.send(a_text(chat_id="小明", to="小明"))
        assert connection.state.unknown == 0
    shown = sandbox_server.get("/_sandbox/qingjian/chats/小明")["messages"]
    assert [(m["content"], m["received"]) for m in shown] == [("在的", 2)]
    assert recorder.customers[0].message.text == "好的"
    assert json.loads(recorder.customers[0].answer or "")["msg_id"] == said["msg_id"]
