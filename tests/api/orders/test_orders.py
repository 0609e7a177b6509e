"""Orders over HTTP: listed, looked at, changed; refused as the surface refuses."""

import time
from typing import Any

import httpx
import pytest

from api.identity import Tokens
from domain.orders import OrderStatus, Workflow
from tests.api.envelope import refusal
from tests.api.orders.conftest import SECRET, Shop
from tests.engine.orders.desk import CUSTOMER
from tools.registry import Caller, Role

ADDRESSES = [
    ("GET", "/api/orders"),
    ("GET", "/api/orders/1"),
    *(
        ("POST", f"/api/orders/1/{what}")
        for what in ("amend", "confirm", "deliver", "accept", "rework", "cancel", "assign-designer")
    ),
    ("POST", "/api/pictures"),
    ("GET", f"/api/pictures/{'ab' * 32}"),
]


def ok(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_page_of_orders_has_money_in_yuan_and_is_filtered(shop: Shop) -> None:
    first = await shop.bench.order()
    second = await shop.bench.order(workflow=Workflow.FIND, status=OrderStatus.DRAFT)
    await shop.post(f"/api/orders/{first['id']}/amend", amendment("加急", "add"))
    page = ok(await shop.client.get("/api/orders", params={"page_size": 1}))
    assert (page["total"], page["items"][0]["id"]) == (2, second["id"])
    quoted = ok(await shop.client.get("/api/orders?status=quoted&status=failed"))
    assert [one["id"] for one in quoted["items"]] == [first["id"]]
    assert quoted["items"][0]["quote"]["total"] == 12.0
    items = quoted["items"][0]["quote"]["items"]
    assert sum(item["amount"] for item in items) == 12.0
    find = ok(await shop.client.get("/api/orders", params={"workflow": "find"}))
    assert [one["id"] for one in find["items"]] == [second["id"]]
    for customer in (CUSTOMER.sender_id, CUSTOMER.contact):
        assert ok(await shop.client.get("/api/orders", params={"customer_id": customer}))["total"]
    assert ok(await shop.client.get("/api/orders?customer_id=nobody"))["items"] == []
    there: dict[str, str | int] = {"conversation_id": CUSTOMER.conversation, "page": 3}
    assert ok(await shop.client.get("/api/orders", params=there))["items"] == []


def amendment(requirement: str, kind: str = "change", **more: Any) -> dict[str, Any]:
    return {"changes": [{"kind": kind, "requirement": requirement}]} | more


async def test_an_order_goes_its_way_over_http(shop: Shop) -> None:
    order = await shop.bench.order()
    at = f"/api/orders/{order['id']}"
    amended = ok(await shop.post(f"{at}/amend", amendment("背景改成蓝色", version=1)))
    assert amended["requirements"] == ["抠图", "背景改成蓝色"]
    confirmed = ok(await shop.post(f"{at}/confirm"))
    assert confirmed["status"] == "confirmed"
    file = "https://shop.example/done.png"
    delivered = ok(await shop.post(f"{at}/deliver", {"deliverables": [file]}))
    assert (delivered["status"], delivered["deliverables"]) == ("delivered", [file])
    assert ok(await shop.post(f"{at}/rework", {"note": "边缘再干净些"}))["status"] == "rework"
    ok(await shop.post(f"{at}/deliver", {"deliverables": [file], "tell_customer": False}))
    assert ok(await shop.post(f"{at}/accept"))["status_name"] == "已验收"
    whole = ok(await shop.client.get(at))
    kinds = [event["kind"] for event in whole["events"] if event["kind"] != "told"]
    assert kinds[:3] == ["created", "amended", "confirmed"]
    assert {event["actor"] for event in whole["events"][1:]} == {"api-key"}
    told = await shop.bench.told()
    assert told.count(file) == 1
    assert "满意" in told[2]


async def test_events_show_amounts_in_yuan(shop: Shop) -> None:
    order = await shop.bench.order()
    at = f"/api/orders/{order['id']}"
    await shop.post(f"{at}/amend", amendment("背景改成蓝色"))
    await shop.post(f"{at}/amend", amendment("加急", "add"))
    events = ok(await shop.client.get(at))["events"]
    (last,) = [one for one in events if one["detail"].get("to", "").endswith("加急")]
    assert (last["detail"]["total_before"], last["detail"]["total"]) == (8.0, 12.0)


async def test_what_may_not_follow_is_a_conflict(shop: Shop) -> None:
    order = await shop.bench.order()
    at = f"/api/orders/{order['id']}"
    field, message = refusal(await shop.post(f"{at}/accept"), 409)
    assert field == "status"
    assert "已报价" in message
    field, _ = refusal(await shop.post(f"{at}/cancel", {"version": 9}), 409)
    assert field == "version"
    ok(await shop.post(f"{at}/cancel", {"reason": "不要了"}))
    refusal(await shop.post(f"{at}/amend", amendment("加急")), 409)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("amend", {}, "changes"),
        ("amend", {"changes": []}, "changes"),
        ("amend", amendment(" "), "changes.0.requirement"),
        ("amend", amendment("红", "paint"), "changes.0.kind"),
        ("amend", amendment("字" * 501), "changes.0.requirement"),
        ("amend", amendment("红", pictures=["x"]), "pictures.0"),
        ("amend", amendment("红", images=["file:///etc/passwd"]), "images.0"),
        ("amend", amendment("红", urgent=True), "urgent"),
        ("deliver", {"deliverables": []}, "deliverables"),
        ("deliver", {"deliverables": ["https://shop.example/a.png"] * 21}, "deliverables"),
        ("confirm", {"version": 0}, "version"),
        ("assign-designer", {}, "designer"),
        ("assign-designer", {"designer": "橘\n子"}, "designer"),
        ("rework", {"note": "字" * 501}, "note"),
    ],
)
async def test_what_cannot_be_used_is_named(
    shop: Shop, path: str, body: dict[str, Any], field: str
) -> None:
    order = await shop.bench.order()
    named, _ = refusal(await shop.post(f"/api/orders/{order['id']}/{path}", body), 422)
    assert named == field
    assert (await shop.bench.desk.get(order["id"]))["version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/orders/404", 404),
        ("POST", "/api/orders/404/cancel", 404),
        ("GET", "/api/orders/0", 422),
        ("GET", "/api/orders/99999999999999999999", 422),
        ("GET", "/api/orders/x", 422),
        ("GET", "/api/orders?status=lost", 422),
        ("GET", "/api/orders?page=0", 422),
        ("GET", "/api/orders?customer_id=%00", 422),
    ],
)
async def test_what_is_not_there_is_refused(
    shop: Shop, method: str, path: str, status: int
) -> None:
    refusal(await shop.client.request(method, path), status)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_nothing_is_open_without_the_key(shop: Shop, method: str, path: str) -> None:
    refusal(await shop.client.request(method, path, headers={"X-API-Key": "no"}), 401)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.TIANWANG])
