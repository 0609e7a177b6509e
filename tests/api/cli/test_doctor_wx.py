"""`kefu doctor` on WeCom and the official account."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api.cli.doctor_wx import check_wechat, check_wechat_online, check_wecom, check_wecom_online
from api.cli.findings import Finding, State
from engine.settings import Settings, load_settings
from tests.sandbox.wecom import Wecom
from tests.sandbox_server import SandboxServer

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SECRET = "0123456789abcdef0123456789abcdef"
ACCOUNT: dict[str, Any] = {
    "appid": "wx0123456789abcdef",
    "appsecret": SecretStr(SECRET),
    "wechat_token": SecretStr("sometoken"),
    "wechat_aes_key": SecretStr(KEY),
    "public_url": "https://kefu.example",
}
COMPANY: dict[str, Any] = {
    "wecom_corp_id": "ww0123456789abcdef",
    "wecom_agent_id": "1000002",
    "wecom_agent_secret": SecretStr(SECRET),
    "wecom_token": SecretStr("sometoken"),
    "wecom_aes_key": SecretStr(KEY),
    "public_url": "https://kefu.example",
}


@pytest.fixture
def wecom(sandbox_server: SandboxServer) -> Wecom:
    sandbox_server.put("/_sandbox/wecom/callback", {"urls": []})
    return Wecom(sandbox_server)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def settings(given: dict[str, Any], /, **changed: Any) -> Settings:
    return load_settings(env_files=None, **(given | changed))


def company(sandbox: SandboxServer, **changed: Any) -> Settings:
    return settings(COMPANY, wecom_api_base=f"{sandbox.url}/wecom/cgi-bin", **changed)


def account(sandbox: SandboxServer, **changed: Any) -> Settings:
    return settings(ACCOUNT, wechat_api_base=f"{sandbox.url}/wechat", **changed)


def by_part(found: Iterator[Finding]) -> dict[str, Finding]:
    findings = list(found)
    shown = json.dumps([[one.detail, one.remedy] for one in findings], ensure_ascii=False)
    assert SECRET not in shown
    assert KEY not in shown
    assert "sometoken" not in shown
    return {finding.part: finding for finding in findings}


# Official account


def test_an_official_account_in_order_is_told_its_address_and_mode() -> None:
    (found,) = check_wechat(settings(ACCOUNT))
    assert found.state is State.OK
    assert "安全模式" in found.detail
    assert "https://kefu.example/api/wechat" in found.detail


def test_without_an_official_account_nothing_is_said() -> None:
    assert list(check_wechat(settings({}))) == []
    assert list(check_wechat_online(settings({}), online=True)) == []


@pytest.mark.parametrize(
    ("changed", "state", "says"),
    [
        ({"appid": ""}, State.NOTE, "APPID"),
        ({"appid": "gh_0123456789ab"}, State.NOTE, "原始 ID"),
        ({"appsecret": None}, State.NOTE, "APPSECRET"),
        ({"appsecret": SecretStr("short")}, State.NOTE, "32 位"),
        ({"wechat_token": None}, State.NOTE, "WECHAT_TOKEN"),
        ({"wechat_token": SecretStr("with_underscore")}, State.NOTE, "字母或数字"),
        ({"wechat_aes_key": SecretStr("a" * 42)}, State.FAULT, "WECHAT_AES_KEY"),
        ({"wechat_aes_key": None}, State.NOTE, "明文模式"),
        ({"public_url": ""}, State.NOTE, "打不开"),
        ({"public_url": "https://kefu.example:8443"}, State.FAULT, "80 和 443"),
    ],
)
def test_each_thing_that_is_wrong_with_an_account_is_said(
    changed: dict[str, Any], state: State, says: str
) -> None:
    found = [one for one in check_wechat(settings(ACCOUNT, **changed)) if one.state is not State.OK]
    assert [one.state for one in found] == [state]
    assert says in found[0].detail
    assert found[0].remedy
    assert by_part(iter(found))


def test_online_the_account_s_secret_is_tried_by_fetching_a_token(
    sandbox_server: SandboxServer,
) -> None:
    assert list(check_wechat_online(account(sandbox_server), online=False)) == []
    found = by_part(check_wechat_online(account(sandbox_server), online=True))
    assert found["wechat/token"].state is State.OK


@pytest.mark.parametrize(
    ("errcode", "advice"), [(40164, "IP白名单"), (40125, "重置"), (40243, "冻结")]
)
def test_what_wechat_refuses_is_explained(
    sandbox_server: SandboxServer, errcode: int, advice: str
) -> None:
    body = {"errcode": errcode, "request_kind": "stable_token"}
    sandbox_server.post("/_sandbox/wechat/errcode", body)
    found = by_part(check_wechat_online(account(sandbox_server), online=True))["wechat/token"]
    assert found.state is State.FAULT
    assert str(errcode) in found.detail
    assert advice in found.detail
    assert "APPSECRET" in found.remedy


# WeCom


def test_a_company_in_order_is_told_its_address() -> None:
    (found,) = check_wecom(settings(COMPANY))
    assert found.state is State.OK
    assert "https://kefu.example/wecom/callback" in found.detail


@pytest.mark.parametrize(
    ("changed", "part", "state", "says"),
    [
        ({"wecom_agent_secret": None}, "wecom", State.NOTE, "WECOM_AGENT_SECRET"),
        ({"wecom_corp_id": "example"}, "wecom", State.NOTE, "企业 ID"),
        ({"wecom_aes_key": SecretStr("a" * 42)}, "wecom", State.FAULT, "WECOM_AES_KEY"),
        ({"wecom_token": None, "wecom_aes_key": None}, "wecom", State.NOTE, "每分钟"),
        ({"public_url": ""}, "wecom", State.NOTE, "打不开"),
        ({"wecom_token": SecretStr("with_underscore")}, "wecom", State.NOTE, "字母或数字"),
        (
            {"wecom_agent_id": "", "wecom_app_messages": True},
            "wecom/app",
            State.FAULT,
            "WECOM_AGENT_ID",
        ),
        (
            {"wecom_token": None, "wecom_aes_key": None, "wecom_app_messages": True},
            "wecom/app",
            State.FAULT,
            "WECOM_TOKEN",
        ),
    ],
)
def test_each_thing_that_is_wrong_with_a_company_is_said(
    changed: dict[str, Any], part: str, state: State, says: str
) -> None:
    found = [one for one in check_wecom(settings(COMPANY, **changed)) if one.state is not State.OK]
    assert (found[0].part, found[0].state) == (part, state)
    assert says in found[0].detail
    assert all(one.remedy for one in found)
    assert by_part(iter(found))


def test_what_the_application_is_used_for_is_said() -> None:
    chosen = settings(COMPANY, wecom_app_messages=True, notification_channel="wecom:lisi")
    assert "通知员工、回答成员" in by_part(check_wecom(chosen))["wecom/app"].detail


def test_online_wecom_tells_of_its_application_accounts_and_addresses(
    wecom: Wecom, sandbox_server: SandboxServer
) -> None:
    wecom.set("addresses", ip_list=["101.226.103.0/24", "1.2.3.*"])
    assert list(check_wecom_online(company(sandbox_server), online=False)) == []
    found = by_part(check_wecom_online(company(sandbox_server), online=True))
    assert {one.state for one in found.values()} == {State.OK}
    assert "智能客服" in found["wecom/agent"].detail
    assert "wkSandbox0001" in found["wecom/kf"].detail
    assert "101.226.103.0/24、1.2.3.*" in found["wecom/addresses"].detail


def test_who_answers_customers_that_are_handed_over_is_asked_for_each_account(
    wecom: Wecom, sandbox_server: SandboxServer
) -> None:
    found = by_part(check_wecom_online(company(sandbox_server), online=True))["wecom/servicers"]
    assert (found.state, "zhangsan" in found.detail) == (State.OK, True)
    chosen = company(sandbox_server, wecom_kf_servicers=("Zhangsan", "nobody"))
    found = by_part(check_wecom_online(chosen, online=True))["wecom/servicers"]
    assert (found.state, "nobody" in found.detail) == (State.FAULT, True)
    assert "hangsan" not in found.detail, "userids are not told apart by case"
    wecom.set("kf/servicer", servicer="zhangsan", receiving=False)
    found = by_part(check_wecom_online(company(sandbox_server), online=True))["wecom/servicers"]
    assert (found.state, "WECOM_KF_HAND_OVER" in found.remedy) == (State.NOTE, True)
    chosen = company(sandbox_server, wecom_kf_hand_over="desk")
    assert "wecom/servicers" not in by_part(check_wecom_online(chosen, online=True))


def test_a_secret_that_is_refused_is_the_only_thing_said(
    wecom: Wecom, sandbox_server: SandboxServer
) -> None:
    wecom.set("tokens", secrets=["another"])
    (found,) = check_wecom_online(company(sandbox_server), online=True)
    assert (found.part, found.state) == ("wecom/token", State.FAULT)
    assert "40001" in found.detail
    assert "WECOM_AGENT_SECRET" in found.remedy


def test_an_application_an_account_and_a_list_that_do_not_fit_are_faults(
    wecom: Wecom, sandbox_server: SandboxServer
) -> None:
    wecom.set("app/settings", agents=[7])
    wecom.set("addresses", ip_list=["101.226.103.0/24", "1.2.3.4"])
    chosen = company(
        sandbox_server, wecom_kf_accounts=("wkGone",), wecom_callback_ips=("101.226.103.*",)
    )
    found = by_part(check_wecom_online(chosen, online=True))
    assert "40056" in found["wecom/agent"].detail
    assert "wkGone" in found["wecom/kf"].detail
    assert "1.2.3.4" in found["wecom/addresses"].detail
    assert "101.226.103.0/24" not in found["wecom/addresses"].detail
    wrong = ("wecom/agent", "wecom/kf", "wecom/addresses")
    assert {found[part].state for part in wrong} == {State.FAULT}
    assert found["wecom/token"].state is State.OK


def test_an_application_that_is_switched_off_is_a_fault(
    wecom: Wecom, sandbox_server: SandboxServer
) -> None:
    wecom.set("app/settings", closed=True)
    found = by_part(check_wecom_online(company(sandbox_server), online=True))["wecom/agent"]
    assert (found.state, "停用" in found.detail) == (State.FAULT, True)


# A network that is away


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://[::1]:1"])
def test_a_network_that_is_away_is_called_that(base: str) -> None:
    for found in (
        *check_wecom_online(settings(COMPANY, wecom_api_base=base), online=True),
        *check_wechat_online(settings(ACCOUNT, wechat_api_base=base), online=True),
    ):
        assert found.state is State.FAULT
        assert "没有问到" in found.detail
        assert "网络" in found.remedy


def test_who_never_answers_is_not_waited_for_longer_than_a_call_may_take(
    silent: str,
) -> None:
    began = time.monotonic()
    company, account = (
        settings(COMPANY, wecom_api_base=silent),
        settings(ACCOUNT, wechat_api_base=silent),
    )
    (token,) = check_wecom_online(company, online=True, call_s=0.2)
    (secret,) = check_wechat_online(account, online=True, call_s=0.2)
    assert time.monotonic() - began < 5
    assert {token.state, secret.state} == {State.FAULT}
    assert "in time" in token.detail
