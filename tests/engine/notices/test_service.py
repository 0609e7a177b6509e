"""A customer wants a person: staff reads it wherever NOTIFICATION_CHANNEL says."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from engine.notices import missing
from engine.settings import SANDBOX_CREDENTIAL, load_settings
from sandbox.notice_peer import CREDENTIAL
from tests.api.service import Service, running_service, serving, settings_for
from tests.api.wecom.test_callback import until
from tests.sandbox_server import SandboxServer

EVERYWHERE = "telegram:8518085684,feishu,dingtalk,mail:desk@shop.example,wecom,wecom:lisi,url"
PRINTED = re.compile(
    r"🚨 需要人工介入\n\n"
    r"用户:小明 \((?P<id>[^)]+)\)\n"
    r"问题:(?P<question>.+)\n"
    r"时间:\d{4}-\d\d-\d\d \d\d:\d\d\n\n"
    r"请及时处理。"
)


def outbox(service: Service, columns: str) -> list[tuple[Any, ...]]:
    with service.kefu.engine.database.engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM outbox ORDER BY message_id"))
        return [tuple(row) for row in rows]


def inbox(sandbox: SandboxServer) -> dict[str, list[str]]:
    """What each channel has shown."""
    found: dict[str, list[str]] = {}
    for item in sandbox.get("/_sandbox/staff/inbox")["items"]:
        found.setdefault(item["channel"], []).append(item["text"])
    return found


def mail_port(sandbox: SandboxServer) -> int:
    return int(sandbox.get("/_sandbox/mail/server")["port"])


def test_every_place_is_told_once_and_the_failing_one_later(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    sandbox_server.fault("feishu", "status", count=3, status=503)
    chosen = settings_for(
        tmp_path,
        sandbox_url=sandbox_server.url,
        notification_channel=EVERYWHERE,
        outbox_backoff_base_s=0.05,
    )
    given = chosen.model_copy(update={"smtp_port": mail_port(sandbox_server)})
    with serving(given) as service:
        service.ask("我要转人工", message_id="m1", chat_id="小明")
        until(lambda: all(row[0] == "delivered" for row in outbox(service, "status")))
        rows = outbox(service, "channel, account, queue, kind")
    told = inbox(sandbox_server)
    assert {name: len(texts) for name, texts in told.items()} == {
        "telegram": 1,
        "feishu": 1,
        "dingtalk": 1,
        "mail": 1,
        "wecom": 2,
        "staff": 1,
    }
    for name in ("telegram", "feishu", "dingtalk", "mail"):
        found = PRINTED.search(told[name][0])
        assert found, told[name][0]
        assert found["question"] == "我要转人工"
    assert len(sandbox_server.journal("feishu")) == 4
    fanned = [row for row in rows if row[0].startswith("notice_")]
    assert {row[2] for row in fanned} == {f"notices:{row[1]}" for row in fanned}
    assert len(fanned) == 7


@pytest.mark.parametrize("chosen", [{"notification_enabled": False}, {"notification_channel": ""}])
def test_nothing_is_told_where_nobody_is_to_be_told(
    sandbox_server: SandboxServer, tmp_path: Path, chosen: dict[str, Any]
) -> None:
    given = {"notification_channel": "telegram:1"} | chosen
    with running_service(tmp_path, **given) as service:
        service.ask("我要转人工", message_id="m1", chat_id="小明")
        assert outbox(service, "channel") == []
        assert service.rows("handoffs") == 1


def test_with_the_sandbox_no_notice_and_no_secret_reaches_a_real_platform() -> None:
    real: dict[str, Any] = {
        "telegram_token": SecretStr("8518:real"),
        "feishu_robot_url": SecretStr("https://open.feishu.cn/open-apis/bot/v2/hook/real"),
        "feishu_robot_secret": SecretStr("real-1"),
        "dingtalk_robot_url": SecretStr("https://oapi.dingtalk.com/robot/send?access_token=real"),
        "dingtalk_robot_secret": SecretStr("real-2"),
        "smtp_host": "smtp.real.example",
        "smtp_user": "real@real.example",
        "smtp_password": SecretStr("real-3"),
    }
    sandbox = "http://127.0.0.1:6061"
    chosen = load_settings(
        env_files=None, sandbox_url=sandbox, notification_channel=EVERYWHERE, **real
    )
    assert "real" not in "".join(chosen.secret_values())
    assert chosen.telegram_api_base == f"{sandbox}/telegram"
    assert (chosen.smtp_host, chosen.smtp_port, chosen.smtp_user) == ("127.0.0.1", 6062, "")
    assert not any(missing(target, chosen) for target in chosen.notice_targets)


def test_the_sandbox_believes_what_the_settings_have_for_it() -> None:
    assert SANDBOX_CREDENTIAL == CREDENTIAL


def test_a_place_without_credentials_does_not_keep_the_service_from_answering(
    tmp_path: Path,
) -> None:
    with running_service(tmp_path, notification_channel="telegram:8518085684") as service:
        answer = service.ask("我要转人工", message_id="m1", chat_id="小明")
        assert answer["decision"] == "handoff"
        until(lambda: ("dead",) in outbox(service, "status"))
        rows = outbox(service, "channel, status, last_error")
    assert rows == [
        ("staff", "delivered", None),
        ("notice_telegram", "dead", "telegram: 未设置 TELEGRAM_TOKEN"),
    ]
