"""The simulated WeCom server: tokens, callbacks and what all calls have in common."""

from typing import Any

import pytest

from engine.settings import SANDBOX_WECOM
from sandbox import wxcrypt
from sandbox.wecom import callbacks
from sandbox.wecom.app_messages import AGENT_ID
from tests.sandbox.wecom import CORP, KF, Heard, Wecom, listening
from tests.sandbox_server import SandboxServer
from tools.wx.crypto import CallbackKeys


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


# Tokens ------------------------------------------------------------------------------------


def test_a_secret_has_one_token_until_it_expires(wecom: Wecom) -> None:
    first = wecom.gettoken()
    assert (first["errcode"], first["expires_in"]) == (0, 7200)
    wecom.pass_time(7_000)
    again = wecom.gettoken()
    assert again["access_token"] == first["access_token"]
    assert again["expires_in"] == pytest.approx(200, abs=5)
    assert wecom.gettoken(secret="another")["access_token"] != first["access_token"]
    wecom.pass_time(300)
    assert wecom.gettoken()["access_token"] != first["access_token"]
    assert wecom.sandbox.get("/_sandbox/wecom/tokens")["issued"] == 3


def test_tokens_can_be_ended_at_any_time(wecom: Wecom) -> None:
    assert wecom.pull()["errcode"] == 0
    wecom.play("tokens/rotate", {})
    assert wecom.pull()["errcode"] == 40014
    assert wecom.gettoken()["access_token"] != wecom.token
    assert wecom.pull()["errcode"] == 40014
    fresh = Wecom(wecom.sandbox)
    assert fresh.pull()["errcode"] == 0
    wecom.play("tokens/expire", {})
    assert fresh.pull()["errcode"] == 42001
    assert fresh.get("kf/servicer/list", access_token="")["errcode"] == 41001
    assert {one["rule"] for one in wecom.refused()} == {"token"}
    assert wecom.sandbox.get("/_sandbox/wecom/tokens")["bad_uses"] == 4


def test_only_the_corp_and_the_secrets_that_were_set_are_believed(wecom: Wecom) -> None:
    shown = wecom.set("tokens", corp_id=CORP, secrets=["right"], lifetime_s=60)
    assert "right" not in str(shown)
    assert wecom.gettoken("other", "right")["errcode"] == 40013
    assert wecom.gettoken(CORP, "wrong")["errcode"] == 40001
    assert wecom.gettoken(CORP, "right")["expires_in"] == 60
    wecom.set("tokens", per_hour=3)
    assert [wecom.gettoken(CORP, "right")["errcode"] for _ in range(3)] == [0, 0, 45009]


def test_secrets_and_tokens_are_in_no_journal_and_no_list(wecom: Wecom) -> None:
    wecom.pull()
    wecom.send("wmNobody")
    kept = str(wecom.sandbox.journal("wecom")) + str(wecom.refused())
    assert wecom.token not in kept
    assert "secret-of-an-app" not in kept


def test_a_token_may_end_early_by_chance(wecom: Wecom) -> None:
    wecom.set("tokens", early_end_rate=0.99)
    codes = {Wecom(wecom.sandbox).pull()["errcode"] for _ in range(5)}
    assert 40014 in codes


# Callbacks ---------------------------------------------------------------------------------


def test_the_sandbox_and_the_product_understand_each_others_encryption() -> None:
    encoded = "sandboxsandboxsandboxsandboxsandboxsandboxt"
    key, product = wxcrypt.aes_key(encoded), CallbackKeys("token", encoded, CORP)
    for size in (0, 1, 11, 12, 13, 31, 32, 33, 1_000):
        plain = ("字" * size).encode()
        sealed = product.seal(plain, timestamp="1409659589", nonce="263014780")
        assert wxcrypt.decrypt(key, CORP, sealed.encrypt) == plain
        signed = wxcrypt.signature("token", "1409659589", "263014780", sealed.encrypt)
        assert signed == sealed.msg_signature
        ours = wxcrypt.encrypt(key, CORP, plain)
        signature = wxcrypt.signature("token", "1409659589", "1", ours)
        opened = product.open(ours, msg_signature=signature, timestamp="1409659589", nonce="1")
        assert opened == plain
    with pytest.raises(wxcrypt.Unreadable, match="another receiver"):
        wxcrypt.decrypt(key, "other", wxcrypt.encrypt(key, CORP, b"x"))
    for broken in ("", "AAAA", "%%%", wxcrypt.encrypt(bytes(32), CORP, b"x")):
        with pytest.raises(wxcrypt.Unreadable):
            wxcrypt.decrypt(key, CORP, broken)


