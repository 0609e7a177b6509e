"""Signing in and out, the cookie, and who else is somebody at the desk."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from api.desk.session import COOKIE, SECURE_COOKIE
from api.identity import Tokens
from tests.api.desk.seats import KEY, PASSWORD, Seat, employ, new_client, sign_in
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tools.registry import Caller, Role

SECRET = "a secret of these tests, long enough for HS256"


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sessions")
    with running_service(folder, api_key=KEY, secret_key=SECRET) as running:
        running.client.headers["X-API-Key"] = KEY
        for login in ("lily", "tom", "leaver", "forgetful"):
            employ(running, login, scopes=["api:tests"])
        employ(running, "boss", role="admin")
        yield running


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On loopback without a key, and nobody employed."""
    with running_service(tmp_path_factory.mktemp("unlocked")) as running:
        yield running


def enter(client: httpx.Client, login: str, password: str, **headers: str) -> httpx.Response:
    body = {"agent": login, "password": password}
    return client.post("/api/desk/login", json=body, headers=headers)


def change(service: Service, login: str, **what: object) -> None:
    assert service.client.put(f"/api/desk/agents/{login}", json=what).status_code == 200


def is_in(seat: Seat) -> bool:
    status = seat.get("/me").status_code
    assert status in (200, 401)
    return status == 200


# The cookie ----------------------------------------------------------------------------------


def test_the_cookie_is_for_this_site_and_out_of_reach_of_scripts(staffed: Service) -> None:
    with new_client(staffed) as client:
        response = enter(client, "lily", PASSWORD)
    name, *attributes = (part.strip() for part in response.headers["set-cookie"].split(";"))
    assert name.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(attributes)
    assert "Secure" not in attributes  # it would be lost on plain http
    assert response.headers["cache-control"] == "no-store"


def test_over_https_only_a_cookie_that_other_hosts_cannot_set_counts(staffed: Service) -> None:
    with new_client(staffed, **{"X-Forwarded-Proto": "https"}) as client:
        response = enter(client, "lily", PASSWORD)
        cookie = response.headers["set-cookie"]
        token = cookie.partition("=")[2].partition(";")[0]
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert "; Secure" in cookie
        client.cookies.clear()
        for name, expected in ((COOKIE, 401), (SECURE_COOKIE, 200)):
            shown = client.get("/api/desk/me", headers={"Cookie": f"{name}={token}"})
            assert shown.status_code == expected


def test_nothing_shown_carries_a_password_or_the_token(staffed: Service) -> None:
    seat = sign_in(staffed, "lily")
    token = seat.client.cookies[COOKIE]
    for shown in (seat.get("/me"), seat.get("/agents"), staffed.client.get("/api/desk/agents")):
        assert shown.status_code == 200
        assert token not in shown.text
        assert "password" not in shown.text
        assert "scrypt" not in shown.text


def test_the_database_holds_no_token_that_could_be_used(staffed: Service) -> None:
    token = sign_in(staffed, "lily").client.cookies[COOKIE]
    with staffed.kefu.engine.database.engine.connect() as connection:
        kept = connection.execute(text("SELECT * FROM agent_sessions")).all()
    assert kept
    assert token not in json.dumps([list(row) for row in kept])


# Signing in and out --------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_login_are_answered_alike(staffed: Service) -> None:
    with new_client(staffed) as client:
        wrong, unknown = enter(client, "tom", "not it"), enter(client, "nobody", "not it")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    refusal(wrong, 401)
    assert "set-cookie" not in wrong.headers


def test_guessing_is_slowed_down(staffed: Service) -> None:
    employ(staffed, "guessed")
    with new_client(staffed) as client:
        statuses = [enter(client, "guessed", f"guess {n}").status_code for n in range(12)]
        locked = enter(client, "guessed", PASSWORD)
    assert set(statuses) == {401, 429}
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) >= 1


def test_a_planted_session_is_not_what_somebody_signs_in_to(staffed: Service) -> None:
    attacker = sign_in(staffed, "tom")
    planted = attacker.client.cookies[COOKIE]
    with new_client(staffed) as client:
        client.cookies.set(COOKIE, planted)
        enter(client, "lily", PASSWORD).raise_for_status()
        fresh = next(c.value for c in client.cookies.jar if c.name == COOKIE and c.value != planted)
        shown = client.get("/api/desk/me", headers={"Cookie": f"{COOKIE}={fresh}"})
    assert shown.json()["agent"]["id"] == "lily"
    assert not is_in(attacker), "the planted session has ended"


def test_signing_out_ends_the_session_and_not_only_the_cookie(staffed: Service) -> None:
    seat = sign_in(staffed, "lily")
    token = seat.client.cookies[COOKIE]
    done = seat.post("/logout")
    assert done.status_code == 200
    assert COOKIE not in seat.client.cookies
    seat.client.cookies.set(COOKIE, token)
    assert not is_in(seat)


