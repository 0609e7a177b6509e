"""Clients over HTTP: the seed's examples as docs/access.md prints them, and who rules over them."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.clients import ClientRole
from engine.clients.clients import OF_CLIENT
from tests.api.desk.seats import KEY, WITH_KEY
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tests.api.test_knowledge_learning import until
from tests.api.tianwang.curl import run_curl
from tests.sandbox_server import SandboxServer

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```bash\n(curl .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SEED = (Path(__file__).parent / "seed_003_clients.json").read_text("utf-8")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, knowledge_folder: Path) -> Iterator[Service]:
    """With the service's key; ``client`` shows it."""
    folder = tmp_path_factory.mktemp("clients")
    with running_service(folder, knowledge=knowledge_folder, api_key=KEY) as running:
        running.client.headers.update(WITH_KEY)
        yield running


def add(service: Service, agent_id: str, role: str = "agent") -> str:
    """The new client's key."""
    response = service.client.post("/api/v1/clients", json={"agent_id": agent_id, "role": role})
    assert response.status_code == 201, response.text
    key: str = response.json()["api_key"]
    return key


def login(service: Service, agent_id: str, key: str) -> httpx.Response:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        return client.post("/api/v1/auth/login", json={"agent_id": agent_id, "api_key": key})


def bearer(service: Service, agent_id: str, role: str = "agent") -> dict[str, str]:
    response = login(service, agent_id, add(service, agent_id, role))
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


def send(
    service: Service, method: str, path: str, headers: dict[str, str], body: Json | None = None
) -> httpx.Response:
    with httpx.Client(base_url=service.url, trust_env=False, headers=headers) as client:
        return client.request(method, path, json=body)


def message(agent_id: str, number: str = "m1") -> Json:
    said = {"id": number, "chat_id": agent_id, "sender": "用户A", "content": "你好"}
    return {"agent_id": agent_id, "message": said}


def test_the_seeds_examples_run_with_curl_as_printed(keyed: Service) -> None:
    printed = [json.loads(re.findall(r"-d '(.*)'", one, re.DOTALL)[0]) for one in EXAMPLES]
    assert printed == json.loads(SEED)
    sign_in, report, beat = EXAMPLES
    key = add(keyed, "agent_001")
    signed = run_curl(sign_in.replace("your-api-key", key), keyed.url)
    assert signed.keys() == {"access_token", "token_type", "expires_in"}
    assert (signed["token_type"], signed["expires_in"]) == ("bearer", 86_400)
    answer = run_curl(report.replace("{token}", signed["access_token"]), keyed.url)
    assert answer["action"] == "reply"
    assert answer["content"]
    assert 0.75 <= answer["confidence"] <= 1
    beaten = run_curl(beat.replace("{token}", signed["access_token"]), keyed.url)
    assert (beaten["status"], beaten["registered"]) == ("ok", True)
    shown = keyed.client.get("/api/v1/clients/agent_001").json()
    assert (shown["state"], shown["status"]) == ("online", json.loads(SEED)[2]["status"])


def test_on_loopback_without_a_key_messages_and_heartbeats_need_no_token(service: Service) -> None:
    for body, path in ((json.loads(SEED)[1], "messages"), (json.loads(SEED)[2], "heartbeat")):
        assert service.client.post(f"/api/v1/{path}", json=body).status_code == 200
    assert service.rows("heartbeats") == 0


def test_a_client_speaks_for_itself_and_an_administrator_for_all(keyed: Service) -> None:
    own, boss = bearer(keyed, "shop-1"), bearer(keyed, "boss-1", "admin")
    acts: list[tuple[str, str, Json | None]] = [
        ("POST", "/api/v1/messages", message("shop-2")),
        ("POST", "/api/v1/messages/stream", message("shop-2", "m2")),
        ("GET", "/api/v1/messages/m1/answer?agent_id=shop-2", None),
        ("POST", "/api/v1/heartbeat", {"agent_id": "shop-2", "status": {}}),
    ]
    for method, path, body in acts:
        field, _ = refusal(send(keyed, method, path, own, body), 403)
        assert field == "agent_id"
        assert send(keyed, method, path, boss, body).status_code == 200
    assert send(keyed, "POST", "/api/v1/messages", own, message("shop-1")).status_code == 200


