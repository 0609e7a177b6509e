"""The service and an official account, over real sockets: one answer to each message."""

import uuid
from collections.abc import Iterator

import pytest

from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox
from tests.service import Service, running_service

QUESTION, ANSWER = "小区没有固定车位能装充电桩吗", "[1] 请联系物业安装。"
MODEL = {"KEFU_DEEPSEEK_API_KEY": "any"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def service(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("wechat-account") / "data"
    with running_service(folder, sandbox_url=sandbox.url, env=MODEL) as service:
        sandbox.set_target(service.url)
        yield service


def shown(sandbox: SandboxServer, openid: str, at_least: int, wait: float) -> list[JsonObject]:
    page = sandbox.get(f"/_sandbox/wechat/chats/{openid}", at_least=at_least, wait=wait)
    return [one for one in page["messages"] if one["source"] not in ("said", "did")]


def settled(sandbox: SandboxServer, number: int) -> JsonObject:
    """The callback, once no delivery of it is under way."""
    page = sandbox.get("/_sandbox/wechat/callbacks", wait=20, limit=100)
    assert page["pending"] == 0
    found: JsonObject = next(one for one in page["callbacks"] if one["number"] == number)
    return found


def say(sandbox: SandboxServer, openid: str, text: str = QUESTION) -> int:
    return int(sandbox.post("/_sandbox/wechat/say", {"openid": openid, "text": text})["callback"])


def calls(sandbox: SandboxServer, kind: str) -> int:
    return len(sandbox.journal("wechat", kind=kind))


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
def test_an_answer_after_1_s_is_in_the_response_and_is_no_customer_service_message(
    sandbox: SandboxServer, service: Service, mode: str
) -> None:
    sandbox.put("/_sandbox/wechat/callback", {"mode": mode, "forged_plain": mode == "compatible"})
    sandbox.script(reply=ANSWER, latency=1.0, times=1)
    sent = calls(sandbox, "message/custom/send")
    openid = f"quick-{mode}-{uuid.uuid4().hex[:6]}"
    number = say(sandbox, openid)
    callback = settled(sandbox, number)
    assert (callback["attempts"], callback["statuses"]) == (1, [200])
    messages = shown(sandbox, openid, 2, 5)
    assert [(one["source"], one["answers"] != "") for one in messages] == [("passive", True)]
    assert "请联系物业安装" in messages[0]["text"]
    assert calls(sandbox, "message/custom/send") == sent


@pytest.mark.parametrize("mode", ["plain", "safe"])
def test_an_answer_after_8_s_is_one_customer_service_message(
    sandbox: SandboxServer, service: Service, mode: str
) -> None:
    sandbox.put("/_sandbox/wechat/callback", {"mode": mode})
    sandbox.script(reply=ANSWER, latency=8.0, times=1)
    number = say(sandbox, f"slow-{mode}")
    messages = shown(sandbox, f"slow-{mode}", 2, 20)
    assert settled(sandbox, number)["state"] == "delivered"
    assert [one["source"] for one in messages] == ["custom"]
    assert "请联系物业安装" in messages[0]["text"]


@pytest.mark.parametrize("mode", ["plain", "safe"])
@pytest.mark.parametrize(("model_s", "timeout_s", "deliveries"), [(3.0, 2.0, 2), (8.0, 4.0, 3)])
def test_retries_while_the_model_thinks_end_in_one_answer(
    sandbox: SandboxServer,
    service: Service,
    mode: str,
    model_s: float,
    timeout_s: float,
    deliveries: int,
) -> None:
    """The platform hangs up before the service has given up to wait, and delivers again."""
    sandbox.put("/_sandbox/wechat/callback", {"mode": mode, "timeout_s": timeout_s})
    openid = f"again-{mode}-{deliveries}"
    try:
        sandbox.script(reply=ANSWER, latency=model_s, times=1)
        number = say(sandbox, openid)
        callback = settled(sandbox, number)
    finally:
        sandbox.put("/_sandbox/wechat/callback", {"timeout_s": 5.0})
    assert callback["statuses"] == ["TimeoutError"] * (deliveries - 1) + [200]
    messages = shown(sandbox, openid, 2, 15)
    assert len(messages) == 1
    assert messages[0]["source"] in ("passive", "custom")
    assert "请联系物业安装" in messages[0]["text"]


def test_whoever_follows_is_welcomed_once_also_if_the_event_comes_twice(
    sandbox: SandboxServer, service: Service
) -> None:
    sandbox.put("/_sandbox/wechat/callback", {"mode": "safe", "copies_rate": 1.0})
    try:
        body = {"openid": "newcomer", "scene": "shop"}
        number = int(sandbox.post("/_sandbox/wechat/subscribe", body)["callback"])
        settled(sandbox, number)
    finally:
        sandbox.put("/_sandbox/wechat/callback", {"copies_rate": 0.0})
    messages = shown(sandbox, "newcomer", 2, 10)
    assert [one["source"] for one in messages] == ["passive"]
    assert "感谢关注" in messages[0]["text"]


def test_nothing_the_service_did_was_against_the_rules(
    sandbox: SandboxServer, service: Service
) -> None:
    verified = sandbox.post("/_sandbox/wechat/callback/verify", {})
    assert verified["ok"], verified
    assert sandbox.get("/_sandbox/wechat/refused")["refused"] == []
    assert sandbox.get("/_sandbox/wechat/callbacks")["wrong"] == []
