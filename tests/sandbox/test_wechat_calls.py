"""The simulated official account answers calls as WeChat does (wechat_official.md, 6-10)."""

import json
from collections.abc import Iterator

import pytest

from tests.sandbox.wechat import APPID, Listener, Wechat, listening
from tests.sandbox.wecom import PNG
from tests.sandbox_server import JsonObject, SandboxServer

DAY = 86_400
MP4 = b"\x00\x00\x00\x18ftypmp42 a film"


@pytest.fixture
def wechat(sandbox_server: SandboxServer) -> Wechat:
    return Wechat(sandbox_server)


@pytest.fixture
def service(wechat: Wechat) -> Iterator[Listener]:
    with listening(wechat.sandbox) as service:
        yield service


def code(wechat: Wechat) -> int:
    """Of a call that needs a token."""
    return int(wechat.get("getcallbackip").get("errcode", 0))


# Tokens ------------------------------------------------------------------------------------


def test_a_new_token_leaves_the_one_before_five_minutes(wechat: Wechat) -> None:
    before = wechat.token
    answer = wechat.classic()
    assert answer.keys() == {"access_token", "expires_in"}
    assert answer["access_token"] != before
    assert code(wechat) == 0
    wechat.pass_time(301)
    assert code(wechat) == 42001
    wechat.token = answer["access_token"]
    assert code(wechat) == 0


def test_the_stable_token_stays_until_five_minutes_before_its_end(wechat: Wechat) -> None:
    first = wechat.stable()
    assert wechat.stable()["access_token"] == first["access_token"]
    wechat.classic()
    wechat.pass_time(6_800)
    assert wechat.stable()["expires_in"] in range(395, 401)
    wechat.pass_time(150)
    second = wechat.stable()
    assert second["access_token"] != first["access_token"]
    for answer in (first, second):
        wechat.token = answer["access_token"]
        assert code(wechat) == 0, "both are good in between"


def test_a_forced_token_ends_the_one_before_and_is_rare(wechat: Wechat) -> None:
    wechat.token = wechat.stable()["access_token"]
    forced = wechat.stable(force_refresh=True)
    assert code(wechat) == 40001
    assert wechat.stable(force_refresh=True)["errcode"] == 45011
    wechat.token = forced["access_token"]
    assert code(wechat) == 0
    codes = []
    for _ in range(20):
        wechat.pass_time(31)
        codes.append(wechat.stable(force_refresh=True).get("errcode", 0))
    assert codes == [0] * 19 + [45009]


@pytest.mark.parametrize(
    ("what", "errcode"), [("expire", 42001), ("replace", 40001), ("forget", 40014)]
)
def test_tokens_end_early_in_three_ways(wechat: Wechat, what: str, errcode: int) -> None:
    wechat.sandbox.post(f"/_sandbox/wechat/tokens/{what}", {})
    assert code(wechat) == errcode
    wechat.token = wechat.stable()["access_token"]
    assert code(wechat) == 0


def test_only_the_account_gets_tokens_and_only_from_its_addresses(wechat: Wechat) -> None:
    wechat.set("tokens", appid=APPID, secret="right")
    assert wechat.classic(appid="wx1")["errcode"] == 40013
    assert wechat.classic()["errcode"] == 40125
    assert wechat.classic(grant_type="x")["errcode"] == 40002
    assert wechat.stable(secret="")["errcode"] == 41004
    assert "access_token" in wechat.stable(secret="right")
    wechat.set("tokens", blocked_ip="1.2.3.4")
    answer = wechat.stable(secret="right")
    assert answer["errcode"] == 40164
    assert "invalid ip 1.2.3.4" in answer["errmsg"]


def test_the_ticket_is_the_same_until_it_expires(wechat: Wechat) -> None:
    first = wechat.get("ticket/getticket", type="jsapi")
    assert (first["errcode"], wechat.get("ticket/getticket", type="jsapi")["ticket"]) == (
        0,
        first["ticket"],
    )
    wechat.pass_time(7_201)
    wechat.token = wechat.stable()["access_token"]
    assert wechat.get("ticket/getticket", type="jsapi")["ticket"] != first["ticket"]


# Messages ----------------------------------------------------------------------------------


