import asyncio
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from sandbox.app import create_app
from sandbox.peers.tianwang import SCENARIOS, beijing_time, laid_over
from sandbox.settings import SandboxSettings
from sandbox.signatures import signature
from tests.sandbox.service import Arrival, running_service
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox

SECRET = "s3cret"
STAMP = "1700000000"


def callback(task_id: str = "TASK_001", status: str = "completed", **more: object) -> JsonObject:
    return {"task_id": task_id, "status": status, **more}


def call_back(
    sandbox: SandboxServer,
    event_id: str,
    body: JsonObject | None = None,
    *,
    secret: str | None = SECRET,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    content = json.dumps(body or callback()).encode()
    sent = {"X-Tianwang-Event-Id": event_id, "X-Tianwang-Timestamp": STAMP}
    if secret is not None:
        sent["X-Tianwang-Signature"] = signature(secret, STAMP, content)
    url = sandbox.url + "/tianwang/callback"
    return sandbox.client.post(url, content=content, headers=sent | (headers or {}))


def callbacks(sandbox: SandboxServer, **query: object) -> list[JsonObject]:
    return list(sandbox.get("/_sandbox/tianwang/callbacks", **query)["callbacks"])


@pytest.fixture
def tianwang(sandbox_server: SandboxServer) -> SandboxServer:
    """A Tianwang that verifies what it is sent."""
    sandbox_server.put("/_sandbox/tianwang/secret", {"secret": SECRET})
    return sandbox_server


# Callbacks ---------------------------------------------------------------------------------


def test_a_signed_callback_is_taken_and_shown_as_verified(tianwang: SandboxServer) -> None:
    answer = call_back(tianwang, "e1", callback(result={"已发送": 1}))
    assert (answer.status_code, answer.json()) == (200, {"code": 200, "message": "ok"})
    (shown,) = callbacks(tianwang)
    shown.pop("received_at")
    assert shown == {
        "task_id": "TASK_001",
        "status": "completed",
        "result": {"已发送": 1},
        "event_id": "e1",
        "verified": True,
        "received": 1,
        "conflicts": 0,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Tianwang-Signature": ""},
        {"X-Tianwang-Signature": "sha256=00"},
        {"X-Tianwang-Signature": signature("other", STAMP, json.dumps(callback()).encode())},
        {"X-Tianwang-Timestamp": "1700000001"},
        {"X-Tianwang-Timestamp": "soon"},
        {"X-Tianwang-Timestamp": ""},
    ],
)
def test_what_is_not_signed_with_the_secret_is_refused_and_not_kept(
    tianwang: SandboxServer, headers: dict[str, str]
) -> None:
    answer = call_back(tianwang, "e1", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, 401)
    shown = tianwang.get("/_sandbox/tianwang/callbacks")
    assert (shown["callbacks"], shown["refused"]) == ([], 1)
    assert tianwang.journal("tianwang")[0]["accepted"] is False


def test_a_changed_body_is_refused(tianwang: SandboxServer) -> None:
    good = signature(SECRET, STAMP, json.dumps(callback()).encode())
    answer = call_back(
        tianwang, "e1", callback(status="failed"), headers={"X-Tianwang-Signature": good}
    )
    assert answer.status_code == 401


def test_without_a_secret_callbacks_are_taken_but_not_verified(
    sandbox_server: SandboxServer,
) -> None:
    assert call_back(sandbox_server, "e1", secret=None).status_code == 200
    assert [shown["verified"] for shown in callbacks(sandbox_server)] == [False]


def test_a_forged_copy_does_not_stand_in_the_way_of_the_true_one(tianwang: SandboxServer) -> None:
    assert call_back(tianwang, "e1", callback(status="failed"), secret="other").status_code == 401
    assert call_back(tianwang, "e1").status_code == 200
    assert [(s["status"], s["conflicts"]) for s in callbacks(tianwang)] == [("completed", 0)]


