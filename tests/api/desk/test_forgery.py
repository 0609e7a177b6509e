"""What other sites' pages make a signed-in agent's browser send does nothing."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from api.desk.session import COOKIE, CSRF_HEADER
from tests.api.desk.seats import PASSWORD, Seat, customer_asks, employ, new_client, sign_in
from tests.api.envelope import refusal
from tests.api.service import Service

FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture(scope="module")
def lily(staffed: Service) -> Iterator[Seat]:
    employ(staffed, "lily")
    employ(staffed, "tom")
    seat = sign_in(staffed, "lily")
    yield seat
    seat.client.close()


@pytest.fixture
def conversation(staffed: Service) -> str:
    return customer_asks(staffed)


def note(seat: Seat, conversation: str, **headers: str) -> httpx.Response:
    path = f"/api/desk/conversations/{conversation}/notes"
    return seat.client.post(path, json={"text": "forged"}, headers=headers)


def notes(seat: Seat, conversation: str) -> list[object]:
    found: list[object] = seat.get(f"/conversations/{conversation}").json()["notes"]
    return found


def test_a_request_without_the_token_of_its_session_does_nothing(
    staffed: Service, lily: Seat, conversation: str
) -> None:
    other = sign_in(staffed, "tom").csrf
    for forged in ({}, *({CSRF_HEADER: token} for token in ("", "x", lily.csrf[:-1], other))):
        refusal(note(lily, conversation, **forged), 403)
    assert notes(lily, conversation) == []
    assert note(lily, conversation, **{CSRF_HEADER: lily.csrf}).is_success


@pytest.mark.parametrize("sent_with", FOREIGN)
def test_a_request_of_another_site_does_nothing_even_with_the_token(
    lily: Seat, conversation: str, sent_with: dict[str, str]
) -> None:
    headers = {CSRF_HEADER: lily.csrf} | sent_with
    refusal(note(lily, conversation, **headers), 403)
    assert notes(lily, conversation) == []


def test_a_request_of_our_own_page_is_taken(
    staffed: Service, lily: Seat, conversation: str
) -> None:
    own = {"Origin": staffed.url, "Sec-Fetch-Site": "same-origin", CSRF_HEADER: lily.csrf}
    assert note(lily, conversation, **own).is_success


@pytest.mark.parametrize("sent_with", FOREIGN)
def test_nobody_is_signed_in_or_out_by_another_site(
    staffed: Service, lily: Seat, sent_with: dict[str, str]
) -> None:
    body = {"agent": "tom", "password": PASSWORD}
    with new_client(staffed) as client:
        response = client.post("/api/desk/login", json=body, headers=sent_with)
    refusal(response, 403)
    assert "set-cookie" not in response.headers
    out = lily.client.post("/api/desk/logout", headers={CSRF_HEADER: lily.csrf} | sent_with)
    refusal(out, 403)
    assert lily.get("/me").is_success


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_form_of_another_site_is_no_json_request(
    staffed: Service, lily: Seat, conversation: str, content_type: str
) -> None:
    """Browsers send these without asking first."""
    path = f"/api/desk/conversations/{conversation}/notes"
    headers = {"Content-Type": content_type, "Cookie": f"{COOKIE}={lily.client.cookies[COOKIE]}"}
    with new_client(staffed) as client:
        sent = client.post(path, content=b'{"text": "forged", "pad": "="}', headers=headers)
    assert sent.status_code in (403, 415)
    assert notes(lily, conversation) == []


def test_no_answer_may_be_read_by_another_site(lily: Seat) -> None:
    origin = {"Origin": "https://evil.example"}
    for path in ("/api/desk/me", "/api/desk/queue"):
        shown = lily.client.get(path, headers=origin)
        assert not any(name.startswith("access-control-") for name in shown.headers)
    asked = lily.client.options(
        "/api/desk/me", headers=origin | {"Access-Control-Request-Method": "POST"}
    )
    assert not any(name.startswith("access-control-") for name in asked.headers)


def test_the_same_message_id_is_said_once(lily: Seat, conversation: str) -> None:
    assert lily.act(conversation, "take").is_success
    name = uuid.uuid4().hex
    first = lily.act(conversation, "say", text="您好", message_id=name).json()
    again = lily.act(conversation, "say", text="您好", message_id=name).json()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    messages = lily.get(f"/conversations/{conversation}").json()["messages"]
    assert [m["text"] for m in messages if m["role"] == "staff"] == ["您好"]
