"""With a key configured, everything but health, the page and signed callbacks asks for it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from tests.api.envelope import refusal
from tests.api.service import Service, running_service, settings_for
from tools.webhook.protocol import signed_headers

KEY = "钥匙-s3cret key"
WEBHOOK_SECRET = "webhook-secret"
WEBHOOK_PATH = "/api/channels/webhook/shop/messages"
WEBHOOK_BODY = b'{"message_id": "k-1", "sender_id": "k", "text": "\xe4\xbd\xa0\xe5\xa5\xbd"}'
OPEN = ("/", "/livez", "/health", "/api/health", "/docs", "/openapi.json")
GUARDED = (
    ("POST", "/api/v1/messages"),
    ("POST", "/api/v1/messages/stream"),
    ("GET", "/api/v1/messages/x/answer"),
    ("POST", "/api/ai_chat"),
    ("POST", "/api/task/receive"),
    ("GET", "/api/task/status/x"),
    ("POST", "/api/task/cancel"),
    ("POST", "/api/task/retry"),
    ("GET", "/api/task/list"),
    ("GET", "/api/ops/handoffs"),
    ("POST", "/api/ops/handoffs/1"),
    ("GET", "/api/ops/dead-letters"),
    ("POST", "/api/ops/dead-letters/1/replay"),
    ("GET", "/api/ops/deliveries"),
    ("POST", "/api/ops/deliveries/1/resend"),
    ("GET", "/api/ops/model-calls"),
    ("POST", "/api/test_kb"),
    ("GET", "/api/knowledge/search"),
    ("GET", "/api/knowledge/entries"),
    ("POST", "/api/knowledge/entries"),
    ("GET", "/api/knowledge/entries/1"),
    ("PUT", "/api/knowledge/entries/1"),
    ("DELETE", "/api/knowledge/entries/1"),
    ("GET", "/api/knowledge/documents"),
    ("DELETE", "/api/knowledge/documents"),
    ("GET", "/api/knowledge/categories"),
    ("POST", "/api/knowledge/imports"),
    ("GET", "/api/knowledge/imports"),
    ("GET", "/api/knowledge/imports/1"),
    ("POST", "/api/knowledge/rebuild"),
    ("GET", "/api/knowledge/versions"),
    ("GET", "/api/knowledge/versions/1"),
    ("POST", "/api/knowledge/versions/1/undo"),
    ("POST", "/api/knowledge/rollback"),
    ("GET", "/api/knowledge/unknown"),
    ("GET", "/api/knowledge/unknown/1"),
    ("POST", "/api/knowledge/unknown/1/answer"),
    ("POST", "/api/knowledge/unknown/1/dismiss"),
    ("POST", "/api/knowledge/unknown/1/reopen"),
    ("POST", "/api/knowledge/unknown/1/merge"),
    ("POST", "/api/knowledge/unknown/1/unmerge"),
    ("POST", "/api/knowledge/unknown/questions/1/move"),
    ("GET", "/api/knowledge/suggestions"),
    ("GET", "/api/knowledge/suggestions/1"),
    ("POST", "/api/knowledge/suggestions/1/accept"),
    ("POST", "/api/knowledge/suggestions/1/reject"),
    ("POST", "/api/knowledge/suggestions/1/undo"),
    ("POST", "/api/knowledge/suggestions/1/reopen"),
    ("GET", "/api/orders"),
    ("GET", "/api/orders/1"),
    ("POST", "/api/orders/1/amend"),
    ("POST", "/api/orders/1/confirm"),
    ("POST", "/api/orders/1/deliver"),
    ("POST", "/api/orders/1/accept"),
    ("POST", "/api/orders/1/rework"),
    ("POST", "/api/orders/1/cancel"),
    ("POST", "/api/orders/1/assign-designer"),
    ("POST", "/api/pictures"),
    ("GET", "/api/pictures/x"),
    ("POST", "/api/tuhui/callback"),
    ("GET", "/api/tools"),
    ("GET", "/api/tools/send_message"),
    ("POST", "/api/tools/send_message"),
    ("GET", "/api/approvals"),
    ("POST", "/api/approvals/1"),
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("GET", "/metrics"),
    ("GET", "/nothing/here"),
    ("GET", "//"),
    ("GET", "/health/../api/ops/handoffs"),
    ("GET", "/api/health/"),
    ("GET", "/API/OPS/HANDOFFS"),
)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("locked")
    with running_service(folder, api_key=KEY, webhook_secret=WEBHOOK_SECRET) as running:
        yield running


@pytest.mark.parametrize("path", OPEN)
def test_health_and_the_page_are_open(locked: Service, path: str) -> None:
    assert locked.client.get(path).status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_everything_else_asks_for_the_key(locked: Service, method: str, path: str) -> None:
    response = locked.client.request(method, locked.url + path)
    refusal(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY}"},
        {"x-api-key": KEY, "Authorization": "Bearer something else"},
    ],
    ids=lambda headers: ",".join(headers),
)
def test_the_key_is_taken_from_either_header(locked: Service, headers: dict[str, str]) -> None:
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    assert locked.client.get("/api/ops/handoffs", headers=sent).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {b"X-API-Key": b""},
        {b"X-API-Key": KEY.encode()[:-1]},
        {b"X-API-Key": KEY.encode() + b"x"},
        {"X-API-Key": KEY.upper().encode()},
        {b"X-API-Key": KEY.encode("gb18030")},
        {b"X-API-Key": b"\xff\xfe"},
        {b"Authorization": KEY.encode()},
        {b"Authorization": b"Basic " + KEY.encode()},
        {b"Authorization": b"Bearer"},
        {b"Cookie": b"X-API-Key=" + KEY.encode()},
    ],
    ids=repr,
)
def test_anything_but_the_whole_key_is_refused(
    locked: Service, headers: dict[bytes, bytes]
) -> None:
    refusal(locked.client.get("/api/ops/handoffs", headers=headers), 401)


def test_a_key_in_the_address_is_not_taken(locked: Service) -> None:
    """Addresses end up in logs."""
    refusal(locked.client.get("/api/ops/handoffs", params={"api_key": KEY}), 401)


def test_a_refused_request_stores_nothing(locked: Service) -> None:
    before = locked.all_rows()
    refusal(locked.client.post("/api/ai_chat", json={"user_id": "a", "msg": "你好"}), 401)
    assert locked.all_rows() == before


def test_a_large_body_without_key_is_refused_for_the_key(locked: Service) -> None:
    refusal(locked.client.post("/api/ai_chat", content=b" " * 5_000_000), 401)


def test_a_signature_stands_for_the_key(locked: Service) -> None:
    headers = signed_headers(WEBHOOK_SECRET, WEBHOOK_BODY, now=time.time())
    response = locked.client.post(WEBHOOK_PATH, content=WEBHOOK_BODY, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["duplicate"] is False


@pytest.mark.parametrize("secret", ["", "another"])
def test_a_wrong_or_missing_signature_is_refused_and_stores_nothing(
    locked: Service, secret: str
) -> None:
    before = locked.all_rows()
    headers = signed_headers(secret, WEBHOOK_BODY, now=time.time()) if secret else {}
    response = locked.client.post(WEBHOOK_PATH, content=WEBHOOK_BODY, headers=headers)
    field, _ = refusal(response, 401)
    assert field is not None
    assert field.startswith("X-Kefu-")
    assert locked.all_rows() == before


def test_unsigned_callbacks_need_the_key_where_no_secret_is_set(tmp_path: Path) -> None:
    """A proxy in front of a loopback service would let the whole world write messages."""
    with running_service(tmp_path, api_key=KEY) as keyed:
        refusal(keyed.client.post(WEBHOOK_PATH, content=WEBHOOK_BODY), 401)
        headers = {b"X-API-Key": KEY.encode()}
        response = keyed.client.post(WEBHOOK_PATH, content=WEBHOOK_BODY, headers=headers)
        assert response.status_code == 200, response.text


def test_without_a_key_loopback_asks_for_none(service: Service) -> None:
    for path in (*OPEN, "/metrics", "/api/ops/handoffs"):
        assert service.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.10", "example.com", "127.0.0.1.nip.io"]
)
def test_a_host_that_others_reach_needs_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="KEFU_API_KEY"):
        settings_for(tmp_path, host=host)
    assert settings_for(tmp_path, host=host, api_key=KEY).host == host


def test_the_command_refuses_to_start_on_such_a_host_in_one_line(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KEFU_HOST": "0.0.0.0"}
    command = "import sys; sys.argv[0] = 'kefu'; from api.cli.main import app; app()"
    run = subprocess.run(
        [sys.executable, "-c", command, "serve", "--port", "0"],
        env=environment | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 2
    assert "KEFU_API_KEY" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