def test_the_same_event_again_is_a_counted_copy(tianwang: SandboxServer) -> None:
    answers = [call_back(tianwang, event) for event in ("e1", "e2", "e1")]
    assert [answer.json()["code"] for answer in answers] == [200, 200, 200]
    assert [(s["event_id"], s["received"]) for s in callbacks(tianwang)] == [("e1", 2), ("e2", 1)]
    assert [entry["duplicate"] for entry in tianwang.journal("tianwang")] == [False, False, True]


def test_an_event_id_may_be_of_any_script_percent_encoded_in_its_header(
    tianwang: SandboxServer,
) -> None:
    call_back(tianwang, "evt_%E4%BB%BB%E5%8A%A1_1")
    assert [shown["event_id"] for shown in callbacks(tianwang)] == ["evt_任务_1"]


def test_an_event_that_comes_back_with_another_body_is_a_conflict(tianwang: SandboxServer) -> None:
    call_back(tianwang, "e1")
    call_back(tianwang, "e1", callback(status="failed"))
    (shown,) = callbacks(tianwang)
    assert (shown["status"], shown["received"], shown["conflicts"]) == ("completed", 2, 1)


def test_callbacks_of_one_task_are_shown_in_their_order(tianwang: SandboxServer) -> None:
    for number, (task, status) in enumerate(
        [("A", "failed"), ("B", "completed"), ("A", "completed")]
    ):
        call_back(tianwang, f"e{number}", callback(task, status))
    assert [s["status"] for s in callbacks(tianwang, task_id="A")] == ["failed", "completed"]
    assert [s["task_id"] for s in callbacks(tianwang)] == ["A", "B", "A"]
    assert callbacks(tianwang, task_id="C") == []


@pytest.mark.parametrize(
    ("event_id", "body", "status"),
    [
        ("", callback(), 400),
        ("e" * 257, callback(), 400),
        ("e1", {"status": "completed"}, 422),
        ("e1", {"task_id": "", "status": "completed"}, 422),
        ("e1", {"task_id": "T", "status": 5}, 422),
    ],
)
def test_a_callback_that_says_nothing_usable_is_refused(
    tianwang: SandboxServer, event_id: str, body: JsonObject, status: int
) -> None:
    answer = call_back(tianwang, event_id, body)
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert callbacks(tianwang) == []


async def test_waiting_for_a_callback_of_a_task_ends_when_it_arrives(
    tianwang: SandboxServer,
) -> None:
    call_back(tianwang, "e0", callback("other"))
    waiting = asyncio.create_task(
        asyncio.to_thread(callbacks, tianwang, task_id="TASK_001", at_least=1, wait=20.0)
    )
    await asyncio.sleep(0.05)
    await asyncio.to_thread(call_back, tianwang, "e1")
    assert [s["event_id"] for s in await asyncio.wait_for(waiting, 5)] == ["e1"]


def test_tianwang_can_fail_lose_its_answer_and_talk_nonsense(tianwang: SandboxServer) -> None:
    tianwang.fault("tianwang", "status", count=1, status=500)
    answer = call_back(tianwang, "e1")
    assert (answer.status_code, answer.json()["code"]) == (500, 500)
    tianwang.fault("tianwang", "garbage", count=1)
    with pytest.raises(json.JSONDecodeError):
        call_back(tianwang, "e1").json()
    assert callbacks(tianwang) == []
    tianwang.fault("tianwang", "lost_answer", count=1, request_kind="callback")
    with pytest.raises(httpx.RemoteProtocolError):
        call_back(tianwang, "e1")
    assert call_back(tianwang, "e1").status_code == 200
    assert [s["received"] for s in callbacks(tianwang)] == [2]