async def test_orders_are_for_staff(shop: Shop, method: str, path: str, role: Role) -> None:
    caller = Caller(role, "c", CUSTOMER.contact if role is Role.CUSTOMER else "")
    token = Tokens(SECRET).issue(caller, now=time.time(), hours=1)
    headers = {"X-API-Key": "", "Authorization": f"Bearer {token}"}
    refusal(await shop.client.request(method, path, headers=headers), 403)


async def test_an_agent_is_named_in_the_orders_events(shop: Shop) -> None:
    order = await shop.bench.order()
    token = Tokens(SECRET).issue(Caller(Role.AGENT, "小李"), now=time.time(), hours=1)
    headers = {"X-API-Key": "", "Authorization": f"Bearer {token}"}
    ok(await shop.post(f"/api/orders/{order['id']}/confirm", headers=headers))
    events = ok(await shop.client.get(f"/api/orders/{order['id']}"))["events"]
    assert [one["actor"] for one in events if one["kind"] == "confirmed"] == ["小李"]


async def test_the_description_names_every_address_its_answer_and_its_refusals(
    shop: Shop,
) -> None:
    every = shop.app.openapi()["paths"]
    paths = {path: ways for path, ways in every.items() if path.startswith("/api/")}
    assert every.keys() - paths.keys() == {"/pictures/{sha256}"}
    described = {(method.upper(), path) for path, ways in paths.items() for method in ways}
    assert described == {
        (method, path.replace("/1", "/{order_id}").replace("ab" * 32, "{sha256}"))
        for method, path in ADDRESSES
    }
    for ways in paths.values():
        for operation in ways.values():
            assert {"401", "403", "404", "409", "422"} <= operation["responses"].keys()
