"""Notices to members of WeCom, and pictures that customers send there."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from domain.errors import ConfigurationError
from engine.bootstrap import build
from engine.settings import load_settings
from tests.api.wecom.test_callback import pending, serving, until
from tests.sandbox.wecom import PNG, Wecom
from tests.sandbox_server import SandboxServer


def staff_sees(wecom: Wecom, member: str) -> list[str]:
    return [seen["text"] for seen in wecom.chat(f"app/1000002/{member}")]


def test_staff_named_by_the_notification_channel_is_told_by_the_application(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    chosen = {
        "notification_channel": "wecom:lisi|wangwu",
        "wecom_robot_url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k",
        "staff_notice_url": "https://staff.example/notice",
    }
    with serving(sandbox_server, tmp_path, None, **chosen) as (service, wecom):
        wecom.say("wmA", "我要找人工客服")
        until(lambda: bool(staff_sees(wecom, "wangwu")))
        until(lambda: not pending(service))
        assert sandbox_server.get("/_sandbox/wecom/notices")["notices"] == []
        (notice,) = staff_sees(wecom, "lisi")
        assert staff_sees(wecom, "wangwu") == [notice]
    lines = notice.split("\n")
    assert lines[:2] == ["🚨 需要人工介入", ""]
    assert lines[2].startswith("用户:")
    assert "wmA" in lines[2]
    assert lines[3] == "问题:我要找人工客服"
    assert lines[4].startswith("时间:")
    assert lines[5:7] == ["", "请及时处理。"]


@pytest.mark.parametrize(
    ("chosen", "variable"),
    [
        ({}, "NOTIFICATION_CHANNEL"),
        (
            {
                "wecom_corp_id": "ww1",
                "wecom_agent_secret": "s",
                "wecom_agent_id": "１００",
            },
            "WECOM_AGENT_ID",
        ),
    ],
)
def test_members_cannot_be_notified_without_an_application(
    tmp_path: Path, chosen: dict[str, str], variable: str
) -> None:
    settings = load_settings(
        env_files=None, data_dir=tmp_path, notification_channel="wecom:lisi", **chosen
    )
    with pytest.raises(ConfigurationError, match=variable):
        build(settings)


def test_a_customer_s_picture_is_fetched_at_once_by_its_media_id(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    hour = {"debounce_async_s": 3_600.0, "debounce_max_s": 3_600.0}
    with serving(sandbox_server, tmp_path, None, **hour) as (service, wecom):
        media_id = str(wecom.upload("image", "a.png", PNG)["media_id"])
        wecom.say("wmA", msgtype="image", content={"media_id": media_id})
        until(lambda: service.rows("picture_sources") > 0)
        with service.kefu.engine.database.engine.connect() as connection:
            source, sha256 = connection.execute(
                text("SELECT source, sha256 FROM picture_sources")
            ).one()
        assert service.rows("turns") == 0
    assert source == f"wecom:{media_id}"
    assert sha256 == hashlib.sha256(PNG).hexdigest()