def test_a_token_dies_with_its_key_and_with_its_client(keyed: Service) -> None:
    beat = {"agent_id": "shop-3", "status": {}}
    first = bearer(keyed, "shop-3")
    rotated = keyed.client.post("/api/v1/clients/shop-3/keys", json={}).json()
    second = {
        "Authorization": "Bearer "
        + login(keyed, "shop-3", rotated["api_key"]).json()["access_token"]
    }
    assert send(keyed, "POST", "/api/v1/heartbeat", first, beat).status_code == 200
    listed = keyed.client.get("/api/v1/clients/shop-3").json()["keys"]
    assert [key["state"] for key in listed] == ["ending", "valid"]
    revoked = keyed.client.delete(f"/api/v1/clients/shop-3/keys/{listed[0]['id']}")
    assert revoked.json()["keys"][0]["state"] == "revoked"
    _, why = refusal(send(keyed, "POST", "/api/v1/heartbeat", first, beat), 401)
    assert "失效" in why
    assert send(keyed, "POST", "/api/v1/heartbeat", second, beat).status_code == 200
    disabled = keyed.client.patch("/api/v1/clients/shop-3", json={"enabled": False})
    assert disabled.json()["enabled"] is False
    refusal(send(keyed, "POST", "/api/v1/heartbeat", second, beat), 401)
    refusal(login(keyed, "shop-3", rotated["api_key"]), 401)


def test_a_changed_role_counts_for_new_tokens_and_ends_the_old_ones(keyed: Service) -> None:
    key = add(keyed, "shop-4")
    old = {"Authorization": f"Bearer {login(keyed, 'shop-4', key).json()['access_token']}"}
    keyed.client.patch("/api/v1/clients/shop-4", json={"role": "viewer"})
    refusal(send(keyed, "GET", "/metrics", old), 401)
    new = {"Authorization": f"Bearer {login(keyed, 'shop-4', key).json()['access_token']}"}
    assert send(keyed, "GET", "/metrics", new).status_code == 200
    refusal(send(keyed, "POST", "/api/v1/messages", new, message("shop-4")), 403)


def test_wrong_keys_are_refused_without_saying_what_was_wrong_and_then_slowed_down(
    keyed: Service,
) -> None:
    add(keyed, "shop-5")
    told = {refusal(login(keyed, who, "kfc_wrong"), 401) for who in ("shop-5", "nobody-5")}
    assert len(told) == 1
    for _ in range(OF_CLIENT.free - 1):
        refusal(login(keyed, "shop-5", "kfc_wrong"), 401)
    slowed = login(keyed, "shop-5", "kfc_wrong")
    refusal(slowed, 429)
    assert 0 < int(slowed.headers["retry-after"]) <= OF_CLIENT.wait_s


