"""Tokens: who their bearers are, what they may use, and how each unusable one is refused."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest

from api.identity import ISSUER, Tokens
from domain.errors import ConfigurationError
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database
from tools.registry import Caller, Role

SECRET = "a secret of the tests, long enough for HS256"
KEY = "the shared key"
CONTACT = "platform:agent_001:user_1"
BEARERS = {
    Role.CUSTOMER: Caller(Role.CUSTOMER, "小明", CONTACT),
    Role.AGENT: Caller(Role.AGENT, "小李"),
    Role.ADMIN: Caller(Role.ADMIN, "老板"),
    Role.TIANWANG: Caller(Role.TIANWANG, "tianwang-1"),
}


def made(caller: Caller, *, secret: str = SECRET, hours: float = 1) -> str:
    return Tokens(secret).issue(caller, now=time.time(), hours=hours)


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a good token; None leaves one out."""
    good = {"iss": ISSUER, "sub": "小李", "role": "agent", "exp": int(time.time()) + 600}
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(algorithm: str = "HS256", secret: str = SECRET, **changed: Any) -> str:
    return jwt.encode(claims(**changed), secret, algorithm=algorithm)


def get(service: Service, path: str, token: str, **headers: str) -> httpx.Response:
    return service.client.get(path, headers={"Authorization": f"Bearer {token}"} | headers)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a shared key and tokens."""
    folder = tmp_path_factory.mktemp("keyed")
    with running_service(folder, api_key=KEY, secret_key=SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On loopback without a key, with tokens."""
    with running_service(tmp_path_factory.mktemp("unlocked"), secret_key=SECRET) as running:
        yield running


@pytest.fixture(params=["keyed", "unlocked"])
def tokened(request: pytest.FixtureRequest) -> Service:
    service: Service = request.getfixturevalue(request.param)
    return service


def test_an_administrator_may_use_everything(tokened: Service) -> None:
    for path in ("/api/ops/handoffs", "/metrics", "/api/knowledge/entries", "/api/v1/audit"):
        assert get(tokened, path, made(BEARERS[Role.ADMIN])).status_code == 200


def test_an_agent_may_do_their_work_and_does_not_rule(tokened: Service) -> None:
    for path in ("/api/ops/handoffs", "/api/orders", "/api/tools"):
        assert get(tokened, path, made(BEARERS[Role.AGENT])).status_code == 200
    for path in ("/metrics", "/api/ops/dead-letters", "/api/v1/clients", "/nothing/here"):
        refusal(get(tokened, path, made(BEARERS[Role.AGENT])), 403)


def test_a_viewer_sees_figures_and_nothing_else(tokened: Service) -> None:
    viewer = made(Caller(Role.VIEWER, "小看"))
    assert get(tokened, "/metrics", viewer).status_code == 200
    for path in ("/api/ops/handoffs", "/api/tools", "/api/desk/queue", "/api/v1/clients"):
        refusal(get(tokened, path, viewer), 403)


@pytest.mark.parametrize(
    "path",
    [
        "/api/ops/handoffs",
        "/metrics",
        "/api/knowledge/entries",
        "/api/task/list",
        "/api/toolsmith",
        "/api/tools2",
        "/mcpx",
        "/api",
        "//api/tools",
        "/API/TOOLS",
        "/nothing/here",
    ],
)
def test_a_customer_may_use_the_tools_and_nothing_else(tokened: Service, path: str) -> None:
    response = tokened.client.get(
        tokened.url + path, headers={"Authorization": f"Bearer {made(BEARERS[Role.CUSTOMER])}"}
    )
    assert response.status_code == 403
    assert "customer" in response.text


@pytest.mark.parametrize("path", ["/api/ops/handoffs", "/metrics", "/api/knowledge/entries"])
def test_tianwang_may_not_use_what_staff_use(tokened: Service, path: str) -> None:
    refusal(get(tokened, path, made(BEARERS[Role.TIANWANG])), 403)


def test_tianwang_reaches_its_own_surface_wherever_the_settings_put_it(tmp_path: Any) -> None:
    with running_service(tmp_path, secret_key=SECRET, task_status="/tw/status/") as moved:
        for path in ("/api/task/list", "/tw/status/x", "/api/tools/x", "/api/health"):
            assert get(moved, path, made(BEARERS[Role.TIANWANG])).status_code != 403
        refusal(get(moved, "/tw/statuses", made(BEARERS[Role.TIANWANG])), 403)


