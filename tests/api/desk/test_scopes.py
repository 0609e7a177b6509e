"""An agent sees and does what is within their scope; that the rest exists is not told."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.api.desk.seats import Seat, customer_asks, employ, of_kind, sign_in
from tests.api.envelope import refusal
from tests.api.service import Service

ACTS: dict[str, dict[str, object]] = {
    "take": {},
    "say": {"text": "您好", "message_id": "a message of somebody else"},
    "notes": {"text": "看看"},
    "transfer": {"to": "anna"},
    "resolve": {},
    "reopen": {},
    "mode": {"mode": "copilot"},
}


@dataclass(frozen=True, slots=True)
class Shops:
    """Two shops on one service: anna has one, ben the other, boss both, eye looks at both."""

    service: Service
    anna: Seat
    ben: Seat
    boss: Seat
    eye: Seat


@pytest.fixture(scope="module")
def shops(staffed: Service) -> Iterator[Shops]:
    employ(staffed, "anna", scopes=["api:shop-a"], max_load=1)
    employ(staffed, "ben", scopes=["api:shop-b"])
    employ(staffed, "boss", role="admin", scopes=["api"])
    employ(staffed, "eye", role="viewer", scopes=["*"])
    seats = [sign_in(staffed, login) for login in ("anna", "ben", "boss", "eye")]
    yield Shops(staffed, *seats)
    for seat in seats:
        seat.client.close()


def of_shop_a(shops: Shops) -> str:
    return customer_asks(shops.service, "独家口令甲店 转人工", account="shop-a")


@pytest.mark.parametrize("view", ["waiting", "open", "all", "mine", "closed"])
def test_no_list_shows_another_shops_conversations(shops: Shops, view: str) -> None:
    conversation = of_shop_a(shops)
    assert conversation not in shops.ben.sees(view)
    if view in ("open", "all"):
        assert conversation in shops.boss.sees(view)


def test_searching_finds_nothing_of_another_shop(shops: Shops) -> None:
    conversation = of_shop_a(shops)
    found = shops.boss.get("/queue", view="all", search="独家口令甲店").json()["items"]
    assert conversation in {item["conversation_id"] for item in found}
    hidden = shops.ben.get("/queue", view="all", search="独家口令甲店").json()
    assert hidden["items"] == []


def test_counts_are_of_what_one_may_see(shops: Shops) -> None:
    before = shops.ben.get("/queue").json()["counts"]
    of_shop_a(shops)
    assert shops.ben.get("/queue").json()["counts"] == before


def test_another_shops_conversation_looks_like_one_that_does_not_exist(shops: Shops) -> None:
    conversation = of_shop_a(shops)
    hidden = refusal(shops.ben.get(f"/conversations/{conversation}"), 404)
    absent = refusal(shops.ben.get("/conversations/c_0"), 404)
    assert (hidden[0], hidden[1].replace(conversation, "c_0")) == absent


@pytest.mark.parametrize("act", ACTS)
def test_nothing_can_be_done_to_another_shops_conversation(shops: Shops, act: str) -> None:
    conversation = of_shop_a(shops)
    before = shops.boss.get(f"/conversations/{conversation}").json()
    refusal(shops.ben.act(conversation, act, **ACTS[act]), 404)
    after = shops.boss.get(f"/conversations/{conversation}").json()
    # The desk's own clock may set when an answer is due.
    clockless = {"due_ts": None}
    assert after["handoff"] | clockless == before["handoff"] | clockless
    assert after["messages"] == before["messages"]
    assert after["notes"] == before["notes"]


@pytest.mark.parametrize("act", ACTS)
def test_a_viewer_looks_and_does_nothing(shops: Shops, act: str) -> None:
    conversation = of_shop_a(shops)
    assert shops.eye.get(f"/conversations/{conversation}").is_success
    refusal(shops.eye.act(conversation, act, **ACTS[act]), 403)


def test_what_happens_in_another_shop_is_not_told(shops: Shops) -> None:
    with shops.ben.watching() as told:
        hidden = of_shop_a(shops)
        shown = customer_asks(shops.service, account="shop-b")
        heard = of_kind(told, "queued")
    assert heard.data["conversation_id"] == shown
    with shops.boss.watching(after="0") as told:
        both = {of_kind(told, "queued").data["conversation_id"] for _ in range(2)}
    assert both  # an administrator of the channel hears of either shop
    assert hidden != shown


def test_a_conversation_is_not_handed_to_somebody_who_may_not_see_it(shops: Shops) -> None:
    conversation = customer_asks(shops.service, account="shop-b")
    shops.ben.act(conversation, "take").raise_for_status()
    response = shops.ben.act(conversation, "transfer", to="anna")
    assert response.status_code in (404, 409, 422)
    refusal(response)
    assert shops.boss.get(f"/conversations/{conversation}").json()["handoff"]["agent"] == "ben"


def test_of_two_who_take_at_once_one_is_told_who_was_first(shops: Shops) -> None:
    conversation = customer_asks(shops.service, account="shop-b")
    assert shops.ben.act(conversation, "take").is_success
    employ(shops.service, "late", name="晚到", scopes=["api:shop-b"])
    late = sign_in(shops.service, "late")
    _, reason = refusal(late.act(conversation, "take"), 409)
    assert "Ben" in reason


def test_an_agent_cannot_make_themselves_more(shops: Shops) -> None:
    for path, body in (
        ("/agents/ben", {"role": "admin", "scopes": ["*"]}),
        ("/agents/mole", {"name": "Mole", "password": "long enough", "scopes": ["*"]}),
    ):
        refusal(shops.ben.send("PUT", path, body), 403)
    assert shops.ben.get("/me").json()["agent"]["scopes"] == ["api:shop-b"]


def test_a_changed_scope_holds_for_the_session_that_is_there(shops: Shops) -> None:
    employ(shops.service, "mover", scopes=["api:shop-a"])
    mover, conversation = sign_in(shops.service, "mover"), of_shop_a(shops)
    assert mover.get(f"/conversations/{conversation}").is_success
    path = "/api/desk/agents/mover"
    assert shops.service.client.put(path, json={"scopes": ["api:shop-b"]}).is_success
    assert mover.get(f"/conversations/{conversation}").status_code == 404


def test_agents_of_other_shops_are_nobody(shops: Shops) -> None:
    seen = {agent["id"] for agent in shops.ben.get("/agents").json()["items"]}
    assert {"ben", "boss", "eye"} <= seen
    assert "anna" not in seen
    with shops.ben.watching() as told:
        for seat, status in ((shops.anna, "away"), (shops.ben, "away"), (shops.anna, "offline")):
            seat.post("/presence", status=status).raise_for_status()
        assert of_kind(told, "presence").data["agent"] == "ben"
        shops.boss.post("/presence", status="away").raise_for_status()
        assert of_kind(told, "presence").data["agent"] == "boss"


def test_an_administrator_of_one_shop_rules_nobody_of_another(shops: Shops) -> None:
    employ(shops.service, "chief", role="admin", scopes=["api:shop-b"])
    chief = sign_in(shops.service, "chief")
    for path, body in (
        ("/agents/anna", {"enabled": False}),
        ("/agents/boss", {"password": "taken over"}),
        ("/agents/ben", {"scopes": ["api:shop-b", "api:shop-a"]}),
        ("/agents/chief", {"scopes": ["*"]}),
        ("/agents/mole", {"name": "Mole", "password": "long enough", "scopes": ["api"]}),
    ):
        refusal(chief.send("PUT", path, body), 403)
    helper = {"name": "Helper", "password": "long enough"}
    made = chief.send("PUT", "/agents/helper", helper).json()
    assert made["scopes"] == ["api:shop-b"], "no more than the administrator's own"
