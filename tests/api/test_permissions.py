"""Who may use which address: every route of the service, for every kind of caller."""

import time
from collections.abc import Iterator

import pytest

from api.desk.session import SIGN_IN_PATH
from api.guard import CONSOLE, DESK_API, REVIEWS
from api.identity import Tokens
from api.permissions import CLIENT_GRANTS, TABLE, Permission, Permissions, rows
from tests.api.desk.seats import KEY, WITH_KEY, Seat, employ, new_client
from tests.api.desk.test_roles import LISTED, Gate, addresses, gate
from tests.api.service import Service, running_service
from tools.registry import Caller, Role

SECRET = "a secret of the tests, long enough for HS256"
CUSTOMER = "api:tests:ming"
EVERYTHING = set(Permission)
TALK = {Permission.READ_MESSAGE, Permission.WRITE_MESSAGE}
MAY: dict[str, set[Permission]] = {
    "nobody": set(),
    "wrong key": set(),
    "client agent": TALK,
    "client admin": EVERYTHING,
    "client viewer": {Permission.VIEW_STATS},
    "agent": TALK | {Permission.USE_TOOLS, Permission.WORK_DESK},
    "admin": EVERYTHING,
    "viewer": {Permission.VIEW_STATS},
    "customer": {Permission.USE_TOOLS},
    "tianwang": {Permission.USE_TOOLS, Permission.MANAGE_TASK},
    "api key": EVERYTHING,
}
UNKNOWN = {"nobody", "wrong key"}
ROUTES = {(row.method, row.path): row.permission for row in rows()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("guarded")
    with running_service(folder, api_key=KEY, secret_key=SECRET) as running:
        running.client.headers.update(WITH_KEY)
        employ(running, "star", role="agent", scopes=["*"])
        yield running


@pytest.fixture(scope="module")
def callers(guarded: Service) -> Iterator[dict[str, Seat]]:
    staff = {
        "agent": Caller(Role.AGENT, "star"),
        "admin": Caller(Role.ADMIN, "老板"),
        "viewer": Caller(Role.VIEWER, "小看"),
        "customer": Caller(Role.CUSTOMER, "小明", CUSTOMER),
        "tianwang": Caller(Role.TIANWANG, "tianwang-1"),
    }
    tokens = {
        name: Tokens(SECRET).issue(caller, now=time.time(), hours=1)
        for name, caller in staff.items()
    }
    tokens |= {f"client {role}": signed_in(guarded, role) for role in ("agent", "admin", "viewer")}
    headers = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    headers |= {"nobody": {}, "wrong key": {"X-API-Key": "wrong"}, "api key": WITH_KEY}
    seats = {name: Seat(new_client(guarded, **sent)) for name, sent in headers.items()}
    yield seats
    for seat in seats.values():
        seat.client.close()


def signed_in(service: Service, role: str) -> str:
    """The token of a new client with that role."""
    made = service.client.post("/api/v1/clients", json={"agent_id": f"c-{role}", "role": role})
    assert made.status_code == 201, made.text
    body = {"agent_id": f"c-{role}", "api_key": made.json()["api_key"]}
    token: str = service.client.post("/api/v1/auth/login", json=body).json()["access_token"]
    return token


def test_the_seeds_roles_have_the_seeds_permissions() -> None:
    assert CLIENT_GRANTS[Role.AGENT] == {"read:message", "write:message"}
    assert {"manage:customer", "view:stats", "admin"} <= CLIENT_GRANTS[Role.ADMIN]
    assert CLIENT_GRANTS[Role.VIEWER] == {"view:stats"}


def test_every_address_of_the_service_is_listed_once(guarded: Service) -> None:
    assert set(addresses(guarded.app.routes)) == set(ROUTES)
    assert len([line for line in TABLE.splitlines() if line]) == len(ROUTES)


def test_what_is_not_listed_asks_for_an_administrator() -> None:
    permissions = Permissions()
    for path in ("/nothing/here", "/api", "//api/tools", "/API/TOOLS", "", "/api/v1/clients/"):
        assert permissions.needed("GET", path) is Permission.ADMIN
    assert permissions.needed("DELETE", "/api/v1/messages") is Permission.ADMIN


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_address_admits_whom_its_permission_was_given_and_nobody_else(
    guarded: Service, callers: dict[str, Seat], method: str, path: str
) -> None:
    found = {name: gate(seat, method, path) for name, seat in callers.items()}
    assert found == {name: _expected(name, method, path) for name in callers}


def _expected(caller: str, method: str, path: str) -> Gate:
    needed = ROUTES[method, path]
    if needed is Permission.PUBLIC:
        return "in"
    if caller == "nobody" and _is_desks(path):
        return "in" if LISTED[method, path] == "open" else "out"
    if caller in UNKNOWN:
        # `gate` takes a 401 of the form for the form itself, shown again.
        return "in" if path == SIGN_IN_PATH else "out"
    if needed not in MAY[caller]:
        return "no"
    if caller == "agent" and _is_desks(path):
        return "no" if LISTED[method, path] == "admin" else "in"
    return "in"


def _is_desks(path: str) -> bool:
    """There the desk's own sessions say more (`tests/api/desk/test_roles.py`)."""
    return path.startswith((f"{DESK_API}/", f"{CONSOLE}/", f"{REVIEWS}/")) or path in (
        CONSOLE,
        REVIEWS,
    )