UNUSABLE: dict[str, Callable[[], str]] = {
    "过期": lambda: signed(exp=int(time.time()) - 1),
    "签名不正确": lambda: signed(secret="another secret that is long enough, too"),
    "签名算法": lambda: signed("HS512", SECRET * 2),
    "缺少 exp": lambda: signed(exp=None),
    "缺少 exp、iss、sub": lambda: signed(sub=None),
    "iss 应为": lambda: signed(iss="somebody"),
    "尚未生效": lambda: signed(nbf=int(time.time()) + 600),
    "role 应为": lambda: signed(role="root"),
    "role 应为 customer": lambda: signed(role=["admin"]),
    "缺少 contact": lambda: signed(role="customer"),
    "contact 应为": lambda: signed(role="customer", contact="user_1"),
    "contact 不能使用": lambda: signed(role="customer", contact="a:b:c\n"),
    "sub 不能使用": lambda: signed(sub="x" * 129),
    "格式不正确": lambda: "eyJ.eyJ.xyz",
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_token_is_refused_with_its_reason(tokened: Service, reason: str) -> None:
    response = get(tokened, "/api/ops/handoffs", UNUSABLE[reason]())
    _, message = refusal(response, 401)
    assert reason in message
    assert response.headers["www-authenticate"] == "Bearer"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims(role="admin"))
    return ".".join([*(_base64(json.dumps(part).encode()) for part in parts), ""])


def test_a_token_that_nobody_signed_is_refused(tokened: Service) -> None:
    refusal(get(tokened, "/api/ops/handoffs", _unsigned()), 401)


def _damaged() -> Iterator[str]:
    good = made(BEARERS[Role.CUSTOMER])
    head, body, signature = good.split(".")
    yield from (good[:-3], good[3:], f"{head}.{body}", f"{head}..{signature}", "..", "....")
    deep, lists = _base64(b"[" * 20_000), _base64(b"[1]")
    yield from (f"{deep}.{body}.{signature}", f"{head}.{deep}.{signature}")
    yield from (f"{lists}.{body}.{signature}", f"{head}.{lists}.{signature}")
    strange = json.dumps({"alg": "HS256", "crit": ["x"], "b64": False, "kid": 7}).encode()
    yield f"{_base64(strange)}.{body}.{signature}"


@pytest.mark.parametrize("number", range(11))
def test_a_damaged_token_never_passes_for_no_token(tokened: Service, number: int) -> None:
    """On loopback without a key no token at all may do everything."""
    refusal(get(tokened, "/api/ops/handoffs", list(_damaged())[number]), 401)


def test_the_shared_key_and_no_credentials_stay_what_they_were(
    keyed: Service, unlocked: Service
) -> None:
    assert keyed.client.get("/api/ops/handoffs", headers={"X-API-Key": KEY}).status_code == 200
    assert get(keyed, "/api/ops/handoffs", KEY).status_code == 200
    refusal(keyed.client.get("/api/ops/handoffs"), 401)
    assert unlocked.client.get("/api/ops/handoffs").status_code == 200


def test_a_wrong_key_beside_a_token_is_refused(keyed: Service) -> None:
    token = made(BEARERS[Role.ADMIN])
    refusal(get(keyed, "/api/ops/handoffs", token, **{"X-API-Key": "wrong"}), 401)


def test_health_is_open_to_every_bearer(tokened: Service) -> None:
    for token in (made(BEARERS[Role.CUSTOMER]), UNUSABLE["过期"]()):
        assert get(tokened, "/api/health", token).status_code == 200


def test_without_a_secret_the_service_makes_one_that_no_other_token_is_signed_with(
    service: Service,
) -> None:
    _, message = refusal(get(service, "/api/ops/handoffs", made(BEARERS[Role.ADMIN])), 401)
    assert "签名不正确" in message


def test_several_processes_without_a_secret_accept_no_token(
    postgres_url: str, tmp_path: Any
) -> None:
    with (
        fresh_postgres_database(postgres_url) as url,
        running_service(tmp_path, database_url=url) as many,
    ):
        _, message = refusal(get(many, "/api/ops/handoffs", made(BEARERS[Role.ADMIN])), 401)
        assert "SECRET_KEY" in message
        body = {"agent_id": "agent_001", "api_key": "kfc_x"}
        response = many.client.post("/api/v1/auth/login", json=body)
        assert response.status_code == 503
        assert "SECRET_KEY" in response.json()["error"]["message"]


def test_a_short_secret_signs_and_accepts_nothing(tmp_path: Any) -> None:
    """Who has a token could find it by trying."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        made(BEARERS[Role.AGENT], secret="short")
    with running_service(tmp_path, secret_key="short") as careless:
        head = made(BEARERS[Role.AGENT]).partition(".")[0]
        said = f"{head}.{_base64(json.dumps(claims()).encode())}"
        signature = hmac.digest(b"short", said.encode(), "sha256")
        forged = f"{said}.{_base64(signature)}"
        _, message = refusal(get(careless, "/api/ops/handoffs", forged), 401)
        assert "32" in message