def test_a_message_allows_five_answers_in_48_hours(wechat: Wechat, service: Listener) -> None:
    assert wechat.send("nobody") == 40003
    wechat.say("alice")
    assert [wechat.send("alice", str(n)) for n in range(6)] == [0] * 5 + [45047]
    wechat.say("alice")
    assert wechat.send("alice", "又一句") == 0
    wechat.pass_time(2 * DAY + 1)
    wechat.token = wechat.stable()["access_token"]
    assert wechat.send("alice") == 45015
    assert wechat.told("alice") == [
        ("custom", text) for text in ["0", "1", "2", "3", "4", "又一句"]
    ]
    assert wechat.refused() == [40003, 45047, 45015]


@pytest.mark.parametrize(
    ("what", "fields"), [("subscribe", {}), ("scan", {"scene": "a"}), ("click", {"key": "a"})]
)
def test_an_event_allows_three_answers_in_a_minute(
    wechat: Wechat, service: Listener, what: str, fields: JsonObject
) -> None:
    wechat.play(what, "alice", **fields)
    assert [wechat.send("alice") for _ in range(4)] == [0, 0, 0, 45047]
    wechat.play(what, "bob", **fields)
    wechat.pass_time(61)
    assert wechat.send("bob") == 45015


def test_who_left_or_is_blacklisted_gets_nothing(wechat: Wechat, service: Listener) -> None:
    wechat.say("alice")
    wechat.set("followers", openid="alice", is_blacklisted=True)
    assert wechat.send("alice") == 43019
    wechat.say("bob")
    wechat.play("unsubscribe", "bob")
    assert wechat.send("bob") == 45015


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"msgtype": "poem", "poem": {}}, 40008),
        ({"msgtype": "text"}, 47003),
        ({"msgtype": "text", "text": {"content": ""}}, 44004),
        ({"msgtype": "text", "text": {"content": "字" * 683}}, 45002),
        ({"msgtype": "image", "image": {"media_id": "none"}}, 40007),
        ({"msgtype": "news", "news": {"articles": [{"title": "a"}, {"title": "b"}]}}, 45008),
        ({"msgtype": "news", "news": {"articles": [{"title": "a", "url": "http://a"}]}}, 0),
        ({"msgtype": "msgmenu", "msgmenu": {"list": [{"id": "1", "content": "好"}]}}, 40200),
    ],
)
def test_what_can_be_sent(
    wechat: Wechat, service: Listener, body: JsonObject, errcode: int
) -> None:
    wechat.set("rules", menus=False)
    wechat.say("alice")
    assert wechat.post("message/custom/send", {"touser": "alice"} | body)["errcode"] == errcode


def test_json_of_escapes_is_refused_and_control_characters_are_not(
    wechat: Wechat, service: Listener
) -> None:
    wechat.say("alice")
    body = {"touser": "alice", "msgtype": "text", "text": {"content": "您好\x0b\\u4e00"}}
    escaped = json.dumps(body).encode()
    assert wechat.post_raw("message/custom/send", escaped)["errcode"] == 40033
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert wechat.post_raw("message/custom/send", raw)["errcode"] == 0
    assert wechat.told("alice") == [("custom", "您好\x0b\\u4e00")]


def test_an_account_without_certificate_sends_nothing(wechat: Wechat, service: Listener) -> None:
    wechat.set("rules", certified=False)
    wechat.say("alice")
    assert wechat.send("alice") == 48001


def test_typing_is_shown_to_whoever_has_just_written(wechat: Wechat, service: Listener) -> None:
    def typing(command: str) -> int:
        body = {"touser": "alice", "command": command}
        return int(wechat.post("message/custom/typing", body)["errcode"])

    wechat.say("alice")
    assert [typing(c) for c in ("Typing", "Typing", "CancelTyping", "Stop")] == [0, 45081, 0, 45072]
    wechat.pass_time(31)
    assert typing("Typing") == 45080


