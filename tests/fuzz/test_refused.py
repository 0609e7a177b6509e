"""What no schema makes: other callers, types and sizes. The answer is described as well."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.identity import Tokens
from tests.service import running_service
from tools.registry import Caller, Role

KEY, SECRET = "the-key", "s" * 32
PUBLIC = {
    "get /api/health",
    "get /health",
    "get /livez",
    "get /pictures/{sha256}",
    "post /api/desk/login",
    "post /api/v1/auth/login",
}
"""The fourth asks for a signature in its address, the last two for a password and a key."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``described``: the statuses that the OpenAPI document gives it."""

    method: str
    path: str
    has_body: bool
    described: frozenset[int]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Api:
    """The service with a key, as its OpenAPI document describes it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        paths: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()["paths"]
        self.operations = [
            Operation(
                method,
                path,
                "application/json" in operation.get("requestBody", {}).get("content", {}),
                frozenset(map(int, operation["responses"])),
            )
            for path, methods in paths.items()
            for method, operation in methods.items()
        ]

    def ask(
        self,
        operation: Operation,
        bearer: str,
        content: bytes = b"{}",
        content_type: str = "application/json",
    ) -> int:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        headers |= {"Content-Type": content_type} if operation.has_body else {}
        with self._client.stream(  # one of them has no end
            operation.method,
            re.sub(r"\{\w+\}", "1", operation.path),
            headers=headers,
            content=content if operation.has_body else None,
        ) as answer:
            return answer.status_code

    def answers(self, bearer: str) -> dict[str, int]:
        return {operation.name: self.ask(operation, bearer) for operation in self.operations}

    def undescribed(self, found: Mapping[str, int]) -> dict[str, int]:
        named = {operation.name: operation for operation in self.operations}
        return {name: code for name, code in found.items() if code not in named[name].described}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("refused") / "data"
    env = {"KEFU_API_KEY": KEY, "SECRET_KEY": SECRET}
    with (
        running_service(folder, env=env) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        yield Api(client)


def token(role: Role) -> str:
    contact = "api:shop:customer" if role is Role.CUSTOMER else ""
    return Tokens(SECRET).issue(Caller(role, "test", contact), now=time.time(), hours=1)


def test_without_a_key_all_but_health_and_signed_addresses_is_a_described_401(api: Api) -> None:
    found = api.answers("")
    assert {name for name, status in found.items() if status != 401} == PUBLIC
    assert api.undescribed(found) == {}


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.TIANWANG])
def test_a_token_of_few_rights_meets_a_described_403(api: Api, role: Role) -> None:
    found = api.answers(token(role))
    assert found["get /api/knowledge/entries"] == found["get /api/ops/handoffs"] == 403
    assert api.undescribed(found) == {}


def test_with_the_key_nothing_is_refused_for_who_asks(api: Api) -> None:
    found = api.answers(KEY)
    assert set(found.values()) & {401, 403, 500, 503} == set()
    assert api.undescribed(found) == {}


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b" " * 2_000_000, "application/json"),
    ],
    ids=["text", "form", "broken", "bytes", "large"],
)
def test_a_body_that_is_no_usable_json_is_refused_as_described(
    api: Api, content: bytes, content_type: str
) -> None:
    found = {
        operation.name: api.ask(operation, KEY, content, content_type)
        for operation in api.operations
        if operation.has_body
    }
    assert all(400 <= status < 500 for status in found.values()), found
    assert api.undescribed(found) == {}
