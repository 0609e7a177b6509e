"""The console's page about clients: what it shows, what its forms do, and for whom."""

import re
import uuid

import httpx
import pytest

from tests.api.service import Service
from tests.api.test_clients import login
from tests.console.conftest import ADMIN, AGENT
from tests.console.test_pages import browser_of, csrf_of

PAGE = "/desk/clients"


@pytest.fixture(scope="module")
def admin(console: Service) -> httpx.Client:
    return browser_of(console, ADMIN)


def sent(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client), **form})


def key_in(response: httpx.Response) -> str:
    """The key that the page shows."""
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    (key,) = re.findall(r'value="(kfc_[\w-]+)"', response.text)
    return str(key)


def added(client: httpx.Client) -> tuple[str, str]:
    agent_id = f"shop-{uuid.uuid4().hex[:8]}"
    form = {"agent_id": agent_id, "name": "<b>一号店</b>", "role": "agent"}
    return agent_id, key_in(sent(client, PAGE, **form))


def test_a_new_client_signs_in_with_the_key_that_is_shown_once(
    console: Service, admin: httpx.Client
) -> None:
    agent_id, key = added(admin)
    assert login(console, agent_id, key).status_code == 200
    page = admin.get(PAGE, params={"q": agent_id}).text
    assert agent_id in page
    assert "&lt;b&gt;一号店&lt;/b&gt;" in page
    assert "从未上线" in page
    assert key not in page


def test_a_key_is_rotated_and_revoked_and_a_client_disabled_from_the_page(
    console: Service, admin: httpx.Client
) -> None:
    agent_id, old = added(admin)
    new = key_in(sent(admin, f"{PAGE}/keys", agent_id=agent_id))
    keys = console.client.get(f"/api/v1/clients/{agent_id}").json()["keys"]
    revoked = sent(admin, f"{PAGE}/keys/revoke", agent_id=agent_id, key=str(keys[0]["id"]))
    assert revoked.headers["location"].endswith("said=key_revoked")
    assert [login(console, agent_id, key).status_code for key in (old, new)] == [401, 200]
    saved = sent(admin, f"{PAGE}/one", agent_id=agent_id, role="viewer", name="二号店")
    assert saved.headers["location"].endswith("said=client_saved")
    found = console.client.get(f"/api/v1/clients/{agent_id}").json()
    assert (found["name"], found["role"], found["enabled"]) == ("二号店", "viewer", False)
    assert login(console, agent_id, new).status_code == 401


def test_what_the_page_does_is_audited_by_the_administrators_name(
    console: Service, admin: httpx.Client
) -> None:
    agent_id, _ = added(admin)
    entries = console.client.get("/api/v1/audit", params={"subject": agent_id}).json()["items"]
    assert {(entry["actor"], entry["action"]) for entry in entries} == {
        (ADMIN, "client.add"),
        (ADMIN, "client.key"),
    }


def test_clients_are_for_administrators(console: Service) -> None:
    agent = browser_of(console, AGENT)
    assert agent.get(PAGE).status_code == 403
    assert PAGE not in agent.get("/desk").text
    assert sent(agent, PAGE, agent_id="x", role="admin").status_code == 403
