"""The simulated customer service of WeCom keeps WeCom's rules (reference wecom.md, section 3)."""

from typing import Any

import pytest

from tests.sandbox.wecom import KF, PNG, Wecom
from tests.sandbox_server import SandboxServer

DAY = 86_400


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


def test_messages_are_read_once_each_from_the_cursor_on(wecom: Wecom) -> None:
    said = [wecom.say("wmA", f"第{number}条") for number in range(5)]
    page = wecom.pull(limit=3)
    assert [one["msgid"] for one in page["msg_list"]] == said[:3]
    assert page["has_more"] == 1
    rest = wecom.pull(page["next_cursor"], limit=3)
    assert [one["text"]["content"] for one in rest["msg_list"]] == ["第3条", "第4条"]
    assert rest["has_more"] == 0
    assert wecom.pull(rest["next_cursor"])["msg_list"] == []
    first = page["msg_list"][0]
    assert (first["origin"], first["msgtype"], first["open_kfid"]) == (3, "text", KF)
    assert first["external_userid"] == "wmA"


def test_a_cursor_is_opaque_and_of_one_account(wecom: Wecom) -> None:
    wecom.play("kf/accounts", {"open_kfid": "wkOther"})
    wecom.say("wmA")
    wecom.say("wmB", open_kfid="wkOther")
    page = wecom.pull()
    assert [one["external_userid"] for one in page["msg_list"]] == ["wmA"]
    assert wecom.pull()["next_cursor"] != page["next_cursor"]
    assert len(page["next_cursor"]) <= 64
    assert wecom.pull(page["next_cursor"], open_kfid="wkOther")["errcode"] == 40058
    assert wecom.pull("made up")["errcode"] == 40058
    both, _ = wecom.pull_all(open_kfid="")
    assert [one["external_userid"] for one in both] == ["wmA", "wmB"]


def test_what_is_older_than_three_days_is_gone(wecom: Wecom) -> None:
    wecom.say("wmA", "旧", sent_ago_s=3 * DAY + 1)
    wecom.say("wmA", "新", sent_ago_s=3 * DAY - 60)
    found, _ = wecom.pull_all()
    assert [one["text"]["content"] for one in found] == ["新"]
    wecom.pass_time(120)
    assert wecom.pull_all()[0] == []


def test_pages_may_be_empty_short_or_repeat_but_nothing_is_lost(wecom: Wecom) -> None:
    burst = wecom.play("burst", {"customers": 7, "messages": 300})["messages"]
    said = [one["msgid"] for one in burst]
    wecom.set("kf/settings", page=4, empty_rate=0.4, short_rate=0.5, repeat_rate=0.5, tokenless=0)
    found, _ = wecom.pull_all()
    ids = [one["msgid"] for one in found]
    assert list(dict.fromkeys(ids)) == said
    assert len(ids) > 300, "some were there twice"
    account = wecom.sandbox.get("/_sandbox/wecom/report")["kf"]["accounts"][0]
    assert account["pulls"] > 75, "some pages were shorter"
    assert account["empty_pulls"] > 0


def test_pulling_without_a_token_is_limited(wecom: Wecom) -> None:
    wecom.set("kf/settings", tokenless=2)
    assert [wecom.pull()["errcode"] for _ in range(3)] == [0, 0, 45009]
    wecom.pass_time(61)
    assert wecom.pull()["errcode"] == 0
    assert wecom.pull(token="ENCmadeup")["errcode"] == 95007


def test_the_sixth_answer_to_one_message_is_refused_until_the_customer_writes(
    wecom: Wecom,
) -> None:
    wecom.say("wmA")
    assert [wecom.send("wmA") for _ in range(6)] == [0] * 5 + [95001]
    wecom.say("wmA", "还有")
    assert wecom.send("wmA") == 0
    assert [one["rule"] for one in wecom.refused("quota")] == ["quota"]
    report = wecom.sandbox.get("/_sandbox/wecom/report")
    assert (report["kf"]["most_sent"], report["refused"]) == (5, {"quota": 1})


def test_after_two_days_nothing_can_be_sent(wecom: Wecom) -> None:
    wecom.say("wmA")
    wecom.pass_time(2 * DAY - 5)
    assert wecom.send("wmA") == 0
    wecom.pass_time(10)
    assert wecom.send("wmA") == 95002
    wecom.pass_time(2 * DAY)
    assert (wecom.state("wmA"), wecom.send("wmA")) == (4, 95018)
    wecom.say("wmA")
    assert (wecom.state("wmA"), wecom.send("wmA")) == (0, 0)


