"""GET /api/v1/sessions over HTTP, against a running service."""

from tests.api.service import Service

ORDER = "AB20261121"


def test_a_conversation_is_a_session_with_its_dialogue_and_what_is_known(service: Service) -> None:
    service.ask("充电桩怎么安装", message_id="s1", chat_id="session-1")
    service.ask(f"我的订单是{ORDER}", message_id="s2", chat_id="session-1")
    page = service.client.get("/api/v1/sessions", params={"limit": 200}).json()
    (line,) = [one for one in page["items"] if one["contact_id"] == "api:tests:session-1"]
    assert (line["life"], line["life_name"], line["turn_count"]) == ("active", "活跃", 2)
    assert line["satisfaction_score"] is None
    assert line["conversation_outcome"] in {"solved", "unsolved", "transferred"}

    found = service.client.get(f"/api/v1/sessions/{line['id']}").json()
    assert found["session"] == line
    said = [one["content"] for one in found["messages"] if one["role"] == "user"]
    assert said == ["充电桩怎么安装", f"我的订单是{ORDER}"]
    state = found["state"]
    assert state["turn"] == 2
    assert state["entities"]["order_no"] == [ORDER]
    assert {"value": ORDER, "by": "customer", "turn": 2} in [
        one | {"value": ORDER} for one in state["known"] if ORDER in one["value"]
    ]


def test_pages_follow_each_other(service: Service) -> None:
    for number in range(3):
        service.ask("你好", message_id=f"p{number}", chat_id=f"session-page-{number}")
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/api/v1/sessions", params=params).json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) >= 3
    assert seen == sorted(seen, reverse=True)


def test_what_is_wanted_in_vain_is_said(service: Service) -> None:
    assert service.client.get("/api/v1/sessions/4611686018427387904").status_code == 404
    assert service.client.get("/api/v1/sessions", params={"life": "asleep"}).status_code == 422
    assert service.client.get("/api/v1/sessions", params={"satisfaction": 6}).status_code == 422
    assert service.client.get("/api/v1/sessions", params={"since": "gestern"}).status_code == 422