async def test_callbacks_over_the_bound_are_forgotten_oldest_first() -> None:
    app = create_app(SandboxSettings(max_messages=2))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        for number in range(4):
            headers = {"X-Tianwang-Event-Id": f"e{number}"}
            body = callback(f"T{number // 3}")
            await client.post("/tianwang/callback", json=body, headers=headers)
        shown = (await client.get("/_sandbox/tianwang/callbacks")).json()
        first = (await client.get("/_sandbox/tianwang/callbacks?task_id=T0")).json()
    assert [s["event_id"] for s in shown["callbacks"]] == ["e2", "e3"]
    assert [s["event_id"] for s in first["callbacks"]] == ["e2"]
    assert shown["dropped"] == 2


@pytest.mark.parametrize(("late", "status"), [(0, 200), (290, 200), (302, 401)])
async def test_a_receiver_that_minds_the_time_refuses_what_is_old(late: int, status: int) -> None:
    app = create_app(SandboxSettings(tianwang_secret=SECRET, tianwang_max_skew=300))
    stamp = str(int(app.sandbox.clock()) - late)
    content = json.dumps(callback()).encode()
    headers = {
        "X-Tianwang-Event-Id": "e1",
        "X-Tianwang-Timestamp": stamp,
        "X-Tianwang-Signature": signature(SECRET, stamp, content),
    }
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.post("/tianwang/callback", content=content, headers=headers)
    assert answer.status_code == status


def test_the_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    secret_file = tmp_path / "tianwang"
    secret_file.write_text("from-file\n", "utf-8")
    with running_sandbox(extra=["--tianwang-secret-file", str(secret_file)]) as sandbox:
        assert call_back(sandbox, "e1", secret="other").status_code == 401
        assert call_back(sandbox, "e1", secret="from-file").status_code == 200
        assert "from-file" not in json.dumps(sandbox.get("/_sandbox/health"))
        sandbox.put("/_sandbox/tianwang/secret", {"secret": None})
        sandbox.reset()
        assert call_back(sandbox, "e1", secret="other").status_code == 401


# Tasks -------------------------------------------------------------------------------------


def test_a_scenario_is_sent_as_the_seed_prints_it_under_an_id_of_its_own(
    sandbox_server: SandboxServer,
) -> None:
    with running_service() as service:
        sandbox_server.set_target(service.url)
        first = sandbox_server.post("/_sandbox/tianwang/send", {"scenario": "reply"})
        again = sandbox_server.post("/_sandbox/tianwang/send", {"scenario": "reply"})
    arrival = service.arrivals[0]
    assert (arrival.path, arrival.headers["content-type"]) == (
        "/api/task/receive",
        "application/json",
    )
    assert first["sent"] == arrival.json()
    assert first["sent"]["task_id"].startswith("TASK_001_")
    assert first["sent"]["task_id"] != again["sent"]["task_id"]
    assert first["sent"] | {"task_id": "TASK_001"} == SCENARIOS["reply"]


def test_what_is_given_is_laid_over_the_scenario(sandbox_server: SandboxServer) -> None:
    given = {"task_id": "T-9", "customer": {"id": "c9"}, "trigger": {"customer_id": "c9"}}
    with running_service() as service:
        sandbox_server.set_target(service.url)
        order = {"scenario": "reply", "task": given}
        sent = sandbox_server.post("/_sandbox/tianwang/send", order)["sent"]
    assert sent["task_id"] == "T-9"
    assert sent["customer"] == {"id": "c9", "name": "小明"}
    assert sent["trigger"]["keyword"] == "好的"
    assert sent["trigger"]["customer_id"] == "c9"
    assert "c9" not in json.dumps(SCENARIOS)


