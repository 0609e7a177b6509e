"""`kefu doctor` on notices to staff."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from api.cli.doctor import check_peers
from api.cli.doctor_notices import check_notices
from api.cli.findings import Finding, State
from engine.settings import Settings, load_settings
from tests.sandbox_server import SandboxServer

SECRET = "8518:secret_of_the_bot"


def settings(**given: Any) -> Settings:
    return load_settings(env_files=None, **given)


def found(chosen: Settings, *, online: bool = False) -> list[Finding]:
    findings = list(check_notices(chosen, online=online))
    shown = json.dumps([[one.detail, one.remedy] for one in findings], ensure_ascii=False)
    assert SECRET not in shown
    return findings


def of_sandbox(sandbox: SandboxServer, channel: str) -> Settings:
    chosen = settings(sandbox_url=sandbox.url, notification_channel=channel)
    port = sandbox.get("/_sandbox/mail/server")["port"]
    return chosen.model_copy(update={"smtp_port": port})


@pytest.mark.parametrize(
    ("given", "state", "says"),
    [
        ({}, State.OK, "没有人收到提醒"),
        ({"notification_enabled": False}, State.NOTE, "NOTIFICATION_ENABLED=false"),
        ({"staff_notice_url": "https://h/n"}, State.OK, "STAFF_NOTICE_URL"),
        ({"wecom_robot_url": "https://h/n?key=k"}, State.OK, "WECOM_ROBOT_URL"),
    ],
)
def test_who_is_told_is_said(given: dict[str, Any], state: State, says: str) -> None:
    (finding,) = found(settings(**given))
    assert finding.state is state
    assert says in finding.detail


@pytest.mark.parametrize(
    ("channel", "given", "variable"),
    [
        ("telegram:1", {}, "TELEGRAM_TOKEN"),
        ("feishu", {}, "FEISHU_ROBOT_URL"),
        ("dingtalk", {}, "DINGTALK_ROBOT_URL"),
        ("wecom", {}, "WECOM_ROBOT_URL"),
        ("wecom:lisi", {}, "WECOM_CORP_ID"),
        ("url", {}, "KEFU_STAFF_NOTICE_URL"),
        ("mail:a@b.example", {}, "SMTP_HOST"),
        ("mail:a@b.example", {"smtp_host": "mail.example", "smtp_user": "kefu"}, "SMTP_FROM"),
    ],
)
def test_what_is_missing_is_a_fault_that_names_it(
    channel: str, given: dict[str, Any], variable: str
) -> None:
    first, missing = found(settings(notification_channel=channel, **given))
    assert (first.state, missing.state) == (State.OK, State.FAULT)
    assert channel in first.detail
    assert variable in missing.detail
    assert variable in missing.remedy


def test_a_robot_without_a_secret_is_a_note() -> None:
    chosen = settings(
        notification_channel="feishu",
        feishu_robot_url=SecretStr("https://open.feishu.cn/open-apis/bot/v2/hook/k"),
    )
    assert [finding.state for finding in found(chosen)] == [State.OK, State.NOTE]


def test_online_bot_chat_and_login_are_asked_for_and_nothing_is_sent(
    sandbox_server: SandboxServer,
) -> None:
    chosen = of_sandbox(sandbox_server, "telegram:42,mail:desk@shop.example,feishu")
    findings = found(chosen, online=True)
    assert [finding.state for finding in findings] == [State.OK] * 3
    assert "@kefu_bot" in findings[1].detail
    assert "接受登录" in findings[2].detail
    assert sandbox_server.get("/_sandbox/staff/inbox")["items"] == []


def test_online_what_the_platforms_refuse_is_a_fault(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/telegram/chats", {"unknown": [42]})
    sandbox_server.put("/_sandbox/mail/account", {"user": "kefu", "password": "right"})
    chosen = of_sandbox(sandbox_server, "telegram:42,mail:desk@shop.example").model_copy(
        update={"smtp_user": "kefu", "smtp_password": SecretStr("wrong")}
    )
    _, telegram, mail = found(chosen, online=True)
    assert (telegram.state, mail.state) == (State.FAULT, State.FAULT)
    assert "找不到会话" in telegram.detail
    assert "SMTP_PASSWORD" in mail.detail


def test_peers_that_notices_go_to_are_looked_for(sandbox_server: SandboxServer) -> None:
    chosen = of_sandbox(sandbox_server, "telegram:42,feishu,dingtalk,mail:a@b.example")
    states = {one.part: one.state for one in check_peers(chosen)}
    for name in ("telegram", "feishu", "dingtalk", "mail"):
        assert states[f"peer/{name}"] is State.OK
    none = {one.part for one in check_peers(of_sandbox(sandbox_server, ""))}
    assert "peer/telegram" not in none
