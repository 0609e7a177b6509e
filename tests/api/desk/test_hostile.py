"""Whatever customers are called and write, and whatever is sent to the desk, stays text."""

import json
import uuid
from collections.abc import Iterator

import pytest

from api.desk.session import CSRF_HEADER
from domain.messages import MAX_TEXT_CHARS
from tests.api.desk.seats import Seat, customer_asks, employ, of_kind, sign_in
from tests.api.envelope import refusal
from tests.api.service import Service

MARKUP = (
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>',
    "</script><svg onload=alert(1)>",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "javascript:alert(1)//",
)


@pytest.fixture(scope="module")
def boss(staffed: Service) -> Iterator[Seat]:
    employ(staffed, "boss", role="admin")
    seat = sign_in(staffed, "boss")
    yield seat
    seat.client.close()


@pytest.mark.parametrize("markup", MARKUP)
def test_a_name_or_message_of_markup_is_shown_as_it_is_and_as_no_page(
    staffed: Service, boss: Seat, markup: str
) -> None:
    conversation = customer_asks(staffed, f"转人工 {markup}", sender_name=markup)
    item = boss.get("/queue", view="open", search=markup)
    assert item.headers["content-type"] == "application/json"
    assert item.headers["x-content-type-options"] == "nosniff"
    names = {i["conversation_id"]: i["customer"] for i in item.json()["items"]}
    assert names == {conversation: markup}
    messages = boss.get(f"/conversations/{conversation}").json()["messages"]
    assert messages[0]["text"] == f"转人工 {markup}"


def test_a_message_cannot_end_the_event_that_carries_it(staffed: Service, boss: Seat) -> None:
    forged = "在吗\n\nevent: goodbye\ndata: {}\n\n\r\nid: 999999999\r\n\u2028x"
    conversation = customer_asks(staffed, customer="forger")
    boss.act(conversation, "take").raise_for_status()
    with boss.watching() as told:
        customer_asks(staffed, forged, customer="forger", deadline_s=0.01)
        event = next(told)
        following = customer_asks(staffed)
        queued = of_kind(told, "queued")
    assert event.kind == "message"
    assert "event: goodbye" in event.data["data"]["text"]
    assert queued.data["conversation_id"] == following
    assert int(queued.id) < 999999999


def test_what_is_too_long_is_refused_before_anything_is_done(staffed: Service, boss: Seat) -> None:
    conversation = customer_asks(staffed)
    long = "长" * (MAX_TEXT_CHARS + 1)
    for act, body in (
        ("say", {"text": long, "message_id": "long"}),
        ("notes", {"text": long}),
        ("transfer", {"note": long}),
        ("say", {"text": "x", "message_id": "m" * 129}),
    ):
        refusal(boss.act(conversation, act, **body), 422)
    huge = json.dumps({"text": "x" * 2_000_000}).encode()
    headers = {CSRF_HEADER: boss.csrf, "Content-Type": "application/json"}
    path = f"/api/desk/conversations/{conversation}/notes"
    refusal(boss.client.post(path, content=huge, headers=headers), 413)
    shown = boss.get(f"/conversations/{conversation}").json()
    assert shown["notes"] == []
    assert not [m for m in shown["messages"] if m["role"] == "staff"]


def test_control_characters_do_not_reach_the_customer(staffed: Service, boss: Seat) -> None:
    conversation = customer_asks(staffed)
    boss.act(conversation, "take").raise_for_status()
    said = boss.act(conversation, "say", text="您\u0000好\u202e！\u0007", message_id="odd")
    assert said.is_success
    messages = boss.get(f"/conversations/{conversation}").json()["messages"]
    assert messages[-1]["text"] == "您好！"
    for empty in ("", " \n ", "\u0000\u200b"):
        refused = boss.act(conversation, "say", text=empty, message_id=uuid.uuid4().hex)
        refusal(refused, 422)


@pytest.mark.parametrize(
    "search", ["%", "_", "100%_", "'", "\\", "'; DROP TABLE agents; --", "\u0000", "*", "[a-z]"]
)
def test_a_search_is_for_these_characters_and_nothing_else(boss: Seat, search: str) -> None:
    found = boss.get("/queue", view="all", search=search)
    assert found.status_code == 200, found.text
    for item in found.json()["items"]:
        texts = [item["customer"], item["question"], item["last_message"], item["contact_id"]]
        assert any(search.strip("\0") in one for one in [*texts, item["conversation_id"]])


def test_a_search_for_a_wildcard_finds_only_that_sign(staffed: Service, boss: Seat) -> None:
    plain, percent = uuid.uuid4().hex, uuid.uuid4().hex
    customer_asks(staffed, f"转人工 {plain}")
    conversation = customer_asks(staffed, f"转人工 {percent} 打折 50%")
    found = boss.get("/queue", view="all", search=f"{percent} 打折 50%").json()["items"]
    assert [item["conversation_id"] for item in found] == [conversation]
    assert boss.get("/queue", view="all", search=f"{plain[:8]}%").json()["items"] == []


@pytest.mark.parametrize("before", ["x", "-1", "1;2", "e30=", "9" * 60, "\u0000", "../../etc"])
def test_a_page_mark_that_no_page_gave_is_refused(boss: Seat, before: str) -> None:
    answered = boss.get("/queue", view="all", before=before)
    assert answered.status_code in (200, 422)


@pytest.mark.parametrize(
    "conversation", ["..%2F..%2Fetc", "%00", "c_%0d%0aSet-Cookie:x", "c_'--", "%F0%9F%98%80"]
)
def test_an_odd_conversation_is_one_that_does_not_exist(boss: Seat, conversation: str) -> None:
    for answered in (boss.get(f"/conversations/{conversation}"), boss.act(conversation, "take")):
        assert answered.status_code in (404, 422)
        assert "set-cookie" not in answered.headers


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "password": "short", "scopes": ["*"]},
        {"name": "x", "password": "long enough", "scopes": ["*:*"]},
        {"name": "x", "password": "long enough", "scopes": [""]},
        {"name": "x", "password": "long enough", "scopes": ["api:a:b c"]},
        {"name": "x", "password": "long enough", "role": "root"},
        {"name": "x", "password": "long enough", "max_load": 0},
        {"name": "x", "password": "long enough", "max_load": 10**9},
        {"name": "x", "scopes": ["*"]},
        {"name": "x", "password": "long enough", "is_admin": True},
    ],
)
def test_an_agent_that_cannot_be_is_not_made(boss: Seat, body: dict[str, object]) -> None:
    refusal(boss.send("PUT", "/agents/newcomer", body), 422)
    assert "newcomer" not in {agent["id"] for agent in boss.get("/agents").json()["items"]}


@pytest.mark.parametrize("login", ["Upper", "has space", "a" * 65, "ü", "<b>"])
def test_a_login_is_of_few_plain_characters(boss: Seat, login: str) -> None:
    body = {"name": "x", "password": "long enough", "scopes": ["*"]}
    assert boss.send("PUT", f"/agents/{login}", body).status_code == 422


def test_a_canned_reply_of_markup_is_kept_as_text(boss: Seat) -> None:
    body = {"shortcut": "x", "title": MARKUP[0], "text": MARKUP[1]}
    made = boss.send("PUT", "/canned", body)
    assert made.is_success, made.text
    listed = boss.get("/canned").json()["items"]
    assert [(one["title"], one["text"]) for one in listed] == [(MARKUP[0], MARKUP[1])]
    assert boss.send("DELETE", f"/canned/{made.json()['id']}", {}).is_success