def test_the_sandbox_encrypts_like_the_official_sample() -> None:
    """Vectors S1, S2 and S4 of the reference."""
    key = wxcrypt.aes_key("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")
    encrypted = wxcrypt.encrypt(
        key,
        "ww12345678910",
        "<xml><Content><![CDATA[你好，测试]]></Content></xml>".encode(),
        b"0123456789abcdef",
    )
    signed = wxcrypt.signature("QDG6eK", "1700000000", "123456", encrypted)
    assert signed == "acff52141d5bc0f0f484bb1121a52dd8728dc2e4"
    aligned = wxcrypt.encrypt(key, "wx5823bf96d3bd56c7", b"a" * 26, b"0123456789abcdef")
    signed = wxcrypt.signature("QDG6eK", "1700000000", "123456", aligned)
    assert signed == "8abb8cb3988237f93b671b3d555bbac44ae79340"
    assert wxcrypt.decrypt(key, "wx5823bf96d3bd56c7", aligned) == b"a" * 26


def test_a_bell_rings_for_a_message_and_its_token_opens_the_log(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        msgid = wecom.say("wmA")
        (bell,) = service.wait_for(1)
        assert bell.fields["Event"] == "kf_msg_or_event"
        assert (bell.fields["OpenKfId"], bell.fields["ToUserName"]) == (KF, CORP)
        assert bell.agent_id == ""
        page = wecom.pull(token=bell.fields["Token"])
        assert [one["msgid"] for one in page["msg_list"]] == [msgid]
        wecom.pass_time(601)
        assert wecom.pull(token=bell.fields["Token"])["errcode"] == 95007
    assert wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)["delivered"] == 1


def test_the_address_is_checked_with_an_echo(wecom: Wecom) -> None:
    with listening(wecom.sandbox):
        assert wecom.play("callback/verify", {})["ok"] is True
    with listening(wecom.sandbox, receiver="another"):
        assert wecom.play("callback/verify", {})["ok"] is False


def test_callbacks_can_be_json_and_for_nobody_in_particular(wecom: Wecom) -> None:
    with listening(wecom.sandbox, receiver="", receive_id="", as_json=True) as service:
        wecom.say("wmA")
        (bell,) = service.wait_for(1)
        assert bell.as_json
        assert bell.fields["OpenKfId"] == KF


def test_a_callback_that_nobody_answers_comes_three_times(wecom: Wecom) -> None:
    settings: dict[str, Any] = {"timeout_s": 0.1, "retry_after_s": 0.0}
    with listening(wecom.sandbox, **settings) as service:
        released = service.changed

        def hang(_: Heard) -> tuple[int, bytes]:
            with released:
                released.wait_for(lambda: len(service.heard) >= 3, 5)
            return 200, b""

        service.answer = hang
        wecom.say("wmA")
        heard = service.wait_for(3)
        assert len({one.encrypted for one in heard}) == 1
        assert len({one.query["nonce"] for one in heard}) == 1
        callbacks = wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    (callback,) = callbacks["callbacks"]
    assert callback["attempts"] == 3
    assert callback["statuses"][:2] == ["TimeoutError", "TimeoutError"]


@pytest.mark.parametrize(("retry_status", "times"), [(False, 1), (True, 4)])
def test_whether_an_error_status_is_tried_again_is_a_policy(
    wecom: Wecom, *, retry_status: bool, times: int
) -> None:
    settings: dict[str, Any] = {"retry_status": retry_status, "deliveries": 4, "retry_after_s": 0.0}
    with listening(wecom.sandbox, reseal=True, **settings) as service:
        service.answer = lambda _heard: (500, b"")
        wecom.say("wmA")
        heard = service.wait_for(times)
        state = wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
        assert len({one.query["nonce"] for one in heard}) == times, "encrypted again each time"
    assert (state["failed"], state["callbacks"][0]["attempts"]) == (1, times)


def test_callbacks_are_doubled_and_overtake_each_other_on_demand(wecom: Wecom) -> None:
    with listening(wecom.sandbox, copies_rate=1, jitter_s=0.3) as service:
        for number in range(10, 22):
            wecom.play("kf/accounts", {"open_kfid": f"wk{number}"})
            wecom.say("wmA", open_kfid=f"wk{number}")
        heard = service.wait_for(24)
    order = list(dict.fromkeys(one.fields["OpenKfId"] for one in heard))
    assert sorted(order) == [f"wk{number}" for number in range(10, 22)]
    assert order != sorted(order)


