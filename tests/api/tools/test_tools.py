"""Tools over HTTP: which there are, calling them, and how each misuse is refused."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.api.envelope import refusal
from tests.api.service import Service
from tests.api.tools.callers import AGENT, HONG, MING, TIANWANG, bearer
from tests.api.tools.conftest import Tooled
from tests.api.tools.sample import Samples
from tools.registry import Caller, Role

JSON_HEADERS = {"Content-Type": "application/json"}


def call(
    service: Service, tool: str, arguments: Any = None, *, by: Caller | None = None, key: str = ""
) -> httpx.Response:
    headers = bearer(by) if by is not None else {}
    headers |= {"Idempotency-Key": key} if key else {}
    return service.client.post(f"/api/tools/{tool}", json=arguments, headers=headers)


def names(response: httpx.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {tool["name"] for tool in response.json()["tools"]}


def audited(service: Service) -> list[dict[str, Any]]:
    with service.kefu.engine.database.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT actor, action, subject, detail FROM audit WHERE action LIKE 'tool.%'"
                " ORDER BY id"
            )
        )
        return [dict(row._mapping) | {"detail": json.loads(row.detail)} for row in found]


def test_everybody_sees_the_tools_that_they_may_use_and_no_others(service: Service) -> None:
    every = {tool.name: tool.roles for tool in service.kefu.tools}
    assert names(service.client.get("/api/tools")) == every.keys()
    for caller in (MING, AGENT, TIANWANG):
        may = {name for name, roles in every.items() if caller.role in roles}
        assert names(service.client.get("/api/tools", headers=bearer(caller))) == may
    assert "send_message" not in names(service.client.get("/api/tools", headers=bearer(MING)))


def test_a_tool_says_what_it_takes_and_gives(service: Service) -> None:
    described = service.client.get("/api/tools/sample_note").json()
    assert described.keys() == {
        "name",
        "title",
        "description",
        "roles",
        "input_schema",
        "output_schema",
    }
    assert described["title"] == "记标签"
    assert described["input_schema"]["required"] == ["tag"]
    assert described["output_schema"]["properties"].keys() == {"tag", "about"}
    assert described in service.client.get("/api/tools").json()["tools"]


def test_a_call_is_answered_with_its_result_and_effects(service: Service) -> None:
    response = call(service, "sample_note", {"tag": "http", "about": "api:tests:x"})
    assert response.status_code == 200, response.text
    assert response.json() == {
        "tool": "sample_note",
        "result": {"tag": "http", "about": "api:tests:x"},
        "effects": [{"kind": "tag", "name": "note"}],
        "duplicate": False,
    }
    last = audited(service)[-1]
    assert (last["actor"], last["action"], last["subject"]) == ("local", "tool.call", "sample_note")


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null"])
def test_a_tool_without_arguments_needs_no_body(service: Service, body: bytes | None) -> None:
    headers = JSON_HEADERS if body else {}
    response = service.client.post("/api/tools/sample_count", content=body, headers=headers)
    assert response.status_code == 200, response.text


def test_the_same_key_again_does_nothing_and_with_other_arguments_is_a_conflict(
    service: Service, samples: Samples
) -> None:
    before = samples.runs.get("sample_note", 0)
    sent = {"tag": "once", "about": "api:tests:once"}
    first, again = (call(service, "sample_note", sent, key="k-1").json() for _ in range(2))
    assert again == first | {"duplicate": True}
    assert samples.runs["sample_note"] == before + 1
    field, _ = refusal(call(service, "sample_note", sent | {"tag": "twice"}, key="k-1"), 409)
    assert field == "Idempotency-Key"


@pytest.mark.parametrize("key", [b"\xff", b"a b", b"\xe9\x94\xae", b"x" * 201])
def test_an_unusable_key_is_refused(service: Service, key: bytes) -> None:
    response = service.client.post(
        "/api/tools/sample_count", json={}, headers={b"Idempotency-Key": key}
    )
    field, _ = refusal(response, 422)
    assert field == "Idempotency-Key"


def test_a_customer_calls_for_its_own_conversation(service: Service) -> None:
    for who, words in ((MING, "桌布"), (HONG, "订单")):
        answer = call(service, "get_conversation", by=who).json()["result"]
        assert words in str(answer["messages"])
        assert who.contact_id.endswith(answer["customer_id"])
    noted = call(service, "sample_note", {"tag": "自己"}, by=MING).json()["result"]
    assert noted["about"] == MING.contact_id


@pytest.mark.parametrize("victim", ["hong", HONG.contact_id])
def test_a_customer_reaches_nobody_elses_data(service: Service, victim: str) -> None:
    response = call(service, "get_conversation", {"customer_id": victim}, by=MING)
    refusal(response, 403)
    assert "订单" not in response.text
    refusal(call(service, "sample_note", {"tag": "坏", "about": HONG.contact_id}, by=MING), 403)
    handed = call(service, "transfer_to_human", {"customer_id": victim, "reason": "x"}, by=MING)
    refusal(handed, 403)


def test_a_customer_whom_nobody_knows_has_no_conversation(service: Service) -> None:
    stranger = Caller(Role.CUSTOMER, "小明", "api:tests:stranger")
    refusal(call(service, "get_conversation", by=stranger), 404)


@pytest.mark.parametrize("tool", ["send_message", "get_customer", "list_handoffs", "sample_wait"])
def test_a_customer_is_refused_the_tools_of_the_staff(service: Service, tool: str) -> None:
    refusal(call(service, tool, {}, by=MING), 403)
    refusal(service.client.get(f"/api/tools/{tool}", headers=bearer(MING)), 403)


def test_a_refusal_is_audited_with_who_and_why(service: Service) -> None:
    curious = Caller(Role.CUSTOMER, "curious", "api:tests:curious")
    call(service, "list_handoffs", {}, by=curious)
    last = audited(service)[-1]
    last["detail"].pop("unwritten", None)  # of other tests' floods
    assert last == {
        "actor": "curious",
        "action": "tool.refused",
        "subject": "list_handoffs",
        "detail": {
            "role": "customer",
            "contact_id": "api:tests:curious",
            "status": 403,
            "field": "tool",
        },
    }


@pytest.mark.parametrize(
    ("how", "status"), [("peer", 503), ("input", 422), ("bug", 500), ("result", 503)]
)
def test_a_tool_that_fails_gives_nothing_of_its_inside_away(
    service: Service, how: str, status: int
) -> None:
    # A connection of its own: after a bug the server closes it.
    url = f"{service.url}/api/tools/sample_fail"
    with httpx.Client(trust_env=False) as client:
        response = client.post(url, json={"how": how})
    assert response.status_code == status
    assert "s3cret" not in response.text
    assert response.json().keys() == {"error"}


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"[]", 422, "body"),
        (b'"x"', 422, "body"),
        (b"{", 400, "body"),
        (b"\xff\xfe\x00", 400, "body"),
        (b"[" * 100_000, 400, "body"),
        (b'{"tag": 1}', 422, "tag"),
        (b'{"tag": "a", "x": 1}', 422, "x"),
        (b'{"tag": "a", "extra": {"n": NaN}}', 422, "arguments"),
        (b'{"tag": "a\\u0000"}', 422, "arguments"),
        (b'{"tag": "a", "extra": {"s": "\\ud800"}}', 422, "arguments"),
        (b"{}", 422, "tag"),
        (b"{" + b" " * 2_000_000 + b"}", 413, "body"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unusable_body_is_refused(
    service: Service, content: bytes, status: int, field: str
) -> None:
    response = service.client.post("/api/tools/sample_note", content=content, headers=JSON_HEADERS)
    assert refusal(response, status)[0] == field


def test_a_body_without_length_is_counted_as_it_comes(service: Service) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    response = service.client.post(
        "/api/tools/sample_note", content=endless(), headers=JSON_HEADERS
    )
    refusal(response, 413)


def test_a_body_that_is_no_json_is_refused_for_its_type(service: Service) -> None:
    response = service.client.post("/api/tools/sample_note", content=b"tag=a")
    refusal(response, 415)


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_bodies = (
    st.binary(max_size=200)
    | _anything.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"tag": _anything}, optional={"about": _anything, "extra": _anything}
    ).map(lambda value: json.dumps(value).encode())
)


@given(body=_bodies, tool=st.sampled_from(["sample_note", "add_tag", "send_message", "x", "%00"]))
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_body_whatever_is_answered_with_a_5xx(tooled: Tooled, body: bytes, tool: str) -> None:
    response = tooled.service.client.post(f"/api/tools/{tool}", content=body, headers=JSON_HEADERS)
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        refusal(response)
