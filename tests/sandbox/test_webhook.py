import asyncio
import hashlib
import hmac
import json
import threading
import time

import httpx
import pytest

from sandbox.signatures import signature
from tests.sandbox.service import Arrival, running_service
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox


def message(
    message_id: str, chat_id: str = "chat", text: str = "您好", **more: object
) -> JsonObject:
    return {
        "message_id": message_id,
        "conversation_id": "c_1",
        "account": "shop",
        "chat_id": chat_id,
        "to": "u1",
        "text": text,
        "turn_id": "t_1",
        "created_at": 1_700_000_000.5,
        **more,
    }


def deliver(sandbox: SandboxServer, body: JsonObject, **headers: str) -> httpx.Response:
    return sandbox.client.post(sandbox.webhook_url, json=body, headers=headers)


def test_signature_is_hmac_sha256_over_timestamp_dot_body() -> None:
    # RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac.new(b"Jefe", b"what do ya want for nothing?", hashlib.sha256).hexdigest() == digest
    expected = hmac.new(b"Jefe", b"17.{}", hashlib.sha256).hexdigest()
    assert signature("Jefe", "17", b"{}") == f"sha256={expected}"


def test_messages_are_shown_once_in_order_of_first_arrival(sandbox_server: SandboxServer) -> None:
    verdicts = [deliver(sandbox_server, message(m)).json() for m in ("m1", "m2", "m1", "m3")]
    assert [verdict["duplicate"] for verdict in verdicts] == [False, False, True, False]
    shown = sandbox_server.chat("chat")
    assert [(m["message_id"], m["received"]) for m in shown] == [("m1", 2), ("m2", 1), ("m3", 1)]
    assert shown[0]["conflicts"] == 0


def test_same_id_with_another_text_is_a_conflict_and_is_not_shown(
    sandbox_server: SandboxServer,
) -> None:
    deliver(sandbox_server, message("m1", text="甲"))
    deliver(sandbox_server, message("m1", text="乙"))
    (shown,) = sandbox_server.chat("chat")
    assert (shown["text"], shown["received"], shown["conflicts"]) == ("甲", 2, 1)


def test_chats_are_separate_and_listed(sandbox_server: SandboxServer) -> None:
    deliver(sandbox_server, message("m1", "群/一"))
    deliver(sandbox_server, message("m2", "b"))
    deliver(sandbox_server, message("m3", "b"))
    assert sandbox_server.chats() == [
        {"chat_id": "群/一", "messages": 1},
        {"chat_id": "b", "messages": 2},
    ]
    assert [m["message_id"] for m in sandbox_server.chat("群/一")] == ["m1"]
    assert sandbox_server.chat("nobody") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [({"message_id": ""}, "message_id"), ({"chat_id": None}, "chat_id"), ({"text": 5}, "text")],
)
def test_unusable_message_is_refused_with_its_field(
    sandbox_server: SandboxServer, change: JsonObject, field: str
) -> None:
    answer = deliver(sandbox_server, message("m1") | change)
    assert answer.status_code == 422
    assert field in answer.json()["error"]
    assert sandbox_server.journal("webhook")[0]["accepted"] is False


def test_with_a_secret_only_signed_messages_are_taken(sandbox_server: SandboxServer) -> None:
    sandbox_server.set_webhook_secret("s3cret")
    body = json.dumps(message("m1")).encode()
    good = {"X-Kefu-Timestamp": "1700000000"}
    good["X-Kefu-Signature"] = signature("s3cret", "1700000000", body)
    wrong = [
        {},
        good | {"X-Kefu-Timestamp": "1700000001"},
        good | {"X-Kefu-Timestamp": "soon"},
        good | {"X-Kefu-Signature": "sha256=00"},
        good | {"X-Kefu-Signature": signature("other", "1700000000", body)},
    ]
    for headers in wrong:
        answer = sandbox_server.client.post(
            sandbox_server.webhook_url, content=body, headers=headers
        )
        assert (answer.status_code, answer.json()["accepted"]) == (401, False)
    changed = sandbox_server.client.post(
        sandbox_server.webhook_url, content=body + b" ", headers=good
    )
    assert changed.status_code == 401
    assert sandbox_server.chat("chat") == []
    assert (
        sandbox_server.client.post(
            sandbox_server.webhook_url, content=body, headers=good
        ).status_code
        == 200
    )