def test_news_may_share_a_bell_or_have_none(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as service:
        wecom.set("kf/settings", bell_share_s=0.1)
        wecom.play("burst", {"customers": 5, "messages": 20})
        service.wait_for(1)
        wecom.set("kf/settings", bell_share_s=0, bell_loss_rate=1)
        wecom.say("wmA")
        wecom.set("kf/settings", bell_loss_rate=0)
        wecom.say("wmB", silent=True)
        wecom.play("ring", {"times": 2})
        assert len(service.wait_for(3)) == 3
    assert len(wecom.pull_all()[0]) == 22


def test_callbacks_of_any_kind_can_be_sent_and_doubled_by_a_fault(wecom: Wecom) -> None:
    wecom.sandbox.fault("wecom", "duplicate", count=1, times=3)
    fields = {"FromUserName": "sys", "Event": "change_external_chat", "MsgType": "event"}
    with listening(wecom.sandbox) as service:
        wecom.play("callbacks", {"fields": fields, "agent_id": "7"})
        heard = service.wait_for(3)
        wecom.set("kf/settings", bell_names=False)
        wecom.say("wmA")
        bell = service.wait_for(4)[3]
    assert {one.fields["Event"] for one in heard} == {"change_external_chat"}
    assert {one.agent_id for one in heard} == {"7"}
    assert "OpenKfId" not in bell.fields
    assert len(wecom.pull(open_kfid="", token=bell.fields["Token"])["msg_list"]) == 1


def test_wrong_addresses_are_told_and_break_nothing(wecom: Wecom) -> None:
    url = f"{wecom.sandbox.url}/_sandbox/wecom/callback"
    assert wecom.sandbox.client.put(url, json={"urls": ["ftp://x"]}).status_code == 422
    assert wecom.sandbox.client.put(url, json={"encoding_aes_key": "short"}).status_code == 422
    wecom.set("callback", urls=["http://[broken/"], retry_after_s=0)
    wecom.say("wmA")
    state = wecom.sandbox.get("/_sandbox/wecom/callbacks", wait=5)
    assert (state["failed"], state["pending"]) == (1, 0)
    assert wecom.play("callback/verify", {})["ok"] is False


def test_the_product_knows_who_the_sandbox_takes_it_for() -> None:
    known = SANDBOX_WECOM
    assert (known.corp_id, known.token) == (callbacks.CORP_ID, callbacks.TOKEN)
    assert known.aes_key == callbacks.ENCODING_AES_KEY
    assert known.agent_id == str(AGENT_ID)


def test_several_addresses_take_turns(wecom: Wecom) -> None:
    with listening(wecom.sandbox) as one, listening(wecom.sandbox) as other:
        wecom.set("callback", urls=[one.url, other.url])
        for _ in range(4):
            wecom.say("wmA")
        assert (len(one.wait_for(2)), len(other.wait_for(2))) == (2, 2)


# Faults ------------------------------------------------------------------------------------


def test_any_call_can_be_made_to_fail_as_wecom_fails(wecom: Wecom) -> None:
    token = wecom.token
    wecom.play("errcode", {"errcode": 45033, "request_kind": "kf/sync_msg", "count": 1})
    assert wecom.post("kf/account/list", {})["errcode"] == 0
    refused = wecom.pull()
    assert refused["errcode"] == 45033
    assert "query?e=45033" in refused["errmsg"]
    assert wecom.pull()["errcode"] == 0
    wecom.sandbox.fault("wecom", "status", status=502, count=1)
    url = f"{wecom.sandbox.url}/wecom/cgi-bin/kf/account/list"
    answer = wecom.sandbox.client.post(url, params={"access_token": token}, json={})
    assert (answer.status_code, answer.json()["errcode"]) == (502, -1)


def test_who_calls_too_often_is_blocked_for_a_minute(wecom: Wecom) -> None:
    wecom.set("calls", per_minute=2)
    codes = [wecom.post("kf/account/list", {})["errcode"] for _ in range(4)]
    assert codes == [0, 0, 45009, 45009]
    assert wecom.pull()["errcode"] == 0, "another call"
    wecom.pass_time(59)
    assert wecom.post("kf/account/list", {})["errcode"] == 45009
    wecom.pass_time(2)
    assert wecom.post("kf/account/list", {})["errcode"] == 0


def test_wrong_json_is_named_as_wecom_names_it(wecom: Wecom) -> None:
    url = f"{wecom.sandbox.url}/wecom/cgi-bin/kf/sync_msg"
    query = {"access_token": wecom.token}
    answer = wecom.sandbox.client.post(url, params=query, content=b"{broken").json()
    assert answer["errcode"] == 40058
    assert "Warning: wrong json format." in answer["errmsg"]
    assert "more info at https://open.work.weixin.qq.com" in answer["errmsg"]
    assert wecom.pull(limit=5_000)["errcode"] == 40058


def test_a_reset_forgets_everything(wecom: Wecom) -> None:
    wecom.say("wmA")
    wecom.pass_time(10_000)
    wecom.set("kf/settings", page=1)
    assert wecom.token
    wecom.sandbox.reset()
    report = wecom.sandbox.get("/_sandbox/wecom/report")
    assert (report["kf"]["customers"], report["clock_shift_s"]) == (0, 0.0)
    assert wecom.pull()["errcode"] == 40014
    assert Wecom(wecom.sandbox).pull_all()[0] == []


# The page ----------------------------------------------------------------------------------


def test_the_page_is_there_and_loads_nothing_from_elsewhere(wecom: Wecom) -> None:
    answer = wecom.sandbox.client.get("/_sandbox/wecom/page")
    assert answer.status_code == 200
    assert "微信客服" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "/_sandbox/wecom/page" in wecom.sandbox.client.get("/").text
