"""The official MCP client against the real service: the same tools, the same permissions."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from api.mcp.server import rebinding_protection
from tests.api.service import Service, running_service, settings_for
from tests.api.tools.callers import AGENT, HONG, MING, SECRET, bearer, token
from tests.api.tools.conftest import Tooled
from tests.api.tools.sample import Samples
from tests.api.tools.test_tools import audited
from tools.registry import Caller, Role

MODES = ("auto", "legacy")
"""Both ways of the protocol: a self-contained request each (2026), and the handshake before."""
PLAIN = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@contextlib.asynccontextmanager
async def connected(
    service: Service, caller: Caller | None = None, mode: str = "auto"
) -> AsyncIterator[Client]:
    headers = bearer(caller) if caller is not None else {}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
        transport = streamable_http_client(f"{service.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def said(result: CallToolResult) -> str:
    assert len(result.content) == 1
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_lists_and_calls_the_tools(service: Service, mode: str) -> None:
    async with connected(service, mode=mode) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed.keys() == set(service.kefu.tools.names())
        over_http = service.client.get("/api/tools/sample_note").json()
        assert listed["sample_note"].input_schema == over_http["input_schema"]
        assert listed["sample_note"].output_schema == over_http["output_schema"]
        assert listed["sample_note"].title == "记标签"
        result = await client.call_tool("sample_note", {"tag": "mcp", "about": "api:tests:x"})
    assert not result.is_error
    assert result.structured_content == {"tag": "mcp", "about": "api:tests:x"}
    assert json.loads(said(result)) == result.structured_content
    assert result.meta is not None
    assert result.meta["kefu-graph/effects"] == [{"kind": "tag", "name": "note"}]


@pytest.mark.parametrize("mode", MODES)
async def test_a_customer_sees_and_calls_only_its_tools_and_only_its_own_data(
    service: Service, mode: str
) -> None:
    async with connected(service, MING, mode) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed == {tool.name for tool in service.kefu.tools if Role.CUSTOMER in tool.roles}
        own = await client.call_tool("get_conversation", {})
        assert "桌布" in said(own)
        for tool, arguments in (
            ("send_message", {"message": "x", "customer_id": "ming"}),
            ("get_customer", {}),
            ("get_conversation", {"customer_id": "hong"}),
            ("get_conversation", {"customer_id": HONG.contact_id}),
            ("sample_note", {"tag": "x", "about": HONG.contact_id}),
        ):
            refused = await client.call_tool(tool, arguments)
            assert refused.is_error
            assert "订单" not in said(refused)
            assert any(word in said(refused) for word in ("无权", "本人"))


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_wrong_is_said_as_the_tools_error(service: Service, mode: str) -> None:
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "找不到": ("no_such_tool", {}),
        "tag: 缺少该参数": ("sample_note", {}),
        "how: 不行": ("sample_fail", {"how": "input"}),
        "服务暂时不可用": ("sample_fail", {"how": "peer"}),
        "内部错误": ("sample_fail", {"how": "bug"}),
        "暂时不可用": ("sample_fail", {"how": "result"}),
        "空字符": ("sample_note", {"tag": "\x00"}),
    }
    async with connected(service, mode=mode) as client:
        for message, (tool, arguments) in wrong.items():
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert message in said(result)
            assert "s3cret" not in said(result)
            assert "Traceback" not in said(result)


@pytest.mark.parametrize("mode", MODES)
async def test_the_same_key_again_does_nothing(
    service: Service, samples: Samples, mode: str
) -> None:
    before = samples.runs.get("sample_note", 0)
    sent = {"tag": "once", "about": "api:tests:mcp"}
    meta: Any = {"idempotencyKey": f"mcp-{mode}"}
    async with connected(service, mode=mode) as client:
        for duplicate in (False, True):
            result = await client.call_tool("sample_note", sent, meta=meta)
            assert result.meta is not None
            assert result.meta["kefu-graph/duplicate"] is duplicate
        other = await client.call_tool("sample_note", sent | {"tag": "b"}, meta=meta)
        assert other.is_error
        assert "Idempotency-Key" in said(other)
        for unusable in ("", "a b", 7, "x" * 201):
            bad: Any = {"idempotencyKey": unusable}
            assert (await client.call_tool("sample_note", sent, meta=bad)).is_error
    assert samples.runs["sample_note"] == before + 1
    headers = {"Idempotency-Key": f"mcp-{mode}"}
    over_http = service.client.post("/api/tools/sample_note", json=sent, headers=headers)
    assert over_http.json()["duplicate"] is True, "one desk, whichever the way"


async def test_calls_are_audited_under_the_bearers_name(service: Service) -> None:
    async with connected(service, AGENT) as client:
        await client.call_tool("sample_count", {})
    last = audited(service)[-1]
    assert (last["actor"], last["action"], last["subject"]) == ("小李", "tool.call", "sample_count")
    assert last["detail"]["role"] == "agent"


async def test_many_clients_at_once_are_each_who_they_are(service: Service) -> None:
    async def own(caller: Caller, words: str, mode: str) -> bool:
        async with connected(service, caller, mode) as client:
            return words in said(await client.call_tool("get_conversation", {}))

    calls = [own(MING, "桌布", mode) for mode in MODES] + [own(HONG, "订单", m) for m in MODES]
    assert all(await asyncio.gather(*(calls)))


def post(service: Service, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return service.client.post("/mcp", content=content, headers=PLAIN | (headers or {}))


def test_an_expired_token_is_refused_before_the_server_is_asked(service: Service) -> None:
    expired = token(AGENT, now=time.time() - 7_200)
    response = post(service, b"{}", {"Authorization": f"Bearer {expired}"})
    assert response.status_code == 401
    assert "过期" in response.json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
def test_there_is_nothing_but_posting(service: Service, method: str) -> None:
    """A stream that nothing is ever sent on would only hold a connection."""
    response = service.client.request(method, "/mcp", headers=PLAIN)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Host", "evil.example", 421),
        ("Host", "evil.example:6060", 421),
        ("Host", "127.0.0.1.nip.io", 421),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
    ],
)
def test_a_page_of_another_name_is_refused(
    service: Service, name: str, value: str, status: int
) -> None:
    """A browser that was told that evil.example is 127.0.0.1 would send it here, without a key."""
    assert post(service, b"{}", {name: value}).status_code == status


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:6060"])
def test_the_names_of_loopback_are_welcome(service: Service, host: str) -> None:
    ping = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    response = post(service, ping, {"Host": host, "Origin": f"http://{host}"})
    assert response.status_code == 200, response.text


def test_the_public_name_is_welcome_and_a_public_address_needs_a_key_anyway(
    tmp_path: Path,
) -> None:
    proxied = rebinding_protection(settings_for(tmp_path, public_url="https://kefu.example:8443"))
    assert {"kefu.example", "kefu.example:*", "127.0.0.1:*"} <= set(proxied.allowed_hosts)
    assert "https://kefu.example:*" in proxied.allowed_origins
    public = rebinding_protection(settings_for(tmp_path, host="0.0.0.0", api_key="key"))
    assert public.enable_dns_rebinding_protection is False


def test_a_large_body_is_refused(service: Service) -> None:
    assert post(service, b" " * 2_000_000).status_code == 413
    chunks = (b" " * 65_536 for _ in range(40))
    response = service.client.post("/mcp", content=chunks, headers=PLAIN)
    assert response.status_code == 413


_VERSIONS = ("2026-07-28", "2025-11-25", "2025-06-18", "2024-01-01", "x", "")
_METHODS = ("ping", "initialize", "tools/list", "tools/call", "server/discover", "a/b", "\ud800")
_value: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_calls = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | _value, "method": st.sampled_from(_METHODS) | _value},
    optional={
        "id": st.integers(0, 9) | _value,
        "params": _value
        | st.fixed_dictionaries(
            {"name": st.sampled_from(["sample_note", "sample_count", "\ud800"]) | _value},
            optional={"arguments": _value, "_meta": _value},
        ),
    },
)
_bodies = (
    st.binary(max_size=100)
    | _value.map(lambda value: json.dumps(value).encode())
    | _calls.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"[" * 50_000, b'{"a":' * 50_000, b"9" * 10_000, b"\xef\xbb\xbf{}"])
)


@given(
    body=_bodies,
    version=st.none() | st.sampled_from(_VERSIONS),
    accept=st.sampled_from(["application/json", PLAIN["Accept"], "text/html", "*/*"]),
    kind=st.sampled_from(["application/json"] * 4 + ["text/plain", "application/jsonx", ""]),
)
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_garbage_is_answered_with_a_4xx(
    tooled: Tooled, body: bytes, version: str | None, accept: str, kind: str
) -> None:
    headers = {"Content-Type": kind, "Accept": accept}
    headers |= {"MCP-Protocol-Version": version} if version is not None else {}
    response = tooled.service.client.post("/mcp", content=body, headers=headers)
    assert response.status_code < 500, response.text
    assert "Traceback" not in response.text


def test_a_service_that_nobody_asked_by_mcp_has_not_started_it(tmp_path: Path) -> None:
    with running_service(tmp_path, secret_key=SECRET) as running:
        running.client.get("/api/tools")
        running.client.get("/mcp")
        assert not [task for task in _tasks_of(running) if task.startswith("mcp")]
        post(running, b"{}")
        assert "mcp" in _tasks_of(running)


def _tasks_of(running: Service) -> set[str]:
    warming = running.kefu.warming
    assert warming is not None
    return {task.get_name() for task in asyncio.all_tasks(warming.get_loop())}