def test_a_greeting_is_for_a_time_to_come(sandbox_server: SandboxServer) -> None:
    with running_service() as service:
        sandbox_server.set_target(service.url)
        before = datetime.now(timezone(timedelta(hours=8))).replace(tzinfo=None)
        order = {"scenario": "greeting", "in_seconds": 2}
        sent = sandbox_server.post("/_sandbox/tianwang/send", order)["sent"]
        fixed = {"scenario": "greeting", "task": {"trigger": {"time": "2026-02-28 09:00:00"}}}
        printed = sandbox_server.post("/_sandbox/tianwang/send", fixed)["sent"]
    at = datetime.strptime(sent["trigger"]["time"], "%Y-%m-%d %H:%M:%S")
    assert timedelta(seconds=2) <= at - before < timedelta(seconds=20)
    assert printed["trigger"] == {"type": "time_reach", "time": "2026-02-28 09:00:00"}


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (0, "1970-01-01 08:00:00"),
        (1_772_240_400, "2026-02-28 09:00:00"),
        (1_772_240_399.001, "2026-02-28 09:00:00"),
    ],
)
def test_times_are_written_in_beijing_and_never_fall_short(at: float, written: str) -> None:
    assert beijing_time(at) == written


def test_laying_over_replaces_what_is_no_object() -> None:
    scenario = {"a": 1, "b": {"x": 1, "y": 2}, "c": {"z": 1}}
    assert laid_over(scenario, {"a": {"n": 1}, "b": {"y": 3}, "c": None}) == {
        "a": {"n": 1},
        "b": {"x": 1, "y": 3},
        "c": None,
    }


def test_a_task_of_ones_own_is_sent_as_it_is_with_the_key(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/tianwang/key", {"key": "k-1"})
    with running_service() as service:
        sandbox_server.set_target(service.url)
        sandbox_server.post("/_sandbox/tianwang/send", {"task": {"task_id": "T", "n": 10**30}})
        sandbox_server.reset()
        sandbox_server.post("/_sandbox/tianwang/cancel", {"task_id": "T", "reason": "取消"})
    first, second = service.arrivals
    assert first.json() == {"task_id": "T", "n": 10**30}
    assert first.headers["x-api-key"] == "k-1"
    assert (second.path, second.json()) == ("/api/task/cancel", {"task_id": "T", "reason": "取消"})
    assert "x-api-key" not in second.headers


def test_a_refusal_of_the_service_is_shown_as_it_was(sandbox_server: SandboxServer) -> None:
    with running_service(lambda _: 409) as service:
        sandbox_server.set_target(service.url)
        answer = sandbox_server.post("/_sandbox/tianwang/send", {"scenario": "payment"})
    assert (answer["status"], answer["answer"], answer["copies"]) == (409, "", 1)


def test_a_duplicate_fault_hands_the_task_over_twice_at_once(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("tianwang", "duplicate", count=1, times=3)
    with running_service() as service:
        sandbox_server.set_target(service.url)
        answer = sandbox_server.post("/_sandbox/tianwang/send", {"scenario": "payment"})
    assert answer["copies"] == 3
    assert len({arrival.body for arrival in service.arrivals}) == 1
    assert len(service.arrivals) == 3


def test_a_service_that_is_away_is_said(sandbox_server: SandboxServer) -> None:
    sandbox_server.set_target("http://127.0.0.1:9")
    url = sandbox_server.url + "/_sandbox/tianwang/send"
    answer = sandbox_server.client.post(url, json={"scenario": "reply"})
    assert answer.status_code == 502
    assert "127.0.0.1:9" in answer.json()["detail"]


@pytest.mark.parametrize(
    "order", [{}, {"scenario": "unknown"}, {"scenario": "reply", "colour": 1}, {"task": []}]
)
def test_a_senseless_order_is_refused_before_anything_is_sent(
    sandbox_server: SandboxServer, order: JsonObject
) -> None:
    def nobody(arrival: Arrival) -> int:
        raise AssertionError(arrival)

    with running_service(nobody) as service:
        sandbox_server.set_target(service.url)
        url = sandbox_server.url + "/_sandbox/tianwang/send"
        answer = sandbox_server.client.post(url, json=order)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert service.arrivals == []
