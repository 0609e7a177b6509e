import asyncio

import httpx
import pytest

from sandbox.app import create_app
from sandbox.dispatch import NewTask
from sandbox.settings import SandboxSettings
from tests.sandbox_server import JsonObject, SandboxServer

KEY = {"X-API-Key": "tuhui_dispatch_key_2026"}


class Tuhui:
    """Seed 001's API as a client sees it."""

    def __init__(self, sandbox: SandboxServer, key: dict[str, str] | None = None) -> None:
        self.sandbox, self.key = sandbox, KEY if key is None else key

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{self.sandbox.url}/tuhui{path}"
        return self.sandbox.client.request(method, url, json=body, headers=self.key)

    def create(self, **fields: object) -> str:
        answer = self.ask("POST", "/tasks", {"task_name": "图片处理-1234", **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task_id"])

    def assign(self, task_id: str, designer: str, notes: str = "") -> httpx.Response:
        body = {"designer_name": designer, "notes": notes}
        return self.ask("POST", f"/tasks/{task_id}/assign", body)

    def complete(self, task_id: str, notes: str = "") -> httpx.Response:
        return self.ask("POST", f"/tasks/{task_id}/complete", {"notes": notes})

    def task(self, task_id: str) -> JsonObject:
        found: JsonObject = self.ask("GET", f"/tasks/{task_id}").json()
        return found


@pytest.fixture
def tuhui(sandbox_server: SandboxServer) -> Tuhui:
    return Tuhui(sandbox_server)


CALLS = [
    ("GET", "/dispatch/queue", None),
    ("GET", "/online/designers", None),
    ("POST", "/tasks", {"task_name": "图"}),
    ("POST", "/tasks/ea853bd9/assign", {"designer_name": "橘子"}),
    ("GET", "/tasks/ea853bd9", None),
    ("POST", "/tasks/ea853bd9/complete", {"notes": ""}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("key", [{}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}])
def test_every_call_needs_the_key(
    sandbox_server: SandboxServer, method: str, path: str, body: object, key: dict[str, str]
) -> None:
    sandbox_server.put("/_sandbox/tuhui/key", {"key": KEY["X-API-Key"]})
    answer = Tuhui(sandbox_server, key).ask(method, path, body)
    assert (answer.status_code, answer.json()) == (401, {"detail": "X-API-Key: missing or wrong"})
    assert sandbox_server.journal("tuhui")[0]["accepted"] is False


def test_any_key_will_do_until_one_is_set(sandbox_server: SandboxServer) -> None:
    assert Tuhui(sandbox_server, {"X-API-Key": "any"}).ask("GET", "/online/designers").is_success
    assert Tuhui(sandbox_server, {}).ask("GET", "/online/designers").status_code == 401
    sandbox_server.put("/_sandbox/tuhui/key", {"key": "one"})
    assert Tuhui(sandbox_server, {"X-API-Key": "one"}).ask("GET", "/online/designers").is_success
    assert "one" not in sandbox_server.journal("tuhui")[-1]["headers"].values()


def test_the_walk_of_the_seed_from_designers_to_a_finished_task(tuhui: Tuhui) -> None:
    assert tuhui.ask("GET", "/online/designers").json() == ["橘子", "婷婷"]
    task_id = tuhui.create(description="客户需要做高清修复", task_type="image_process", priority=2)
    assert len(task_id) == 8
    assert int(task_id, 16) >= 0
    assert tuhui.task(task_id)["status"] == "pending"
    assert tuhui.assign(task_id, "橘子", "AI 客服自动派单").json() == {
        "success": True,
        "task_id": task_id,
        "status": "assigned",
        "assigned_to": "橘子",
    }
    assert tuhui.complete(task_id, "客户已确认,效果满意").json()["status"] == "completed"
    task = tuhui.task(task_id)
    assert (task["status"], task["assigned_to"]) == ("completed", "橘子")
    assert task["notes"] == "客户已确认,效果满意"
    assert task["description"] == "客户需要做高清修复"


def test_the_queue_shows_what_waits_and_suggests_the_least_busy(tuhui: Tuhui) -> None:
    given, waiting = tuhui.create(), tuhui.create(task_name="等待")
    queue = tuhui.ask("GET", "/dispatch/queue").json()
    assert queue["suggestion"] == "橘子"
    assert queue["pending_tasks"]["count"] == 2
    tuhui.assign(given, "橘子")
    queue = tuhui.ask("GET", "/dispatch/queue").json()
    assert [task["task_id"] for task in queue["pending_tasks"]["tasks"]] == [waiting]
    assert queue["online_designers"] == {"count": 2, "designers": ["橘子", "婷婷"]}
    assert queue["suggestion"] == "婷婷"
    tuhui.complete(given)
    assert tuhui.ask("GET", "/dispatch/queue").json()["suggestion"] == "橘子"


def test_the_same_reference_is_the_same_task(tuhui: Tuhui) -> None:
    first = tuhui.create(reference="t1:dispatch")
    assert tuhui.create(reference="t1:dispatch", description="其他") == first
    assert tuhui.create(reference="t2:dispatch") != first
    assert tuhui.create() != tuhui.create()
    state = tuhui.sandbox.get("/_sandbox/tuhui/state")
    assert [task["received"] for task in state["tasks"]] == [2, 1, 1, 1]
    assert [entry["duplicate"] for entry in tuhui.sandbox.journal("tuhui")][:2] == [False, True]


def test_designers_come_and_go(tuhui: Tuhui) -> None:
    task_id = tuhui.create()
    tuhui.assign(task_id, "橘子")
    online = {"designers": ["阿文", "阿文"]}
    assert tuhui.sandbox.put("/_sandbox/tuhui/designers", online) == {"designers": ["阿文"]}
    assert tuhui.ask("GET", "/online/designers").json() == ["阿文"]
    assert tuhui.task(task_id)["assigned_to"] == "橘子"
    assert tuhui.assign(tuhui.create(), "橘子").status_code == 409
    tuhui.sandbox.put("/_sandbox/tuhui/designers", {"designers": []})
    queue = tuhui.ask("GET", "/dispatch/queue").json()
    assert (queue["suggestion"], queue["online_designers"]["count"]) == (None, 0)


def test_assigning_and_completing_again_is_the_same_success(tuhui: Tuhui) -> None:
    task_id = tuhui.create()
    assert [tuhui.assign(task_id, "橘子").status_code for _ in range(2)] == [200, 200]
    assert tuhui.assign(task_id, "婷婷").json()["assigned_to"] == "婷婷"
    assert [tuhui.complete(task_id).status_code for _ in range(2)] == [200, 200]
    verdicts = [entry["duplicate"] for entry in tuhui.sandbox.journal("tuhui")]
    assert verdicts == [False, False, True, False, False, True]


def test_what_cannot_be_done_is_refused_with_its_reason(tuhui: Tuhui) -> None:
    assert tuhui.assign("ea853bd9", "橘子").status_code == 404
    assert tuhui.ask("GET", "/tasks/ea853bd9").status_code == 404
    task_id = tuhui.create()
    assert "nobody" in tuhui.complete(task_id).json()["detail"]
    assert "'谁'" in tuhui.assign(task_id, "谁").json()["detail"]
    tuhui.assign(task_id, "橘子")
    tuhui.complete(task_id)
    assert tuhui.assign(task_id, "橘子").status_code == 409
    assert tuhui.task(task_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task_name"),
        ({"task_name": ""}, "task_name"),
        ({"task_name": "图", "priority": "high"}, "priority"),
        ({"task_name": "图", "colour": 1}, "colour"),
        ([], "valid dictionary"),
    ],
)
def test_an_unusable_task_is_refused_with_its_field(tuhui: Tuhui, body: object, field: str) -> None:
    answer = tuhui.ask("POST", "/tasks", body)
    assert answer.status_code == 422
    assert field in answer.json()["detail"]
    assert tuhui.sandbox.get("/_sandbox/tuhui/state")["tasks"] == []


def test_each_kind_of_call_can_fail_alone(tuhui: Tuhui) -> None:
    task_id = tuhui.create()
    tuhui.sandbox.fault("tuhui", "status", request_kind="assign", status=503)
    tuhui.sandbox.fault("tuhui", "status", request_kind="task", status=500)
    assert tuhui.assign(task_id, "橘子").status_code == 503
    assert tuhui.ask("GET", f"/tasks/{task_id}").status_code == 500
    assert tuhui.ask("GET", "/dispatch/queue").json()["pending_tasks"]["count"] == 1
    assert tuhui.create()


def test_an_answer_lost_on_creation_leaves_one_task_after_the_retry(tuhui: Tuhui) -> None:
    tuhui.sandbox.fault("tuhui", "lost_answer", count=1, request_kind="tasks")
    with pytest.raises(httpx.RemoteProtocolError):
        tuhui.create(reference="r")
    assert tuhui.create(reference="r")
    assert len(tuhui.sandbox.get("/_sandbox/tuhui/state")["tasks"]) == 1


async def test_waiting_for_a_task_ends_when_it_is_made(tuhui: Tuhui) -> None:
    asked = asyncio.to_thread(tuhui.sandbox.get, "/_sandbox/tuhui/state", at_least=1, wait=20.0)
    waiting = asyncio.create_task(asked)
    await asyncio.sleep(0.05)
    task_id = await asyncio.to_thread(tuhui.create)
    state = await asyncio.wait_for(waiting, 5)
    assert [task["task_id"] for task in state["tasks"]] == [task_id]


async def test_tasks_over_the_bound_are_forgotten_oldest_first() -> None:
    app = create_app(SandboxSettings(max_messages=2))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sandbox", headers=KEY
    ) as client:
        for number in range(3):
            wanted = NewTask(task_name=f"图{number}", reference=f"r{number}")
            await client.post("/tuhui/tasks", json=wanted.model_dump())
        await client.post("/tuhui/tasks", json={"task_name": "图0", "reference": "r0"})
        state = (await client.get("/_sandbox/tuhui/state")).json()
    assert [task["task_name"] for task in state["tasks"]] == ["图2", "图0"]
    assert state["dropped"] == 2
