"""Customers add members at the simulated WeCom; the service welcomes, marks and records them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.service import Service
from tests.api.wecom.test_callback import pending, serving, until
from tests.sandbox.wecom import Wecom
from tests.sandbox_server import JsonObject, SandboxServer

PRINTED = """👋 欢迎来到青简!

我是智能客服小助手,可以帮您:
• 查询订单状态
• 解答常见问题
• 处理售后问题

如有复杂问题,我会转接人工客服为您服务。"""


@pytest.fixture
def served(sandbox_server: SandboxServer, tmp_path: Path) -> Iterator[tuple[Service, Wecom]]:
    with serving(sandbox_server, tmp_path, None, wecom_welcome_name="青简") as found:
        yield found


def settled(service: Service, wecom: Wecom) -> None:
    until(lambda: wecom.sandbox.get("/_sandbox/wecom/callbacks")["pending"] == 0)
    until(lambda: not pending(service))


def add(wecom: Wecom, customer: str = "wmA", **fields: Any) -> None:
    wecom.play("friends", {"userid": "lisi", "customer": customer, "name": "王女士", **fields})


def friend(wecom: Wecom, customer: str = "wmA") -> JsonObject:
    friends = wecom.sandbox.get("/_sandbox/wecom/friends")["friends"]
    found: JsonObject = next(one for one in friends if one["customer"] == customer)
    return found


def rows(service: Service, query: str) -> list[tuple[Any, ...]]:
    with service.kefu.engine.database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def welcomes(wecom: Wecom, customer: str = "wmA") -> list[str]:
    return [
        one["text"] for one in wecom.chat(f"contact/lisi/{customer}") if one["who"] == "welcome"
    ]


def tag_names(wecom: Wecom, customer: str = "wmA") -> list[str]:
    got = wecom.get("externalcontact/get", external_userid=customer)
    return [tag["tag_name"] for tag in got["follow_user"][0]["tags"]]


def test_who_adds_a_member_is_welcomed_as_printed_marked_and_recorded_with_the_source(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    add(wecom, state="门店二维码", add_way=1)
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    found = friend(wecom)
    assert found["welcomed_after_s"] < 20
    assert found["description"] == "来源：扫码，渠道：门店二维码"
    assert tag_names(wecom) == ["新客户"]
    ((contact, name, remark),) = rows(service, "SELECT contact_id, name, remark FROM customers")
    assert (contact, remark) == ("wecom:lisi:wmA", "来源：扫码，渠道：门店二维码")
    assert service.kefu.engine.database.keys.unseal(name) == "王女士"
    tags = {tag for (tag,) in rows(service, "SELECT tag FROM customer_tags")}
    assert tags == {"新客户", "来源：扫码", "渠道：门店二维码"}
    audited = rows(service, "SELECT action, subject, detail FROM audit WHERE actor = 'wecom'")
    assert [(one[0], one[1]) for one in audited] == [
        ("contact.add_external_contact", "wecom:lisi:wmA")
    ]
    assert json.loads(audited[0][2])["state"] == "门店二维码"


def test_half_and_whole_both_told_and_repeated_make_one_welcome(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    wecom.set("callback", copies_rate=1.0)
    add(wecom, events="both")
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    assert tag_names(wecom) == ["新客户"]
    assert rows(service, "SELECT count(*) FROM outbox WHERE status != 'delivered'") == [(0,)]
    assert len(rows(service, "SELECT 1 FROM audit WHERE actor = 'wecom'")) == 2


def test_a_welcome_that_another_app_holds_is_tried_again_while_its_code_lives(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    wecom.set("friends/settings", in_use=2)
    add(wecom)
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    assert friend(wecom)["welcomed_after_s"] < 20
    assert [one["errcode"] for one in wecom.refused("welcome")] == [41096, 41096]


@pytest.mark.parametrize("errcode", [41050, 41051])
def test_a_code_that_is_spent_or_too_old_is_tried_once(
    served: tuple[Service, Wecom], errcode: int
) -> None:
    service, wecom = served
    kind = "externalcontact/send_welcome_msg"
    wecom.play("errcode", {"errcode": errcode, "request_kind": kind})
    add(wecom)
    settled(service, wecom)
    calls = wecom.sandbox.get("/_sandbox/journal", peer="wecom")
    asked = [one for one in calls["entries"] if one["kind"] == kind]
    assert len(asked) == 1
    assert not welcomes(wecom)
    assert tag_names(wecom) == ["新客户"], "the rest does not depend on it"


def test_members_who_welcome_in_their_own_way_are_left_to_it(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    wecom.set("friends/settings", greeters=["lisi"])
    add(wecom)
    settled(service, wecom)
    assert not welcomes(wecom)
    assert not wecom.refused("welcome")
    assert tag_names(wecom) == ["新客户"]


def test_a_tag_that_exists_is_used_and_a_note_of_the_member_stays(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    made = wecom.post(
        "externalcontact/add_corp_tag", {"group_name": "客户阶段", "tag": [{"name": "新客户"}]}
    )
    add(wecom)
    settled(service, wecom)
    assert friend(wecom)["tags"] == [made["tag_group"]["tag"][0]["id"]]
    wecom.post(
        "externalcontact/remark",
        {"userid": "lisi", "external_userid": "wmA", "description": "老板的朋友"},
    )
    wecom.play("friends/confirm", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    assert friend(wecom)["description"] == "老板的朋友"


def test_a_tag_that_somebody_removed_is_made_again(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    wecom.post("externalcontact/del_corp_tag", {"tag_id": friend(wecom)["tags"]})
    add(wecom, "wmB")
    settled(service, wecom)
    assert tag_names(wecom, "wmB") == ["新客户"]


@pytest.mark.parametrize(
    ("by", "tag"), [("member", "成员已删除该客户"), ("customer", "客户已删除成员")]
)
def test_the_end_of_a_friendship_is_recorded_until_they_come_back(
    served: tuple[Service, Wecom], by: str, tag: str
) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    wecom.play("friends/end", {"userid": "lisi", "customer": "wmA", "by": by})
    settled(service, wecom)
    assert (tag,) in rows(service, "SELECT tag FROM customer_tags")
    add(wecom)
    settled(service, wecom)
    assert (tag,) not in rows(service, "SELECT tag FROM customer_tags")


def test_two_events_that_bring_a_code_each_make_one_welcome(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    add(wecom, events="both")
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    assert not wecom.refused("welcome"), "the platform is not asked a second time"


def test_consent_brings_the_code_where_adding_brought_none(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    wecom.set("friends/settings", greeters=["lisi"])
    add(wecom)
    settled(service, wecom)
    assert not welcomes(wecom)
    wecom.play("friends/agree", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    wecom.play("friends/agree", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]
    agreed = "SELECT count(*) FROM audit WHERE action = 'contact.msg_audit_approved'"
    assert rows(service, agreed) == [(2,)]


def test_a_code_that_came_too_late_leaves_the_next_one_to_be_used(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    kind = "externalcontact/send_welcome_msg"
    wecom.play("errcode", {"errcode": 41050, "request_kind": kind, "count": 1})
    add(wecom)
    settled(service, wecom)
    assert not welcomes(wecom)
    wecom.play("friends/agree", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED]


def test_who_comes_back_after_the_end_is_welcomed_again(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    wecom.play("friends/end", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    add(wecom)
    settled(service, wecom)
    assert welcomes(wecom) == [PRINTED, PRINTED]


def test_what_a_member_edits_is_kept_here_too(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    add(wecom, state="门店")
    settled(service, wecom)
    body = {"group_name": "等级", "tag": [{"name": "老客户"}, {"name": "重要"}]}
    made = wecom.post("externalcontact/add_corp_tag", body)["tag_group"]["tag"]
    old, important = (one["id"] for one in made)
    pair = {"userid": "lisi", "customer": "wmA"}
    wecom.play("friends/edit", pair | {"remark": "王总", "tags": [old, important]})
    settled(service, wecom)
    assert known(service) == ("王总，来源：扫码，渠道：门店", {"老客户", "重要"})
    wecom.play("friends/edit", pair | {"remark": "王总助理", "tags": [important]})
    settled(service, wecom)
    assert known(service) == ("王总助理，来源：扫码，渠道：门店", {"重要"})
    assert len(welcomes(wecom)) == 1
    assert friend(wecom)["tags"] == [important], "nothing is marked there again"


def known(service: Service) -> tuple[str, set[str]]:
    """Remark and tags of the one customer, but for where they came from."""
    ((remark,),) = rows(service, "SELECT remark FROM customers")
    tags = {tag for (tag,) in rows(service, "SELECT tag FROM customer_tags")}
    return remark, {tag for tag in tags if not tag.startswith(("来源", "渠道"))}


def test_what_an_operator_has_noted_here_outlives_a_member_s_edits(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    with service.kefu.engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE customers SET remark = '我们自己写的'"))
        query = (
            "INSERT INTO customer_tags SELECT contact_id, '我们的标签', 'desk', '' FROM customers"
        )
        connection.execute(text(query))
    wecom.play("friends/edit", {"userid": "lisi", "customer": "wmA", "remark": "王总", "tags": []})
    settled(service, wecom)
    assert known(service) == ("我们自己写的", {"我们的标签"})


def test_an_edit_of_who_is_no_contact_any_more_is_settled(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    wecom.play("friends/edit", {"userid": "lisi", "customer": "wmA", "remark": "王总"})
    wecom.play("friends/end", {"userid": "lisi", "customer": "wmA"})
    settled(service, wecom)
    assert rows(service, "SELECT count(*) FROM outbox WHERE status = 'pending'") == [(0,)]


@pytest.mark.parametrize(
    ("reason", "tag"),
    [
        ("customer_refused", "接替失败：客户拒绝"),
        ("customer_limit_exceed", "接替失败：成员的客户数已达上限"),
    ],
)
def test_a_transfer_that_fails_is_recorded_until_they_are_contacts(
    served: tuple[Service, Wecom], reason: str, tag: str
) -> None:
    service, wecom = served
    wecom.play("friends/transfer", {"userid": "lisi", "customer": "wmA", "reason": reason})
    settled(service, wecom)
    assert rows(service, "SELECT tag FROM customer_tags") == [(tag,)]
    ((detail,),) = rows(service, "SELECT detail FROM audit WHERE action = 'contact.transfer_fail'")
    assert json.loads(detail)["reason"] == reason
    add(wecom)
    settled(service, wecom)
    assert (tag,) not in rows(service, "SELECT tag FROM customer_tags")


def test_a_customer_who_was_passed_on_is_not_called_deleted(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    add(wecom)
    settled(service, wecom)
    wecom.play("friends/end", {"userid": "lisi", "customer": "wmA", "transferred": True})
    settled(service, wecom)
    tags = rows(service, "SELECT tag FROM customer_tags")
    assert ("客户已转给其他成员",) in tags
    assert ("成员已删除该客户",) not in tags