def test_customer_writes_and_the_service_gets_it_as_the_channel_sends_it(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.set_webhook_secret("s3cret")
    with running_service() as service:
        sandbox_server.set_target(service.url)
        said = sandbox_server.say("c1", "多少钱", sender_name="小王", account="店 铺", wait=10)
    assert (said["state"], said["attempts"], said["status"]) == ("delivered", 1, 200)
    (arrival,) = service.arrivals
    assert arrival.path == "/api/channels/webhook/%E5%BA%97%20%E9%93%BA/messages"
    body = arrival.json()
    assert abs(body.pop("timestamp") - time.time()) < 60
    assert body == {
        "message_id": said["message_id"],
        "chat_id": "c1",
        "sender_id": "c1",
        "sender_name": "小王",
        "type": "text",
        "text": "多少钱",
    }
    stamp = arrival.headers["x-kefu-timestamp"]
    assert arrival.headers["x-kefu-signature"] == signature("s3cret", stamp, arrival.body)


def test_attachments_travel_with_the_message(sandbox_server: SandboxServer) -> None:
    picture = {"kind": "image", "url": "http://127.0.0.1/a.png", "bytes": 10**30}
    with running_service() as service:
        sandbox_server.set_target(service.url)
        sandbox_server.say("c1", "", type="image", attachments=[picture], wait=10)
    body = service.arrivals[0].json()
    assert (body["type"], body["attachments"]) == ("image", [picture])


def test_chat_stays_in_order_while_its_first_message_is_retried(
    sandbox_server: SandboxServer,
) -> None:
    refusals = iter([500, 503, 422])

    def stubborn(arrival: Arrival) -> int:
        return next(refusals, 200) if arrival.json()["text"] == "一" else 200

    with running_service(stubborn) as service:
        sandbox_server.set_target(service.url)
        sandbox_server.say_batch([{"chat_id": "c", "text": text} for text in ("一", "二", "三")])
        report = sandbox_server.outgoing(wait=20)
    assert (report["pending"], report["delivered"]) == (0, 3)
    assert service.texts("c") == ["一", "一", "一", "一", "二", "三"]
    assert report["messages"][0]["attempts"] == 4


def test_message_is_kept_while_the_service_is_away_and_follows_it_to_a_new_address(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.set_target("http://127.0.0.1:9")
    sandbox_server.say("c", "在吗")
    assert sandbox_server.outgoing(wait=0.5)["pending"] == 1
    with running_service() as service:
        sandbox_server.set_target(service.url)
        assert sandbox_server.outgoing(wait=10)["delivered"] == 1
    assert service.texts("c") == ["在吗"]


def test_chats_are_delivered_side_by_side_but_bounded(sandbox_server: SandboxServer) -> None:
    lock = threading.Lock()
    now, most = 0, 0

    def slow(_: Arrival) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        return 200

    with running_service(slow) as service:
        sandbox_server.set_target(service.url)
        sandbox_server.say_batch([{"chat_id": f"c{n}", "text": "x"} for n in range(150)])
        assert sandbox_server.outgoing(wait=30)["delivered"] == 150
    assert 8 <= most <= 64


def test_messages_of_one_chat_are_never_delivered_side_by_side(
    sandbox_server: SandboxServer,
) -> None:
    inside = threading.Lock()
    overlaps = []

    def watch(_: Arrival) -> int:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return 200
        time.sleep(0.01)
        inside.release()
        return 200

    with running_service(watch) as service:
        sandbox_server.set_target(service.url)
        sandbox_server.say_batch([{"chat_id": "c", "text": str(n)} for n in range(30)])
        sandbox_server.outgoing(wait=20)
    assert overlaps == []
    assert service.texts("c") == [str(n) for n in range(30)]


def test_duplicate_fault_delivers_copies_at_the_same_time(sandbox_server: SandboxServer) -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(_: Arrival) -> int:
        # Passes only if all three copies are under way at once.
        together.wait()
        return 200

    sandbox_server.fault("webhook", "duplicate", count=1, times=3)
    with running_service(meet) as service:
        sandbox_server.set_target(service.url)
        said = sandbox_server.say("c", "付款", message_id="m-1", wait=15)
        assert (said["state"], said["copies"], said["attempts"]) == ("delivered", 3, 3)
        service.answer = lambda _: 200
        assert sandbox_server.say("c", "再来", wait=10)["copies"] == 1
    assert [a.json()["message_id"] for a in service.arrivals[:3]] == ["m-1"] * 3


def test_duplicate_fault_does_not_touch_what_the_peer_receives(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("webhook", "duplicate")
    assert deliver(sandbox_server, message("m1")).json() == {"accepted": True, "duplicate": False}


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x"},
        {"chat_id": "", "text": "x"},
        {"chat_id": "c", "text": "x", "colour": 1},
        {"chat_id": "c" * 200, "text": "x"},
    ],
)
def test_senseless_customer_message_is_refused(
    sandbox_server: SandboxServer, body: JsonObject
) -> None:
    answer = sandbox_server.client.post(sandbox_server.url + "/_sandbox/webhook/say", json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_reset_gives_up_what_was_to_be_said(sandbox_server: SandboxServer) -> None:
    sandbox_server.set_target("http://127.0.0.1:9")
    sandbox_server.say_batch([{"chat_id": f"c{n}", "text": "x"} for n in range(20)])
    sandbox_server.reset()
    assert sandbox_server.outgoing()["pending"] == 0
    with running_service() as service:
        sandbox_server.set_target(service.url)
        assert sandbox_server.say("c0", "新", wait=10)["state"] == "delivered"
    assert [arrival.json()["text"] for arrival in service.arrivals] == ["新"]


def test_target_must_be_an_address(sandbox_server: SandboxServer) -> None:
    for wrong in ("localhost", "http://", "http://a:99999999", "http://a:x", "file:///etc"):
        answer = sandbox_server.client.put(
            sandbox_server.url + "/_sandbox/target", json={"url": wrong}
        )
        assert answer.status_code == 422, wrong
        assert "http://127.0.0.1:6060" in answer.json()["detail"]


async def test_waiting_for_a_message_ends_when_it_arrives(sandbox_server: SandboxServer) -> None:
    waiting = asyncio.create_task(
        asyncio.to_thread(sandbox_server.chat, "late", at_least=1, wait=20.0)
    )
    await asyncio.sleep(0.05)
    started = time.perf_counter()
    await asyncio.to_thread(deliver, sandbox_server, message("m1", "late"))
    assert [m["message_id"] for m in await waiting] == ["m1"]
    assert time.perf_counter() - started < 5


def test_secret_from_a_file_signs_and_is_never_shown(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    secret_file = tmp_path_factory.mktemp("secret") / "webhook"
    secret_file.write_text("from-file\n", "utf-8")
    with (
        running_service() as service,
        running_sandbox(service.url, extra=["--webhook-secret-file", str(secret_file)]) as sandbox,
    ):
        sandbox.say("c", "你好", wait=10)
        assert deliver(sandbox, message("m1")).status_code == 401
        assert "from-file" not in json.dumps(sandbox.get("/_sandbox/health"))
    (arrival,) = service.arrivals
    stamp = arrival.headers["x-kefu-timestamp"]
    assert arrival.headers["x-kefu-signature"] == signature("from-file", stamp, arrival.body)
