"""Tianwang's surface beyond the printed examples: repeats, conflicts, pages, refusals."""

import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.service import Service, running_service
from tests.tools.tianwang.orders import SEED

RECEIVE, CANCEL, RETRY = "/api/task/receive", "/api/task/cancel", "/api/task/retry"
LIST = "/api/task/list"


def a_task(**changes: Any) -> dict[str, Any]:
    return SEED | {"task_id": f"T_{uuid.uuid4().hex[:12]}"} | changes


def refusal(response: httpx.Response, status: int) -> str:
    """The message of a refusal, after a check of its envelope."""
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["code", "message", "data"]
    assert body["code"] == status
    assert "\n" not in body["message"]
    message: str = body["message"]
    return message


def received(service: Service, order: dict[str, Any]) -> dict[str, Any]:
    response = service.client.post(RECEIVE, json=order)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def status_of(service: Service, task_id: str) -> str:
    told = service.client.get(f"/api/task/status/{task_id}").json()
    return str(told["data"]["status"])


# Receiving


def test_the_same_task_again_is_the_same_success_and_one_row(service: Service) -> None:
    order = a_task()
    first = received(service, order)
    before = service.rows("tasks"), service.rows("audit")
    again = received(service, order | {"timeout_hours": "24.0", "priority": None, "max_retry": 3})
    assert again == first
    assert (service.rows("tasks"), service.rows("audit")) == before


def test_the_same_task_after_its_end_is_still_the_same_success(service: Service) -> None:
    order = a_task()
    received(service, order)
    service.client.post(CANCEL, json={"task_id": order["task_id"]})
    assert received(service, order) == {"task_id": order["task_id"], "status": "cancelled"}


def test_another_task_of_the_same_id_is_a_conflict_that_says_what_differs(
    service: Service,
) -> None:
    order = a_task()
    received(service, order)
    other = order | {"priority": "urgent", "action": order["action"] | {"message": "别的"}}
    response = service.client.post(RECEIVE, json=other)
    message = refusal(response, 409)
    assert response.json()["data"] == {"differences": ["action.message", "priority"]}
    assert "action.message" in message
    assert "priority" in message
    told = service.client.get(f"/api/task/status/{order['task_id']}").json()["data"]
    assert told["priority"] == "normal"


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"trigger": {"type": "customer_reply", "keyword": " "}}, "trigger.keyword: "),
        ({"trigger": {"type": "on_reply", "keyword": "好"}}, "trigger.type: 未知的触发类型"),
        ({"trigger": {"type": "time_reach", "time": "2020-01-01 09:00:00"}}, "trigger.time: "),
        ({"trigger": {"type": "time_reach", "time": "tomorrow"}}, "trigger.time: "),
        ({"action": {"type": "send_massage", "message": "x"}}, "action.type: 未知的动作类型"),
        ({"action": {"type": "send_message"}}, "action.message: "),
        ({"action": {"type": "send_message", "message": " "}}, "action.message: "),
        ({"action": {"type": "send_message", "message": "x", "to": "y"}}, "action.to: "),
        ({"action": {"type": "send_file", "file_url": "ftp://x"}}, "action.file_url: "),
        ({"action": {"type": "send_message", "message": "{{customer.age}}"}}, "action.message: "),
        (
            {
                "customer": {"id": "nameless"},
                "trigger": {"type": "customer_reply", "keyword": "好"},
                "action": {"type": "send_message", "message": "{{customer.name}}您好"},
            },
            "action.message: ",
        ),
        ({"customer": {"name": "小明"}}, "customer.id: "),
        ({"timeout_hours": -1}, "timeout_hours: "),
        ({"priority": 3}, "priority: "),
    ],
)
def test_what_could_not_be_carried_out_is_refused_at_receipt(
    service: Service, change: dict[str, Any], start: str
) -> None:
    before = service.rows("tasks")
    assert refusal(service.client.post(RECEIVE, json=a_task(**change)), 422).startswith(start)
    assert service.rows("tasks") == before


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"", "application/json", 422),
        (b"task_id=1", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_task_at_all_gets_the_same_envelope(
    service: Service, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    assert refusal(service.client.post(RECEIVE, content=body, headers=headers), status)


@pytest.mark.parametrize("task_id", ["任务/一", "a b%2Fc?d#e", "..", "😀", 20_260_227])
def test_any_id_that_is_taken_can_be_asked_for(service: Service, task_id: str | int) -> None:
    order = a_task(task_id=task_id)
    taken = received(service, order)["task_id"]
    assert taken == str(task_id)
    address = httpx.URL(service.url).copy_with(
        raw_path=b"/api/task/status/" + b"".join(b"%%%02X" % one for one in taken.encode())
    )
    assert service.client.get(address).json()["data"]["task_id"] == taken
    answer = service.client.post(CANCEL, json={"task_id": task_id, "reason": None})
    assert answer.json()["data"] == {"task_id": taken, "status": "cancelled"}


# Looking, cancelling, retrying


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/task/status/unknown"), ("POST", CANCEL), ("POST", RETRY)],
)
def test_an_unknown_id_is_not_found(service: Service, method: str, path: str) -> None:
    body = {"task_id": "unknown"} if method == "POST" else None
    message = refusal(service.client.request(method, path, json=body), 404)
    assert "unknown" in message


def test_a_reason_that_is_too_long_is_refused(service: Service) -> None:
    body = {"task_id": "t", "reason": "长" * 501}
    assert refusal(service.client.post(CANCEL, json=body), 422) == "reason: 超过 500 个字符"


def test_only_what_failed_can_be_retried(service: Service) -> None:
    order = a_task()
    received(service, order)
    message = refusal(service.client.post(RETRY, json={"task_id": order["task_id"]}), 409)
    assert "pending" in message
    assert status_of(service, order["task_id"]) == "pending"


def test_pages_hold_every_task_of_a_customer_once_the_newest_first(service: Service) -> None:
    customer = {"id": f"c_{uuid.uuid4().hex[:8]}"}
    trigger = {"type": "customer_reply", "keyword": "好的"}
    sent = [a_task(customer=customer, trigger=trigger) for _ in range(5)]
    for order in sent:
        received(service, order)
    query: dict[str, str | int] = {"customer_id": customer["id"], "page_size": 2}
    pages = [
        service.client.get(LIST, params=query | {"page": page}).json()["data"]
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["tasks"]) for page in pages] == [2, 2, 1, 0]
    assert {page["total"] for page in pages} == {5}
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    listed = [task["task_id"] for page in pages for task in page["tasks"]]
    assert listed == [order["task_id"] for order in reversed(sent)]


