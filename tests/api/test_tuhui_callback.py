"""Tuhui says that there is news; nothing of what it says is believed."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tests.sandbox_server import JsonObject, SandboxServer, sandbox_server, shared_sandbox

__all__ = ["sandbox_server", "shared_sandbox"]

PATH = "/api/tuhui/callback"
TUHUI_KEY = {"X-API-Key": "sandbox-credential"}
OURS = "ours-and-not-tuhuis"


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, shared_sandbox: SandboxServer
) -> Iterator[Service]:
    """With a key of ours, another of Tuhui's, and an hour between two looks at a task."""
    folder = tmp_path_factory.mktemp("callback")
    with running_service(folder, sandbox_url=shared_sandbox.url, api_key=OURS) as running:
        running.client.headers["X-API-Key"] = OURS
        yield running


def tell(service: Service, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
    return service.client.post(PATH, json=body, headers=TUHUI_KEY if headers is None else headers)


def dispatched(service: Service, sandbox: SandboxServer, customer: str) -> str:
    """A task that a designer has, whose customer knows it."""
    sandbox.set_target(service.url)
    service.ask("你好", message_id=f"{customer}-1", chat_id=customer)
    call = {"description": "抠图", "customer_id": f"api:tests:{customer}"}
    answer = service.client.post("/api/tools/dispatch_designer", json=call)
    assert answer.is_success, answer.text
    sandbox.journal("tuhui", kind="assign", at_least=1, wait=10.0)
    tasks: list[JsonObject] = sandbox.get("/_sandbox/tuhui/state", at_least=1, wait=10.0)["tasks"]
    return str(tasks[0]["task_id"])


def looks(sandbox: SandboxServer, *, at_least: int = 0, wait: float = 0.0) -> int:
    return len(sandbox.journal("tuhui", kind="task", at_least=at_least, wait=wait))


def test_news_make_the_task_be_looked_at_and_its_state_decides(
    service: Service, sandbox_server: SandboxServer
) -> None:
    task_id = dispatched(service, sandbox_server, "customer_1")
    sandbox_server.notices(at_least=1, wait=10.0)
    said = {"task_id": task_id, "status": "completed", "notes": "都做好了"}
    seen = looks(sandbox_server)
    while looks(sandbox_server, at_least=seen + 1, wait=0.2) == seen:
        # Until the customer was told, what is to come next comes without a look.
        assert tell(service, said).json() == {"accepted": True}
    assert [notice["title"] for notice in sandbox_server.notices()] == ["📋 **新任务派单**"]
    assert service.rows("dispatches") == 1
    with service.kefu.engine.database.engine.connect() as connection:
        steps = connection.execute(text("SELECT step FROM dispatches")).scalars().all()
    assert list(steps) == ["told"], "not done, whatever was said"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": OURS},
        {"X-API-Key": "sandbox-credential2"},
        {"X-API-Key": "", "Authorization": "Bearer sandbox-credential"},
    ],
)
def test_only_tuhuis_own_key_is_believed(service: Service, headers: dict[str, str]) -> None:
    refusal(tell(service, {"task_id": "ea853bd9"}, headers), 401)


@pytest.mark.parametrize("key", [b"\xff\xfe", "钥匙".encode()])
def test_a_key_that_is_no_text_is_wrong(service: Service, key: bytes) -> None:
    answer = service.client.post(PATH, json={"task_id": "x"}, headers={b"X-API-Key": key})
    refusal(answer, 401)


@pytest.mark.parametrize("path", ["/api/tuhui/callback/", "/api/tuhui", "/api/orders"])
def test_tuhuis_key_opens_nothing_else(service: Service, path: str) -> None:
    answer = service.client.get(path, headers=TUHUI_KEY, follow_redirects=False)
    refusal(answer, 401)


@pytest.mark.parametrize("body", [{"task_id": "unknown"}, {"id": 17}, {"task_id": "x", "a": [1]}])
def test_news_of_what_we_do_not_know_are_taken_and_do_nothing(
    service: Service, sandbox_server: SandboxServer, body: JsonObject
) -> None:
    assert tell(service, body).json() == {"accepted": True}
    assert looks(sandbox_server) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "task_id"), ({"task_id": ""}, "task_id"), ({"task_id": "a\nb"}, "task_id")],
)
def test_news_of_no_task_are_refused(service: Service, body: JsonObject, field: str) -> None:
    answer = tell(service, body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


def test_without_tuhui_there_is_nobody_to_hear_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_service(tmp_path_factory.mktemp("alone")) as alone:
        refusal(tell(alone, {"task_id": "x"}, {}), 409)


def test_without_a_key_of_tuhuis_ours_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_service(tmp_path_factory.mktemp("ours"), api_key=OURS) as guarded:
        refusal(tell(guarded, {"task_id": "x"}, {}), 401)
        refusal(tell(guarded, {"task_id": "x"}, {"X-API-Key": OURS}), 409)