def test_answers_to_nobody_are_refused(wecom: Wecom) -> None:
    assert wecom.send("wmNobody") == 40096
    wecom.say("wmA")
    assert wecom.send("wmA", open_kfid="wkNone") == 95004
    assert wecom.send("wmA", open_kfid="") == 95000
    assert [one["rule"] for one in wecom.refused()] == ["nobody"] * 3


def test_a_message_id_can_be_used_once(wecom: Wecom) -> None:
    theirs = wecom.say("wmA")
    assert wecom.send("wmA", msgid=theirs) == 40058
    assert wecom.send("wmA", msgid="a" * 32) == 0
    assert wecom.send("wmA", msgid="a" * 32) == 40058
    assert wecom.send("wmA", "别的", msgid="a" * 32) == 40058
    assert wecom.send("wmA", msgid="a" * 33) == 40058
    assert wecom.send("wmA", msgid="不行") == 40058
    assert [one["rule"] for one in wecom.refused()] == ["msgid", "again"] + ["msgid"] * 3
    wecom.set("kf/settings", repeated_msgid=0)
    assert wecom.send("wmA", msgid="a" * 32) == 0
    assert wecom.send("wmA", "别的", msgid="a" * 32) == 40058
    assert wecom.texts("wmA") == ["在吗", "在的"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"text": {"content": "字" * 682}}, 0),  # 2046 of 2048 bytes
        ({"text": {"content": "字" * 683}}, 45002),
        ({"text": {"content": " "}}, 44004),
        ({"text": "x"}, 40058),
        ({"msgtype": "poem", "poem": {}}, 40008),
        ({"msgtype": "image", "image": {"media_id": "none"}}, 40007),
        ({"msgtype": "location", "location": {"latitude": 31.2, "longitude": 121.4}}, 0),
        ({"msgtype": "location", "location": {"latitude": 91, "longitude": 0}}, 40058),
    ],
)
def test_what_customer_service_takes(wecom: Wecom, fields: dict[str, Any], code: int) -> None:
    wecom.say("wmA")
    assert wecom.send("wmA", **fields) == code
    assert len(wecom.texts("wmA")) == 1 + (code == 0)


def test_menus_have_ten_items_of_known_kinds(wecom: Wecom) -> None:
    wecom.say("wmA")

    def send(items: list[object]) -> int:
        return wecom.send("wmA", msgtype="msgmenu", msgmenu={"head_content": "选", "list": items})

    click = {"type": "click", "click": {"id": "101", "content": "满意"}}
    assert send([click]) == 0
    assert send([click] * 11) == 95008
    assert send([{"type": "jump", "jump": {}}]) == 95009
    assert send([{"type": "click", "click": {"id": "1", "content": ""}}]) == 95009
    assert wecom.texts("wmA")[-1] == "选\n· 满意\n"


def test_states_decide_who_may_write(wecom: Wecom) -> None:
    wecom.say("wmA")
    assert wecom.state("wmA") == 0
    assert wecom.become("wmA", 1)["errcode"] == 0
    assert wecom.send("wmA") == 0
    queued = wecom.become("wmA", 2)
    assert queued["msg_code"]
    assert wecom.send("wmA") == 95018
    assert wecom.become("wmA", 1)["errcode"] == 95016
    assert wecom.become("wmA", 3, "nobody")["errcode"] == 95014
    wecom.set("kf/servicer", servicer="zhangsan", receiving=False)
    assert wecom.become("wmA", 3, "zhangsan")["errcode"] == 95019
    wecom.set("kf/servicer", servicer="zhangsan", receiving=True)
    assert wecom.become("wmA", 3, "zhangsan")["errcode"] == 0
    found = wecom.post("kf/service_state/get", {"open_kfid": KF, "external_userid": "wmA"})
    assert (found["service_state"], found["servicer_userid"]) == (3, "zhangsan")
    assert wecom.become("wmA", 4)["msg_code"]
    assert wecom.become("wmA", 1)["errcode"] == 95016
    wecom.say("wmA")
    assert wecom.state("wmA") == 0


def test_nobody_waits_in_the_pool_of_an_account_that_nobody_serves(wecom: Wecom) -> None:
    wecom.say("wmA")
    wecom.play("kf/accounts", {"open_kfid": KF, "name": "客服", "servicers": {}})
    assert wecom.become("wmA", 2)["errcode"] == 95014
    assert wecom.send("wmA") == 0