def test_a_template_message_tells_what_became_of_it(wechat: Wechat, service: Listener) -> None:
    body = {"touser": "alice", "template_id": "t1", "data": {"keyword1": {"value": "已发货"}}}
    wechat.set("followers", openid="alice")
    sent = wechat.post("message/template/send", body | {"client_msg_id": "m1"})
    assert sent["msgid"] > 2**53
    again = wechat.post("message/template/send", body | {"client_msg_id": "m1"})
    assert again["msgid"] == sent["msgid"]
    assert wechat.told("alice") == [("template", "已发货")]
    (heard,) = service.heard
    assert heard.fields["Event"] == "TEMPLATESENDJOBFINISH"
    assert (heard.fields["MsgID"], heard.fields["Status"]) == (str(sent["msgid"]), "success")


def test_template_messages_have_rules_of_their_own(wechat: Wechat, service: Listener) -> None:
    wechat.set("templates", known=["t1"])
    wechat.set("followers", openid="alice", user_blocks=True)
    data = {"data": {"keyword1": {"value": "已发货"}}}

    def send(openid: str, template: str, **fields: object) -> int:
        body = {"touser": openid, "template_id": template} | data | fields
        return int(wechat.post("message/template/send", body)["errcode"])

    assert [send("alice", "t2"), send("nobody", "t1")] == [40037, 40003]
    assert send("alice", "t1", data={}) == 47003
    assert send("alice", "t1") == 0
    assert wechat.told("alice") == []
    assert service.heard[-1].fields["Status"] == "failed:user block"
    wechat.play("unsubscribe", "alice")
    assert send("alice", "t1") == 43004


# Media and the rest ------------------------------------------------------------------------


def test_media_live_three_days_and_a_video_is_an_address(wechat: Wechat) -> None:
    kept = wechat.upload("image", "a.png", PNG)
    assert isinstance(kept["created_at"], int)
    assert wechat.fetch(kept["media_id"]).content == PNG
    film = wechat.upload("video", "a.mp4", MP4)["media_id"]
    url = wechat.fetch(film).json()["video_url"]
    assert wechat.sandbox.client.get(url).content == MP4
    assert wechat.upload("poem", "a.txt", b"a poem of")["errcode"] == 40004
    assert wechat.upload("image", "a.png", b"no picture")["errcode"] == 40004
    assert wechat.upload("thumb", "a.jpg", b"x" * 65_537)["errcode"] == 45001
    wechat.pass_time(3 * DAY)
    wechat.token = wechat.stable()["access_token"]
    gone = wechat.fetch(kept["media_id"])
    assert (gone.status_code, gone.json()["errcode"]) == (200, 40007)
    assert wechat.sandbox.client.get(url).status_code == 404


def test_users_and_addresses_are_told_without_an_errcode(wechat: Wechat, service: Listener) -> None:
    wechat.play("subscribe", "alice", scene="shop")
    user = wechat.get("user/info", openid="alice")
    assert (user["subscribe"], user["qr_scene_str"], "errcode" in user) == (1, "shop", False)
    assert wechat.get("user/info", openid="nobody")["errcode"] == 40003
    wechat.play("unsubscribe", "alice")
    assert wechat.get("user/info", openid="alice") == {"subscribe": 0, "openid": "alice"}
    assert wechat.get("getcallbackip") == {"ip_list": ["127.0.0.1"]}


def test_an_ordered_code_is_answered_to_one_call(wechat: Wechat, service: Listener) -> None:
    wechat.say("alice")
    order = {"errcode": -1, "request_kind": "message/custom/send", "count": 1}
    wechat.sandbox.post("/_sandbox/wechat/errcode", order)
    assert [wechat.send("alice"), wechat.send("alice")] == [-1, 0]


def test_a_reset_forgets_followers_tokens_and_clock(wechat: Wechat, service: Listener) -> None:
    wechat.say("alice")
    wechat.pass_time(100)
    wechat.sandbox.post("/_sandbox/reset", {})
    assert code(wechat) == 40014
    assert wechat.sandbox.get("/_sandbox/wechat/report")["clock_shift_s"] == 0
    assert wechat.sandbox.get("/_sandbox/wechat/followers")["followers"] == []


def test_the_page_is_chinese_and_loads_nothing_from_elsewhere(wechat: Wechat) -> None:
    answer = wechat.sandbox.client.get("/_sandbox/wechat/page")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "扮演关注公众号的粉丝" in answer.text
    assert 'src="http' not in answer.text
