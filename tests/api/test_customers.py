"""Customers over HTTP, of a running service: how they stand, merging, handing out, forgetting."""

import json
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.envelope import refusal
from tests.api.service import Service
from tests.storage.everyone import found_in

CUSTOMERS = "/api/v1/customers"


def written(service: Service, *, name: str = "", words: str = "你好") -> tuple[int, str]:
    """Somebody new who has written once: number and sender."""
    sender = name or f"客户{uuid.uuid4().hex[:12]}"
    service.ask(words, message_id=uuid.uuid4().hex, chat_id=sender)
    found = service.client.get(CUSTOMERS, params={"search": f"tests:{sender}"}).json()["items"]
    assert len(found) == 1, found
    return found[0]["id"], sender


def got(service: Service, customer: int) -> dict[str, Any]:
    response = service.client.get(f"{CUSTOMERS}/{customer}")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def did(service: Service, customer: int, what: str, **body: Any) -> dict[str, Any]:
    response = service.client.post(f"{CUSTOMERS}/{customer}/{what}", json=body)
    assert response.status_code == 200, response.text
    done: dict[str, Any] = response.json()
    return done


def test_who_has_written_once_is_new_and_gray(service: Service) -> None:
    customer, sender = written(service)
    found = got(service, customer)
    assert found["contact_id"] == f"api:tests:{sender}"
    # 40 * 0.6 + 30 * 1/1 + 30 * 0.6 = 72: nobody has judged, and nothing is bought.
    assert (found["level"], found["score"], found["state"]) == ("gray", 72, "new")
    assert found["standing"]["known"] == ["activity"]


def test_who_asks_for_a_price_is_potential_and_a_buyer_after_a_deal(service: Service) -> None:
    customer, _ = written(service, words="修一张图多少钱")
    assert got(service, customer)["state"] == "potential"
    key = uuid.uuid4().hex
    after = did(service, customer, "deals", key=key, amount=99.5, note="线下")
    assert (after["state"], after["standing"]["paid"], after["standing"]["deals"]) == (
        "deal",
        99.5,
        1,
    )
    again = did(service, customer, "deals", key=key, amount=99.5)
    assert (again["state"], again["standing"]["deals"]) == ("deal", 1)
    assert did(service, customer, "deals", key=uuid.uuid4().hex, amount=1)["state"] == "repurchase"
    off = service.client.delete(f"{CUSTOMERS}/{customer}/deals/api:{key}").json()
    assert (off["state"], off["standing"]["paid"]) == ("deal", 1.0)


def test_feedback_counts_once_and_moves_the_level(service: Service) -> None:
    customer, _ = written(service)
    key = uuid.uuid4().hex
    liked = did(service, customer, "feedback", key=key, rating=5)
    # 40 * 1 + 30 * 1 + 30 * 0.6 = 88, but nobody is a VIP for one talk.
    assert (liked["level"], liked["score"], liked["standing"]["rating"]) == ("gray", 88, 5.0)
    # 40 * 0 + 30 * 1 + 30 * 0.6 = 48: the later word under the same key counts.
    disliked = did(service, customer, "feedback", key=key, rating=1)
    assert (disliked["level"], disliked["score"], disliked["standing"]["judged"]) == ("gray", 48, 1)
    for _ in range(2):
        did(service, customer, "feedback", key=uuid.uuid4().hex, rating=5)
    again = did(service, customer, "feedback", key=key, rating=5)
    assert (again["level"], again["score"], again["standing"]["judged"]) == ("white", 88, 3)


def test_a_person_decides_on_a_level_and_gives_it_back_to_the_score(service: Service) -> None:
    customer, _ = written(service)
    path = f"{CUSTOMERS}/{customer}"
    changed = service.client.patch(path, json={"level": "black", "remark": "恶意下单"}).json()
    assert (changed["level"], changed["fixed"], changed["remark"]) == (
        "black",
        "black",
        "恶意下单",
    )
    given_back = service.client.patch(path, json={"level": "auto"}).json()
    assert (given_back["level"], given_back["fixed"]) == ("gray", "")