def test_an_ended_session_may_not_be_ended_early_if_the_strict_table_holds(wecom: Wecom) -> None:
    wecom.say("wmA")
    wecom.become("wmA", 1)
    wecom.set("kf/rules", may_end_early=False)
    assert wecom.become("wmA", 4)["errcode"] == 95016
    wecom.set("kf/rules")
    assert wecom.become("wmA", 4)["errcode"] == 0


def test_a_welcome_is_said_once_within_twenty_seconds(wecom: Wecom) -> None:
    def welcome(code: str, **fields: object) -> int:
        text = {"code": code, "msgtype": "text", "text": {"content": "欢迎"}}
        return int(wecom.post("kf/send_msg_on_event", text | fields)["errcode"])

    entered = wecom.play("enter", {"customer": "wmA", "scene": "shop", "scene_param": "a=1"})
    event = entered["event"]
    assert (event["event_type"], event["scene"]) == ("enter_session", "shop")
    assert "external_userid" not in entered, "an event has its ids inside"
    assert welcome(event["welcome_code"], msgtype="image", image={"media_id": ""}) == 44004
    assert welcome(event["welcome_code"]) == 0
    assert welcome(event["welcome_code"]) == 41051
    assert welcome("made up") == 41050
    assert wecom.texts("wmA") == ["欢迎"]
    again = wecom.play("enter", {"customer": "wmA"})["event"]
    assert "welcome_code" not in again, "welcomed within the last two days"
    late = wecom.play("enter", {"customer": "wmB"})["event"]["welcome_code"]
    wecom.pass_time(21)
    assert welcome(late) == 41050
    wecom.say("wmC")
    assert "welcome_code" not in wecom.play("enter", {"customer": "wmC"})["event"]


def test_the_word_on_a_state_needs_that_state(wecom: Wecom) -> None:
    wecom.say("wmA")
    code = wecom.become("wmA", 2)["msg_code"]
    wecom.become("wmA", 3, "zhangsan")
    word = {"code": code, "msgtype": "text", "text": {"content": "排队中"}}
    assert wecom.post("kf/send_msg_on_event", word)["errcode"] == 95018
    wecom.say("wmB")
    word["code"] = wecom.become("wmB", 2)["msg_code"]
    assert wecom.post("kf/send_msg_on_event", word)["errcode"] == 0


def test_a_message_can_fail_after_it_was_accepted(wecom: Wecom) -> None:
    wecom.say("wmA")
    wecom.set("kf/settings", fail_rate=1, fail_type=10, fail_after_s=0.0)
    _, cursor = wecom.pull_all()
    assert wecom.send("wmA", msgid="mine") == 0
    wecom.set("kf/settings", fail_rate=0)
    (failed,) = wecom.pull_all(cursor)[0]
    assert failed["origin"] == 4
    assert failed["event"] == {
        "event_type": "msg_send_fail",
        "open_kfid": KF,
        "external_userid": "wmA",
        "fail_msgid": "mine",
        "fail_type": 10,
    }
    assert wecom.texts("wmA") == ["在吗"]


def test_customers_send_all_kinds_of_messages(wecom: Wecom) -> None:
    url = f"{wecom.sandbox.url}/_sandbox/wecom/media"
    media_id = wecom.sandbox.client.post(url, content=PNG).json()["media_id"]
    wecom.say("wmA", msgtype="image", media_id=media_id)
    wecom.say("wmA", msgtype="image")
    wecom.say("wmA", msgtype="location", content={"latitude": 31.2, "longitude": 121.4})
    wecom.say("wmA", "满意", menu_id="101")
    wecom.say("wmA", msgtype="hologram", content={"depth": 3})
    found, _ = wecom.pull_all()
    kinds = [one["msgtype"] for one in found]
    assert kinds == ["image", "image", "location", "text", "hologram"]
    assert found[0]["image"] == {"media_id": media_id}
    assert found[3]["text"] == {"content": "满意", "menu_id": "101"}
    assert found[4]["hologram"] == {"depth": 3}


