"""/api/reviews: turns, re-runs, judgements, kept conversations; who may do what."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.desk.seats import (
    KEY,
    WITH_KEY,
    Seat,
    customer_asks,
    employ,
    new_client,
    sign_in,
)
from tests.api.service import Service, running_service

QUESTION = "帆布袋有没有拉链"


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, knowledge_folder: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("reviews")
    with running_service(folder, knowledge=knowledge_folder, api_key=KEY) as running:
        running.client.headers.update(WITH_KEY)
        employ(running, "agent")
        employ(running, "viewer", role="viewer")
        employ(running, "elsewhere", scopes=["webhook"])
        yield running


@pytest.fixture(scope="module")
def agent(staffed: Service) -> Iterator[Seat]:
    yield from seat(staffed, "agent")


@pytest.fixture(scope="module")
def viewer(staffed: Service) -> Iterator[Seat]:
    yield from seat(staffed, "viewer")


@pytest.fixture(scope="module")
def elsewhere(staffed: Service) -> Iterator[Seat]:
    yield from seat(staffed, "elsewhere")


def seat(service: Service, login: str) -> Iterator[Seat]:
    signed = sign_in(service, login)
    yield signed
    signed.client.close()


def call(who: Seat, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-CSRF-Token": who.csrf}
    return who.client.request(method, f"/api/reviews{path}", json=body, headers=headers)


def turn_of(service: Service, text: str = QUESTION) -> str:
    asked = service.ask(text, message_id=uuid.uuid4().hex, chat_id=uuid.uuid4().hex)
    return str(asked["turn_id"])


def test_from_a_wrong_answer_to_a_kept_conversation_that_passes(
    staffed: Service, agent: Seat
) -> None:
    turn = turn_of(staffed)
    opened = call(agent, "GET", f"/turns/{turn}").json()
    assert [step["node"] for step in opened["steps"]] == opened["answer"]["nodes"]
    assert opened["recorded"]

    marked = call(
        agent,
        "POST",
        f"/turns/{turn}/mark",
        {"fault": "wrong", "note": "不完整", "correct": "帆布包带拉链，里面还有一个手机袋。"},
    ).json()
    suggestion = marked["suggestion"]
    assert (suggestion["state"], suggestion["flags"][0]["kind"]) == ("pending", "contradiction")
    accepted = staffed.client.post(
        f"/api/knowledge/suggestions/{suggestion['id']}/accept",
        json={"replaces": suggestion["flags"][0]["entry_id"]},
    )
    assert accepted.status_code == 200

    again = call(agent, "POST", f"/turns/{turn}/rerun", {"from_node": "retrieve"}).json()
    assert again["answer"]["content"] == "帆布包带拉链，里面还有一个手机袋。"
    assert "content" in again["changes"]

    saved = call(agent, "POST", f"/turns/{turn}/save", {"name": "拉链"}).json()
    assert saved["name"] == "拉链"
    report = call(agent, "POST", "/regressions", {"names": ["拉链"]}).json()
    assert (report["conversations"], report["passed"], report["failed"]) == (1, 1, 0)

    review = marked["review"]["id"]
    assert call(agent, "POST", f"/{review}", {"state": "fixed"}).json()["regression"] == "拉链"
    page = call(agent, "GET", "?state=fixed").json()
    assert [one["id"] for one in page["items"]] == [review]


def test_running_what_is_kept_reaches_nobody_and_leaves_no_row(
    staffed: Service, agent: Seat
) -> None:
    script = "turns:\n  - say: 我要投诉\n    expect: {handoff: complaint}\n"
    assert call(agent, "PUT", "/regressions/投诉", {"text": script}).status_code == 200
    before = staffed.all_rows()
    report = call(agent, "POST", "/regressions", {"names": ["投诉"]}).json()
    assert (report["passed"], report["turns"]) == (1, 1)
    assert staffed.all_rows() == before


def test_a_conversation_that_fails_is_told_with_what_was_expected(
    staffed: Service, agent: Seat
) -> None:
    script = "turns:\n  - say: 你好\n    expect: {decision: quote}\n"
    call(agent, "PUT", "/regressions/错的", {"text": script})
    report = call(agent, "POST", "/regressions", {"names": ["错的"]}).json()
    (turn,) = report["results"][0]["turns"]
    assert turn["failures"] == [{"check": "decision", "wanted": "quote", "got": "chat"}]
    assert call(agent, "DELETE", "/regressions/错的").status_code == 204
    assert call(agent, "GET", "/regressions/错的").status_code == 404


def test_a_faulty_script_is_refused_with_its_line(agent: Seat) -> None:
    refused = call(agent, "PUT", "/regressions/x", {"text": "turns:\n- say: a\n  b: c\n"})
    assert refused.status_code == 422
    assert "第 3 行" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("rerun", {"from_node": "escalate"}, 422, "from_node"),
        ("rerun", {"from_node": "retrieve", "intent": "x"}, 422, "intent"),
        ("rerun", {"from_node": "retrieve", "texte": "x"}, 422, "texte"),
        ("mark", {"fault": "x"}, 422, "fault"),
        ("save", {"name": "../x"}, 422, "name"),
        ("save", {"expect": {"decison": "x"}}, 422, "expect.decison"),
        ("save", {"expect": {}}, 422, "expect"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_field(
    staffed: Service, agent: Seat, path: str, body: Any, status: int, field: str
) -> None:
    refused = call(agent, "POST", f"/turns/{turn_of(staffed)}/{path}", body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (status, field)


def test_a_viewer_looks_and_changes_nothing(staffed: Service, viewer: Seat) -> None:
    turn = turn_of(staffed)
    for path in ("", f"/turns/{turn}", "/regressions"):
        assert call(viewer, "GET", path).status_code == 200
    for method, path, body in (
        ("POST", f"/turns/{turn}/rerun", {"from_node": "classify"}),
        ("POST", f"/turns/{turn}/mark", {"fault": "tone"}),
        ("POST", f"/turns/{turn}/save", {}),
        ("POST", "/regressions", {}),
        ("PUT", "/regressions/x", {"text": "turns: []"}),
        ("DELETE", "/regressions/x", None),
        ("POST", "/1", {"state": "fixed"}),
    ):
        assert call(viewer, method, path, body).status_code == 403


def test_what_is_out_of_scope_is_not_there(staffed: Service, agent: Seat, elsewhere: Seat) -> None:
    turn = turn_of(staffed)
    review = call(agent, "POST", f"/turns/{turn}/mark", {"fault": "tone"}).json()["review"]["id"]
    call(agent, "POST", f"/turns/{turn}/save", {"name": "范围", "expect": {"decision": "answer"}})
    for method, path, body in (
        ("GET", f"/turns/{turn}", None),
        ("POST", f"/turns/{turn}/rerun", {"from_node": "classify"}),
        ("POST", f"/turns/{turn}/mark", {"fault": "tone"}),
        ("POST", f"/turns/{turn}/save", {}),
        ("POST", f"/{review}", {"state": "fixed"}),
        ("GET", "/regressions/范围", None),
        ("DELETE", "/regressions/范围", None),
        ("POST", "/regressions", {"names": ["范围"]}),
    ):
        assert call(elsewhere, method, path, body).status_code == 404, path
    assert call(elsewhere, "GET", "").json()["items"] == []
    assert "范围" not in [one["name"] for one in call(elsewhere, "GET", "/regressions").json()]


def test_nobody_is_let_in_without_a_session_and_no_act_without_its_token(
    staffed: Service, agent: Seat
) -> None:
    turn = turn_of(staffed)
    with new_client(staffed) as client:
        assert client.get(f"/api/reviews/turns/{turn}").status_code == 401
        assert client.get("/api/reviews").status_code == 401
    path = f"/api/reviews/turns/{turn}/mark"
    assert agent.client.post(path, json={"fault": "tone"}).status_code == 403


def test_a_program_with_the_key_needs_no_session(staffed: Service) -> None:
    turn = turn_of(staffed)
    assert staffed.client.get(f"/api/reviews/turns/{turn}").status_code == 200


def test_words_of_a_customer_stay_data(staffed: Service, agent: Seat) -> None:
    hostile = "<script>alert(1)</script>\n---\nturns: [{say: x}]\n# {{7*7}} 帆布袋"
    turn = turn_of(staffed, hostile)
    body = {"name": "敌意", "expect": {"absent": "49"}, "replace": True}
    saved = call(agent, "POST", f"/turns/{turn}/save", body).json()
    assert (saved["turns"], saved["problem"]) == (1, "")
    (script,) = [one for one in call(agent, "GET", "/regressions").json() if one["name"] == "敌意"]
    assert script["turns"] == 1


def test_conversations_of_customers_are_asked_at_the_desk_too(
    staffed: Service, agent: Seat
) -> None:
    conversation = customer_asks(staffed, "转人工")
    view = agent.get(f"/conversations/{conversation}").json()
    turn = view["turns"][-1]["turn_id"]
    opened = call(agent, "GET", f"/turns/{turn}").json()
    assert opened["answer"]["decision"] == "handoff"
    assert [step["node"] for step in opened["steps"]][-1] == "escalate"