def test_a_disabled_agent_is_out_at_once_and_cannot_come_back(staffed: Service) -> None:
    seat = sign_in(staffed, "leaver")
    assert is_in(seat)
    change(staffed, "leaver", enabled=False)
    assert not is_in(seat)
    refusal(enter(seat.client, "leaver", PASSWORD), 401)


def test_a_new_password_ends_every_session_of_the_old_one(staffed: Service) -> None:
    seats = [sign_in(staffed, "forgetful") for _ in range(2)]
    change(staffed, "forgetful", password="another long password")
    assert not any(is_in(seat) for seat in seats)
    assert is_in(sign_in(staffed, "forgetful", "another long password"))


def test_a_session_that_has_run_out_is_none(staffed: Service) -> None:
    seat = sign_in(staffed, "lily")
    other = sign_in(staffed, "tom")
    with staffed.kefu.engine.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE agent_sessions SET expires_ts = :now WHERE agent_id = 'lily'"),
            {"now": time.time() - 1},
        )
    assert not is_in(seat)
    assert is_in(other)


@pytest.mark.parametrize("token", ["", "x", "é" * 40, "a" * 4_000, "' OR 1=1 --", "%00"])
def test_a_cookie_that_is_no_session_is_nobody(staffed: Service, token: str) -> None:
    with new_client(staffed) as client:
        cookie = f"{COOKIE}={token}".encode()
        response = client.get("/api/desk/me", headers={b"Cookie": cookie})
    refusal(response, 401)


# Programs and this machine -------------------------------------------------------------------


def bearer(service: Service, role: Role, name: str, contact: str = "") -> httpx.Client:
    token = Tokens(SECRET).issue(Caller(role, name, contact), now=time.time(), hours=1)
    return new_client(service, Authorization=f"Bearer {token}")


def test_the_key_is_an_administrator_without_cookie_or_csrf(staffed: Service) -> None:
    shown = staffed.client.get("/api/desk/me").json()
    assert (shown["by"], shown["agent"]["role"], shown["csrf"]) == ("key", "admin", "")
    assert staffed.client.put("/api/desk/agents/lily", json={"name": "Lily"}).status_code == 200


def test_a_token_is_the_agent_that_it_names(staffed: Service) -> None:
    with bearer(staffed, Role.AGENT, "lily") as client:
        shown = client.get("/api/desk/me").json()
    assert shown["agent"]["scopes"] == ["api:tests"]
    with bearer(staffed, Role.AGENT, "stranger") as client:
        refusal(client.get("/api/desk/me"), 403)


def test_a_token_of_lower_role_makes_an_administrator_an_agent(staffed: Service) -> None:
    with bearer(staffed, Role.AGENT, "boss") as client:
        assert client.get("/api/desk/me").json()["agent"]["role"] == "agent"
        refusal(client.put("/api/desk/agents/tom", json={"name": "T"}), 403)


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.TIANWANG])
def test_a_token_of_others_than_staff_opens_nothing_here(staffed: Service, role: Role) -> None:
    contact = "api:tests:somebody" if role is Role.CUSTOMER else ""
    with bearer(staffed, role, "somebody", contact) as client:
        for path in ("/api/desk/me", "/api/desk/queue", "/api/desk/events"):
            refusal(client.get(path), 403)


def test_a_wrong_key_is_refused_though_there_is_a_session(staffed: Service) -> None:
    seat = sign_in(staffed, "lily")
    wrong = seat.client.get("/api/desk/me", headers={"X-API-Key": "wrong"})
    refusal(wrong, 401)


def test_on_this_machine_somebody_is_an_administrator_until_there_is_an_agent(
    unlocked: Service,
) -> None:
    with new_client(unlocked) as client:
        me = client.get("/api/desk/me").json()
        assert (me["by"], me["agent"]["role"]) == ("local", "admin")
        named_elsewhere = client.get("/api/desk/me", headers={"Host": "evil.example"})
        refusal(named_elsewhere, 401)
        body = {"name": "First", "password": PASSWORD, "scopes": ["*"], "role": "admin"}
        unasked = client.put("/api/desk/agents/first", json=body)
        refusal(unasked, 403)
        headers = {"X-CSRF-Token": me["csrf"]}
        assert client.put("/api/desk/agents/first", json=body, headers=headers).is_success
        for tricks in ({}, {"X-API-Key": "x"}, {"Authorization": "Bearer x"}):
            refusal(client.get("/api/desk/me", headers=tricks), 401)
    assert is_in(sign_in(unlocked, "first"))