def test_what_cannot_be_played_is_said_in_one_line(wecom: Wecom) -> None:
    def status(what: str, body: object) -> int:
        url = f"{wecom.sandbox.url}/_sandbox/wecom/{what}"
        return wecom.sandbox.client.post(url, json=body).status_code

    assert status("say", {"customer": "wmA", "msgtype": "image", "media_id": "none"}) == 404
    assert status("say", {"customer": "wmA", "msgtype": "voice"}) == 422
    assert status("say", {"customer": "wmA", "open_kfid": "wkNone"}) == 404
    assert status("say", {"customer": ""}) == 422
    assert status("friends", {"customer": "wmA", "config_id": "none"}) == 404
    assert status("friends/say", {"customer": "wmA", "text": "x"}) == 404
    assert status("media", None) == 422, "nothing is no file"


def test_a_picture_that_is_too_large_arrives_as_a_notice(wecom: Wecom) -> None:
    url = f"{wecom.sandbox.url}/_sandbox/wecom/media"
    media_id = wecom.sandbox.client.post(url, content=PNG + bytes(2 * 2**20)).json()["media_id"]
    wecom.say("wmA", msgtype="image", media_id=media_id)
    (found,) = wecom.pull_all()[0]
    assert (found["msgtype"], "过大" in found["text"]["content"]) == ("text", True)


def test_servicers_write_and_move_sessions_in_their_client(wecom: Wecom) -> None:
    wecom.say("wmA")
    _, cursor = wecom.pull_all()
    wecom.become("wmA", 2)
    wecom.play("session", {"customer": "wmA", "change_type": 1})
    wecom.say("wmA", "我来处理", servicer="zhangsan")
    wecom.play("session", {"customer": "wmA", "change_type": 3})
    taken, word, ended = wecom.pull_all(cursor)[0]
    assert taken["event"]["event_type"] == "session_status_change"
    assert taken["event"]["new_servicer_userid"] == "zhangsan"
    assert (word["origin"], word["servicer_userid"]) == (5, "zhangsan")
    assert (ended["event"]["change_type"], wecom.state("wmA")) == (3, 4)
    wecom.say("wmA", "还有一件事", servicer="lisi")
    assert wecom.pull_all(cursor)[0][-1]["event"]["change_type"] == 4
    assert wecom.state("wmA") == 3


def test_a_burst_is_numbered_per_customer(wecom: Wecom) -> None:
    body = {"customers": 3, "messages": 10, "text": "{customer} 问题 {number}", "shuffled": True}
    said = wecom.play("burst", body)["messages"]
    found, _ = wecom.pull_all()
    assert [one["msgid"] for one in found] == [one["msgid"] for one in said]
    first = [one["text"] for one in said if one["customer"] == "wmBurst0"]
    assert first == [f"wmBurst0 问题 {number}" for number in range(1, 5)]
    report = wecom.sandbox.get("/_sandbox/wecom/report")["kf"]
    assert (report["customers"], report["said"], report["sent"]) == (3, 10, 0)


def test_accounts_customers_and_servicers_are_listed(wecom: Wecom) -> None:
    wecom.play("kf/accounts", {"open_kfid": "wkOther", "name": "售后"})
    listed = wecom.post("kf/account/list", {"offset": 1, "limit": 10})["account_list"]
    assert [one["open_kfid"] for one in listed] == ["wkOther"]
    wecom.say("wmA", name="小王")
    wecom.play("enter", {"customer": "wmA", "scene": "shop"})
    body = {"external_userid_list": ["wmA", "wmX"], "need_enter_session_context": 1}
    found = wecom.post("kf/customer/batchget", body)
    (customer,) = found["customer_list"]
    assert customer["nickname"] == "小王"
    assert customer["enter_session_context"]["scene"] == "shop"
    assert found["invalid_external_userid"] == ["wmX"]
    wecom.post("kf/servicer/add", {"open_kfid": KF, "userid_list": ["lisi", "zhangsan"]})
    servicers = wecom.get("kf/servicer/list", open_kfid=KF)["servicer_list"]
    assert servicers == [{"userid": "zhangsan", "status": 0}, {"userid": "lisi", "status": 0}]
    wecom.post("kf/servicer/del", {"open_kfid": KF, "userid_list": ["lisi"]})
    assert len(wecom.get("kf/servicer/list", open_kfid=KF)["servicer_list"]) == 1
    way = wecom.post("kf/add_contact_way", {"open_kfid": KF, "scene": "shop_1"})
    assert KF in way["url"]
    assert wecom.post("kf/add_contact_way", {"open_kfid": KF, "scene": "店"})["errcode"] == 40058
