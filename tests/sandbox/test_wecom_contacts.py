"""The simulated WeCom knows members' customers as WeCom does (reference wecom.md, section 4)."""

from typing import Any

import pytest

from tests.sandbox.wecom import CORP, PNG, Wecom, listening
from tests.sandbox_server import JsonObject, SandboxServer

ROOT = "externalcontact/"


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


def add(wecom: Wecom, **fields: Any) -> JsonObject:
    return wecom.play("friends", {"userid": "lisi", "customer": "wmA"} | fields)


def welcome(wecom: Wecom, code: str, text: str = "您好", /, **fields: Any) -> int:
    body = {"welcome_code": code, "text": {"content": text}} | fields
    return int(wecom.post(ROOT + "send_welcome_msg", body)["errcode"])


def test_a_new_friend_is_welcomed_once_within_twenty_seconds(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        add(wecom, state="shop_1", name="小王")
        (event,) = service.wait_for(1)
    told = event.fields
    assert (told["Event"], told["ChangeType"]) == (
        "change_external_contact",
        "add_external_contact",
    )
    assert (told["ToUserName"], told["FromUserName"]) == (CORP, "sys")
    assert (told["UserID"], told["ExternalUserID"], told["State"]) == ("lisi", "wmA", "shop_1")
    code = told["WelcomeCode"]
    assert welcome(wecom, code, "") == 44004
    assert welcome(wecom, code, "字" * 1_334) == 45002
    assert welcome(wecom, code) == 0
    assert welcome(wecom, code) == 41051
    assert welcome(wecom, "made up") == 41050
    assert [seen["text"] for seen in wecom.chat("contact/lisi/wmA")] == ["您好"]
    (friend,) = wecom.sandbox.get("/_sandbox/wecom/friends")["friends"]
    assert friend["welcomed_after_s"] < 20
    assert [one["rule"] for one in wecom.refused("welcome")] == ["welcome", "welcome"]


def test_a_code_ends_after_twenty_seconds_or_when_the_chat_has_begun(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        add(wecom)
        add(wecom, customer="wmB")
        codes = {one.fields["ExternalUserID"]: one.fields for one in service.wait_for(2)}
        wecom.play("friends/say", {"userid": "lisi", "customer": "wmB", "text": "在吗"})
        assert welcome(wecom, codes["wmB"]["WelcomeCode"]) == 41051
        wecom.pass_time(21)
        assert welcome(wecom, codes["wmA"]["WelcomeCode"]) == 41050


def test_another_app_may_be_quicker(wecom: Wecom) -> None:
    wecom.set("friends/settings", in_use=1, greeters=["wangwu"])
    with listening(wecom.sandbox) as service:
        add(wecom, userid="wangwu")
        add(wecom)
        without, with_code = sorted(service.wait_for(2), key=lambda one: "lisi" in str(one.fields))
    assert "WelcomeCode" not in without.fields, "that member welcomes in a way of their own"
    codes = [welcome(wecom, with_code.fields["WelcomeCode"]) for _ in range(3)]
    assert codes == [41096, 0, 41051]


def test_half_and_whole_may_both_be_told_and_lead_to_one_welcome(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        add(wecom, events="both")
        heard = {one.fields["ChangeType"]: one.fields for one in service.wait_for(2)}
        assert set(heard) == {"add_half_external_contact", "add_external_contact"}
        codes = [welcome(wecom, fields["WelcomeCode"]) for fields in heard.values()]
        assert codes == [0, 41051]
        add(wecom, customer="wmB", events="half")
        half = service.wait_for(3)[2].fields
        assert welcome(wecom, half["WelcomeCode"]) == 0
        wecom.play("friends/confirm", {"userid": "lisi", "customer": "wmB"})
        assert "WelcomeCode" not in service.wait_for(4)[3].fields, "its code was used already"


def test_attachments_are_of_known_kinds(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        add(wecom)
        code = service.wait_for(1)[0].fields["WelcomeCode"]
    link = {"msgtype": "link", "link": {"title": "店", "url": "https://example.com"}}
    assert welcome(wecom, code, attachments=[link] * 10) == 40058
    assert welcome(wecom, code, attachments=[{"msgtype": "song", "song": {}}]) == 40008
    assert welcome(wecom, code, attachments=[{"msgtype": "image", "image": {}}]) == 40007
    media_id = wecom.upload("image", "a.png", PNG)["media_id"]
    picture = {"msgtype": "image", "image": {"media_id": media_id}}
    assert welcome(wecom, code, attachments=[link, picture]) == 0
    kinds = [seen["msgtype"] for seen in wecom.chat("contact/lisi/wmA")]
    assert kinds == ["text", "link", "image"]


def test_a_contact_way_decides_whether_somebody_must_accept(wecom: Wecom) -> None:
    def way(**fields: Any) -> JsonObject:
        body = {"type": 1, "scene": 2, "user": ["lisi"], "state": "poster", **fields}
        return wecom.post(ROOT + "add_contact_way", body)

    open_, closed = way(), way(skip_verify=False)
    assert open_["qr_code"]
    assert way(user=["a", "b"])["errcode"] == 40058
    assert way(state="x" * 31)["errcode"] == 40058
    scanned = wecom.play("friends", {"customer": "wmA", "config_id": open_["config_id"]})
    assert (scanned["userid"], scanned["state"]) == ("lisi", "poster")
    asked = wecom.play("friends", {"customer": "wmB", "config_id": closed["config_id"]})
    assert asked["asked"] is True
    assert [one["customer"] for one in friends(wecom)] == ["wmA"]
    wecom.play("friends/accept", {"userid": "lisi", "customer": "wmB"})
    assert [one["customer"] for one in friends(wecom)] == ["wmA", "wmB"]
    shown = wecom.post(ROOT + "get_contact_way", {"config_id": closed["config_id"]})
    assert shown["contact_way"]["skip_verify"] is False
    change = {"config_id": closed["config_id"], "skip_verify": True}
    assert wecom.post(ROOT + "update_contact_way", change)["errcode"] == 0
    shown = wecom.post(ROOT + "get_contact_way", {"config_id": closed["config_id"]})
    assert (shown["contact_way"]["skip_verify"], shown["contact_way"]["state"]) == (True, "poster")
    wecom.post(ROOT + "del_contact_way", {"config_id": open_["config_id"]})
    listed = wecom.post(ROOT + "list_contact_way", {})
    assert listed["contact_way"] == [{"config_id": closed["config_id"]}]


def friends(wecom: Wecom) -> list[JsonObject]:
    return list(wecom.sandbox.get("/_sandbox/wecom/friends")["friends"])


def test_tags_are_made_given_and_taken(wecom: Wecom) -> None:
    add(wecom)
    body = {"group_name": "来源", "tag": [{"name": "小店"}, {"name": "海报"}]}
    made = wecom.post(ROOT + "add_corp_tag", body)["tag_group"]
    shop, poster = [tag["id"] for tag in made["tag"]]
    assert wecom.post(ROOT + "add_corp_tag", body)["errcode"] == 40071
    more = {"group_name": "来源", "tag": [{"name": "小店"}, {"name": "朋友"}]}
    joined = wecom.post(ROOT + "add_corp_tag", more)["tag_group"]
    assert joined["group_id"] == made["group_id"]
    assert [tag["name"] for tag in joined["tag"]] == ["朋友"]

    def mark(**fields: Any) -> int:
        pair = {"userid": "lisi", "external_userid": "wmA"}
        return int(wecom.post(ROOT + "mark_tag", pair | fields)["errcode"])

    assert mark() == 40058
    assert mark(add_tag=["et_none"]) == 40068
    assert mark(add_tag=[shop], userid="wangwu") == 84061
    assert mark(add_tag=[shop], external_userid="wmX") == 40096
    assert mark(add_tag=[shop, poster]) == 0
    assert mark(remove_tag=[poster]) == 0
    found = wecom.get(ROOT + "get", external_userid="wmA")["follow_user"][0]
    assert found["tags"] == [{"group_name": "来源", "tag_name": "小店", "tag_id": shop, "type": 1}]
    wecom.post(ROOT + "edit_corp_tag", {"id": shop, "name": "门店"})
    listed = wecom.post(ROOT + "get_corp_tag_list", {"tag_id": [shop]})["tag_group"]
    assert [tag["name"] for tag in listed[0]["tag"]] == ["门店"]
    wecom.post(ROOT + "del_corp_tag", {"tag_id": [shop]})
    assert wecom.get(ROOT + "get", external_userid="wmA")["follow_user"][0]["tags"] == []


def test_what_is_noted_about_a_customer_is_kept(wecom: Wecom) -> None:
    add(wecom, name="小王", add_way=16)
    pair = {"userid": "lisi", "external_userid": "wmA"}
    assert wecom.post(ROOT + "remark", pair)["errcode"] == 40058
    assert wecom.post(ROOT + "remark", pair | {"remark": "字" * 21})["errcode"] == 40058
    note = pair | {"remark": "老客户", "remark_mobiles": ["13800000000"]}
    assert wecom.post(ROOT + "remark", note)["errcode"] == 0
    found = wecom.get(ROOT + "get", external_userid="wmA")
    assert found["external_contact"]["name"] == "小王"
    follow = found["follow_user"][0]
    assert (follow["remark"], follow["remark_mobiles"]) == ("老客户", ["13800000000"])
    assert follow["add_way"] == 16
    assert wecom.post(ROOT + "remark", pair | {"remark_mobiles": [""]})["errcode"] == 0
    (listed,) = wecom.post(ROOT + "batch/get_by_user", {"userid_list": ["lisi"]})[
        "external_contact_list"
    ]
    assert (listed["follow_info"]["remark_mobiles"], listed["follow_info"]["tag_id"]) == ([], [])
    assert wecom.get(ROOT + "list", userid="lisi")["external_userid"] == ["wmA"]
    assert wecom.get(ROOT + "get_follow_user_list")["follow_user"] == ["lisi"]
    assert wecom.get(ROOT + "get", external_userid="wmX")["errcode"] == 40096


def test_friends_part_and_the_service_hears_who_left(wecom: Wecom) -> None:
    add(wecom)
    add(wecom, customer="wmB")
    with listening(wecom.sandbox) as service:
        wecom.play("friends/end", {"userid": "lisi", "customer": "wmA"})
        assert service.wait_for(1)[0].fields["ChangeType"] == "del_follow_user"
        wecom.play("friends/end", {"userid": "lisi", "customer": "wmB", "by": "member"})
        assert service.wait_for(2)[1].fields["ChangeType"] == "del_external_contact"
    assert friends(wecom) == []


def test_edits_consent_and_transfers_that_fail_are_told(wecom: Wecom) -> None:
    pair = {"userid": "lisi", "customer": "wmA"}
    with listening(wecom.sandbox) as service:
        wecom.set("friends/settings", greeters=["lisi"])
        add(wecom)
        wecom.play("friends/edit", pair | {"remark": "王总"})
        wecom.play("friends/agree", pair)
        code = next(
            one.fields["WelcomeCode"] for one in service.wait_for(3) if "WelcomeCode" in one.fields
        )
        assert [welcome(wecom, code) for _ in range(2)] == [0, 41051]
        wecom.play("friends/transfer", pair | {"reason": "customer_limit_exceed"})
        wecom.play("friends/end", pair | {"transferred": True})
        told = {one.fields["ChangeType"]: one.fields for one in service.wait_for(5)}
    assert told["msg_audit_approved"]["WelcomeCode"] == code
    assert told["transfer_fail"]["FailReason"] == "customer_limit_exceed"
    assert told["del_external_contact"]["Source"] == "DELETE_BY_TRANSFER"