def test_phone_and_address_are_kept_sealed_and_found_again(service: Service) -> None:
    customer, _ = written(service)
    phone = f"199{uuid.uuid4().int % 10**8:08d}"
    body = {"phone": phone, "address": "测试路 1 号"}
    changed = service.client.patch(f"{CUSTOMERS}/{customer}", json=body).json()
    assert (changed["phone"], changed["address"]) == (phone, "测试路 1 号")
    found = service.client.get(CUSTOMERS, params={"search": phone}).json()["items"]
    assert [one["id"] for one in found] == [customer]


def test_lists_are_filtered_and_go_on_by_cursor(service: Service) -> None:
    tag = f"标签_{uuid.uuid4().hex[:8]}"
    some = [written(service)[0] for _ in range(5)]
    for customer in some:
        assert tag in did(service, customer, "tags", add=[tag])["tags"]
    listed: list[int] = []
    cursor = ""
    while True:
        page = service.client.get(
            CUSTOMERS, params={"tag": tag, "limit": 2, "cursor": cursor}
        ).json()
        listed += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert listed == some[::-1]
    did(service, some[0], "tags", remove=[tag])
    left = service.client.get(CUSTOMERS, params={"tag": tag}).json()["items"]
    assert {one["id"] for one in left} == set(some[1:])
    black = service.client.get(CUSTOMERS, params={"tag": tag, "level": "black"}).json()
    assert black == {"items": [], "next_cursor": None}


def test_a_part_of_a_tag_is_not_the_tag(service: Service) -> None:
    customer, _ = written(service)
    mark = uuid.uuid4().hex[:8]
    did(service, customer, "tags", add=[f"{mark}a_b"])
    for other in (mark, f"{mark}aXb", "%"):
        found = service.client.get(CUSTOMERS, params={"tag": other}).json()["items"]
        assert customer not in {one["id"] for one in found}


def test_one_person_of_two_contacts_stands_for_both_and_comes_apart_again(
    service: Service,
) -> None:
    one, one_sender = written(service)
    other, other_sender = written(service, words="修一张图多少钱")
    did(service, one, "tags", add=["甲的"])
    did(service, other, "tags", add=["乙的"])
    for _ in range(3):
        did(service, other, "feedback", key=uuid.uuid4().hex, rating=5)
    merge = did(service, one, "merge", other=other)
    whole = got(service, other)
    assert whole["id"] == one
    assert {row["contact_id"] for row in whole["contacts"]} == {
        f"api:tests:{one_sender}",
        f"api:tests:{other_sender}",
    }
    assert (whole["state"], whole["level"], whole["tags"]) == (
        "potential",
        "white",
        ["乙的", "甲的"],
    )
    assert len(whole["talks"]) == 2
    # Whoever writes, writes as the whole person.
    service.ask("在吗", message_id=uuid.uuid4().hex, chat_id=other_sender)
    assert got(service, one)["standing"]["messages"] == 3
    did(service, one, "unmerge", merge=merge["id"])
    alone, apart = got(service, one), got(service, other)
    assert (alone["state"], alone["level"], alone["tags"]) == ("new", "gray", ["甲的"])
    assert (apart["state"], apart["level"], apart["tags"]) == ("potential", "white", ["乙的"])
    assert (alone["standing"]["messages"], apart["standing"]["messages"]) == (1, 2)
    assert refusal_of(service, one, "unmerge", {"merge": merge["id"]}) == 409


def test_two_who_are_one_already_cannot_be_merged(service: Service) -> None:
    one, _ = written(service)
    other, _ = written(service)
    did(service, one, "merge", other=other)
    assert refusal_of(service, one, "merge", {"other": other}) == 409
    assert refusal_of(service, one, "merge", {"other": one}) == 409


def refusal_of(service: Service, customer: int, what: str, body: dict[str, Any]) -> int:
    response = service.client.post(f"{CUSTOMERS}/{customer}/{what}", json=body)
    refusal(response)
    return response.status_code