def test_a_page_far_past_the_end_is_empty_with_the_true_total(service: Service) -> None:
    received(service, a_task())
    far = service.client.get(LIST, params={"page": 1_000_000, "page_size": 200}).json()["data"]
    assert far["tasks"] == []
    assert far["total"] == service.rows("tasks")


def test_an_empty_filter_filters_nothing(service: Service) -> None:
    received(service, a_task())
    every = service.client.get(f"{LIST}?status=&customer_id=").json()["data"]
    assert every["total"] == service.rows("tasks")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=99999999999999999999", "page"),
        ("page_size=0", "page_size"),
        ("page_size=201", "page_size"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(service: Service, query: str, field: str) -> None:
    assert refusal(service.client.get(f"{LIST}?{query}"), 422).startswith(f"{field}: ")


def test_an_unknown_status_is_answered_with_those_that_there_are(service: Service) -> None:
    message = refusal(service.client.get(f"{LIST}?status=done"), 422)
    told = set(re.findall(r"'(\w+)'", message))
    assert told == {"pending", "triggered", "completed", "failed", "cancelled", "expired"}


# Addresses


def test_the_settings_may_put_the_surface_elsewhere(tmp_path: Path) -> None:
    paths: dict[str, Any] = {
        "task_receive": "/tw/in",
        "task_status": "/tw/one",
        "task_cancel": "/tw/off",
        "task_list": "/tw/all",
        "health": "/tw/health",
    }
    with running_service(tmp_path, api_key="key-of-the-test", **paths) as service:
        assert service.client.get("/tw/health").json()["message"] == "OK"
        assert refusal(service.client.post("/tw/in", json=SEED), 401)
        service.client.headers["X-API-Key"] = "key-of-the-test"
        answer = service.client.post("/tw/in", json=SEED)
        assert answer.json()["message"] == "任务接收成功"
        task_id = SEED["task_id"]
        assert service.client.get(f"/tw/one/{task_id}").json()["data"]["status"] == "pending"
        assert service.client.get("/tw/all").json()["data"]["total"] == 1
        assert refusal(service.client.get("/tw/all?page=0"), 422)
        assert service.client.post("/tw/off", json={"task_id": task_id}).json()["code"] == 200
        assert refusal(service.client.get("/tw/one/other"), 404)


def test_the_documented_examples_are_accepted(service: Service) -> None:
    """/docs offers them to be tried out."""
    described = service.client.get("/openapi.json").json()["components"]["schemas"]
    (example,) = described["TaskOrder"]["examples"]
    assert received(service, example)["task_id"] == "TASK_20260227_001"
    (cancel,) = described["CancelRequest"]["examples"]
    assert service.client.post(CANCEL, json=cancel).status_code == 200
