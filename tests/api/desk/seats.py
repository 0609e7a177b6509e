"""Agents at the desk of a running service, each with a browser's cookies and CSRF token."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.desk.session import CSRF_HEADER
from tests.api.service import Service

JsonObject = dict[str, Any]
KEY = "the shared key of these tests"
PASSWORD = "correct horse battery"
WITH_KEY = {"X-API-Key": KEY}


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the stream; ``id`` is empty for what is no row."""

    kind: str
    id: str
    data: JsonObject


@dataclass(slots=True)
class Seat:
    """Somebody at the desk: ``client`` keeps the cookie, ``csrf`` goes with every unsafe call."""

    client: httpx.Client
    csrf: str = ""
    agent: JsonObject = field(default_factory=dict)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(f"/api/desk{path}", params=params)

    def post(self, path: str, /, **body: Any) -> httpx.Response:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: JsonObject) -> httpx.Response:
        headers = {CSRF_HEADER: self.csrf} if self.csrf else {}
        return self.client.request(method, f"/api/desk{path}", json=body, headers=headers)

    def act(self, conversation: str, what: str, /, **body: Any) -> httpx.Response:
        return self.post(f"/conversations/{conversation}/{what}", **body)

    def sees(self, view: str = "all") -> set[str]:
        items = self.get("/queue", view=view, limit=200).json()["items"]
        return {item["conversation_id"] for item in items}

    @contextlib.contextmanager
    def watching(self, after: str = "") -> Iterator[Iterator[Told]]:
        """The stream, open: nothing that happens in the block is missed."""
        headers = {"Last-Event-ID": after} if after else {}
        with self.client.stream("GET", "/api/desk/events", headers=headers) as response:
            assert response.status_code == 200, response.read()
            told = _told(response)
            hello = next(told)
            assert hello.kind in ("hello", "reset"), hello
            yield told


def _told(response: httpx.Response) -> Iterator[Told]:
    kind = ident = data = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "id":
            ident = value
        elif name == "data":
            data = value
        elif not line:
            if kind:
                yield Told(kind, ident, json.loads(data))
            kind = data = ""


def of_kind(told: Iterator[Told], kind: str) -> Told:
    """The next event of that kind; the test's time limit ends what never comes."""
    return next(event for event in told if event.kind == kind)


def new_client(service: Service, **headers: str) -> httpx.Client:
    """It keeps no connection open, so that a seat may be left without ceremony."""
    return httpx.Client(
        base_url=service.url,
        timeout=30.0,
        trust_env=False,
        headers=headers,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def employ(service: Service, login: str, **more: Any) -> None:
    """An agent, as somebody with the service's key adds one."""
    body = {"name": login.title(), "password": PASSWORD, "scopes": ["*"]} | more
    path = f"/api/desk/agents/{login}"
    response = service.client.put(path, json=body)
    assert response.status_code == 200, response.text


def sign_in(service: Service, login: str, password: str = PASSWORD) -> Seat:
    client = new_client(service)
    response = client.post("/api/desk/login", json={"agent": login, "password": password})
    assert response.status_code == 200, response.text
    signed = response.json()
    return Seat(client, signed["csrf"], signed["agent"])


def customer_asks(
    service: Service,
    text: str = "转人工",
    *,
    account: str = "tests",
    customer: str = "",
    deadline_s: float | None = None,
    **more: Any,
) -> str:
    """A message of a customer of that account; its conversation. Nobody waits for an answer longer
    than ``deadline_s``: a person's comes when it comes."""
    who = customer or uuid.uuid4().hex[:12]
    message = {"id": uuid.uuid4().hex, "chat_id": who, "sender": who, "content": text} | more
    body = {"agent_id": account, "message": message, "deadline_s": deadline_s}
    response = service.client.post("/api/v1/messages", json=body)
    assert response.status_code == 200, response.text
    conversation: str = response.json()["conversation_id"]
    return conversation