def test_a_key_is_shown_once_and_never_again_nor_logged(
    keyed: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = keyed.client.post("/api/v1/clients", json={"agent_id": "shop-6"})
        key = made.json()["api_key"]
        login(keyed, "shop-6", key)
        login(keyed, "shop-6", key[:-1])
    assert made.headers["cache-control"] == "no-store"
    pages = [
        keyed.client.get(path).text
        for path in ("/api/v1/clients", "/api/v1/clients/shop-6", "/api/v1/audit?limit=500")
    ]
    assert all(key[len("kfc_") + 6 :] not in text for text in (*pages, caplog.text))


def test_clients_are_listed_by_page_search_role_and_state(keyed: Service) -> None:
    for number in range(5):
        add(keyed, f"list-{number}", "viewer" if number == 3 else "agent")
    keyed.client.patch("/api/v1/clients/list-4", json={"enabled": False, "name": "收起来的店"})

    def ids(**query: Any) -> list[str]:
        answer = keyed.client.get("/api/v1/clients", params={"search": "list-"} | query)
        assert answer.status_code == 200, answer.text
        return [item["agent_id"] for item in answer.json()["items"]]

    assert ids() == [f"list-{number}" for number in range(5)]
    assert ids(limit=2, offset=2) == ["list-2", "list-3"]
    assert ids(role="viewer") == ["list-3"]
    assert ids(enabled=False) == ["list-4"]
    assert ids(search="来的") == ["list-4"]
    assert ids(search="li%") == []
    answer = keyed.client.get("/api/v1/clients", params={"search": "list-", "limit": 2}).json()
    assert answer["total"] == 5
    assert {item["state"] for item in answer["items"]} == {"never"}


def test_every_role_of_a_client_is_one_of_the_seeds(keyed: Service) -> None:
    assert set(ClientRole) == {"agent", "admin", "viewer"}
    refused = keyed.client.post("/api/v1/clients", json={"agent_id": "x", "role": "tianwang"})
    assert refusal(refused, 422)[0] == "role"


def test_a_heartbeat_may_say_more_but_not_without_end(keyed: Service) -> None:
    own = bearer(keyed, "shop-7")
    path = "/api/v1/heartbeat"
    more = {"agent_id": "shop-7", "status": {"version": "2.1", "queue": {"waiting": 3}}}
    assert send(keyed, "POST", path, own, more).status_code == 200
    assert keyed.client.get("/api/v1/clients/shop-7").json()["status"] == more["status"]
    long = {"agent_id": "shop-7", "status": {"log": "x" * 5_000}}
    assert refusal(send(keyed, "POST", path, own, long), 422)[0] == "status"


def test_staff_hears_of_a_client_that_falls_silent_and_that_it_is_back(
    tmp_path: Path, shared_sandbox: SandboxServer
) -> None:
    with running_service(
        tmp_path,
        staff_notice_url=shared_sandbox.staff_url,
        client_heartbeat_s=0.1,
        client_missed_heartbeats=3,
    ) as quick:
        name = f"店-{tmp_path.name}"
        quick.client.post("/api/v1/clients", json={"agent_id": "quiet", "name": name})
        beat = {"agent_id": "quiet", "status": {}}
        assert quick.client.post("/api/v1/heartbeat", json=beat).json()["registered"] is True
        told = until(lambda: notices(shared_sandbox, name))
        assert [one["title"] for one in told] == [f"客户端离线：{name}"]
        assert quick.client.get("/api/v1/clients/quiet").json()["state"] == "offline"
        quick.client.post("/api/v1/heartbeat", json=beat)
        told = until(lambda: notices(shared_sandbox, name)[1:])
        assert told[0]["title"] == f"客户端恢复：{name}"


def notices(sandbox: SandboxServer, name: str) -> list[Json]:
    entries = [entry["body"] for entry in sandbox.journal("staff")]
    return [body for body in entries if name in body["title"]]


# The audit log -------------------------------------------------------------------------------


def audit(service: Service, **query: Any) -> list[Json]:
    answer = service.client.get("/api/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


def test_every_act_of_an_administrator_is_in_the_audit_log_by_name(keyed: Service) -> None:
    boss = bearer(keyed, "boss-2", "admin")
    entry = {"question": "审计问题", "answer": "审计答案", "category": "审计"}
    acts: list[tuple[str, str, Json | None]] = [
        ("POST", "/api/v1/clients", {"agent_id": "audited"}),
        ("POST", "/api/v1/clients/audited/keys", {}),
        ("PATCH", "/api/v1/clients/audited", {"enabled": False}),
        ("POST", "/api/ops/price-book/reload", None),
        ("POST", "/api/knowledge/entries", {"entries": [entry]}),
    ]
    for method, path, body in acts:
        response = send(keyed, method, path, boss, body)
        assert response.is_success, response.text
    written = [(e["action"], e["subject"]) for e in audit(keyed, actor="client:boss-2", limit=9)]
    assert ("api.post", "/api/ops/price-book/reload") in written
    assert {("client.add", "audited"), ("client.change", "audited")} <= set(written)
    assert any(action.startswith("knowledge.") for action, _ in written)
    assert audit(keyed, action="client.sign_in", subject="boss-2")


def test_what_was_refused_is_no_act(keyed: Service) -> None:
    before = audit(keyed, action="api.*", limit=500)
    own = bearer(keyed, "shop-8")
    refusal(send(keyed, "POST", "/api/ops/price-book/reload", own), 403)
    refusal(keyed.client.post("/api/v1/clients", json={}), 422)
    assert audit(keyed, action="api.*", limit=500) == before


def test_the_audit_log_is_read_to_its_end_page_by_page(keyed: Service) -> None:
    for number in range(7):
        add(keyed, f"page-{number}")
    found: list[str] = []
    query: Json = {"action": "client.add", "limit": 3}
    while True:
        page = keyed.client.get("/api/v1/audit", params=query).json()
        found += [item["subject"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    pages = [subject for subject in found if subject.startswith("page-")]
    assert pages == [f"page-{number}" for number in reversed(range(7))]
    assert len(found) == len(set(found))
    assert audit(keyed, since="2000-01-01T00:00:00", until="2001-01-01T00:00:00+08:00") == []