def test_an_export_is_one_document_of_all_that_is_the_persons(service: Service) -> None:
    customer, sender = written(service, words="我的暗号是海豚二十七")
    other, _ = written(service, words="别人的话")
    did(service, customer, "deals", key=uuid.uuid4().hex, amount=12)
    response = service.client.get(f"{CUSTOMERS}/{customer}/export")
    document = json.loads(response.content)
    assert document["contacts"] == [f"api:tests:{sender}"]
    assert [row["content"] for row in document["messages"] if row["role"] == "user"] == [
        "我的暗号是海豚二十七"
    ]
    assert [row["amount"] for row in document["deals"]] == [1200]
    assert document["customers"][0]["name"] == sender
    assert "sealed:" not in response.text
    assert "别人的话" not in response.text
    assert got(service, other)["id"] == other


def test_who_is_erased_is_in_no_table_and_may_come_anew(service: Service) -> None:
    customer, sender = written(service, words="我的暗号是鲸鱼三十一，修一张图多少钱")
    did(service, customer, "tags", add=["要忘记的"])
    service.client.patch(f"{CUSTOMERS}/{customer}", json={"phone": "19900000031"})
    contact = got(service, customer)["contact_id"]
    assert refusal_of(service, customer, "erase", {"contact_id": "web:a:b"}) == 409
    done = did(service, customer, "erase", contact_id=contact)
    assert done["rows"]["messages"] == 2
    with service.kefu.engine.database.engine.connect() as connection:
        found = found_in(connection, [sender, contact, "鲸鱼三十一", "19900000031"])
    assert found == set()
    refusal(service.client.get(f"{CUSTOMERS}/{customer}"))
    again, _ = written(service, name=sender)
    found_again = got(service, again)
    assert (found_again["standing"]["messages"], found_again["tags"]) == (1, [])


def test_every_act_is_in_the_audit_log_without_the_customers_values(service: Service) -> None:
    customer, _ = written(service)
    service.client.patch(f"{CUSTOMERS}/{customer}", json={"address": "只有我知道的路 9 号"})
    did(service, customer, "tags", add=["x"])
    service.client.get(f"{CUSTOMERS}/{customer}/export")
    contact = got(service, customer)["contact_id"]
    with service.kefu.engine.database.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT action, detail FROM audit WHERE subject = :contact ORDER BY id"),
            {"contact": contact},
        ).all()
    assert [row[0] for row in rows] == ["customer.change", "customer.tag", "customer.export"]
    assert json.loads(rows[0][1]) == {"changed": ["address"]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/999999999", None),
        ("PATCH", "/999999999", {"remark": "x"}),
        ("POST", "/999999999/tags", {"add": ["x"]}),
        ("GET", "/999999999/export", None),
        ("POST", "/999999999/erase", {"contact_id": "a:b:c"}),
    ],
)
def test_whom_nobody_knows_is_not_found(
    service: Service, method: str, path: str, body: dict[str, Any] | None
) -> None:
    response = service.client.request(method, CUSTOMERS + path, json=body)
    assert response.status_code == 404
    refusal(response)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("tags", {}),
        ("tags", {"add": ["a"], "remove": ["a"]}),
        ("deals", {"key": "a", "amount": -1}),
        ("deals", {"key": "a", "amount": 1.001}),
        ("feedback", {"key": "a", "rating": 6}),
        ("merge", {"other": 0}),
    ],
)
def test_what_makes_no_sense_is_refused(service: Service, what: str, body: dict[str, Any]) -> None:
    customer, _ = written(service)
    assert refusal_of(service, customer, what, body) == 422


def test_a_deal_of_one_customer_cannot_become_anothers(service: Service) -> None:
    one, _ = written(service)
    other, _ = written(service)
    key = uuid.uuid4().hex
    did(service, one, "deals", key=key, amount=5)
    assert refusal_of(service, other, "deals", {"key": key, "amount": 5}) == 409


def test_a_cursor_that_is_none_of_ours_is_refused(service: Service) -> None:
    response = service.client.get(CUSTOMERS, params={"cursor": "Zm9v"})
    assert response.status_code == 422
    refusal(response)
