"""`kefu doctor` on notices to staff: who is told, and whether that can work."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx

from api.cli.findings import Finding, State
from domain.errors import ConfigurationError, PeerError, PeerUnavailable

if TYPE_CHECKING:
    from engine.settings import Settings
    from tools.notify.targets import Target

_PART = "notices"
_DOCS = "见 docs/notices.md"


def check_notices(settings: "Settings", *, online: bool) -> Iterator[Finding]:
    """Online Telegram is asked for bot and chat, and the mail server for its login; nothing is
    sent to anybody."""
    if not settings.notification_enabled:
        yield Finding(_PART, State.NOTE, "NOTIFICATION_ENABLED=false,人工不会收到提醒")
        return
    targets = settings.notice_targets
    if not targets:
        yield _without_targets(settings)
        return
    yield Finding(_PART, State.OK, "人工通知发往:" + "、".join(target.name for target in targets))
    for target in targets:
        yield from _check_target(target, settings, online=online)


def notice_addresses(settings: "Settings") -> list[tuple[str, str, str]]:
    """Name, variable and address of each peer that notices go to, for a look whether it is there;
    those that have variables of their own elsewhere are looked at there."""
    from engine.notices import missing
    from tools.notify.mail import PORTS

    kinds = (
        {target.kind for target in settings.notice_targets if not missing(target, settings)}
        if settings.notification_enabled
        else set()
    )
    feishu, dingtalk = settings.feishu_robot_url, settings.dingtalk_robot_url
    port = settings.smtp_port or PORTS[settings.smtp_security]
    known = {
        "telegram": ("TELEGRAM_API_BASE", settings.telegram_api_base),
        "feishu": ("FEISHU_ROBOT_URL", feishu.get_secret_value() if feishu else ""),
        "dingtalk": ("DINGTALK_ROBOT_URL", dingtalk.get_secret_value() if dingtalk else ""),
        "mail": ("SMTP_HOST", f"smtp://{settings.smtp_host}:{port}"),
    }
    return [(kind, *where) for kind, where in known.items() if kind in kinds]


def _without_targets(settings: "Settings") -> Finding:
    if settings.wecom_robot_url is not None:
        return Finding(_PART, State.OK, "人工通知发往 WECOM_ROBOT_URL 的群")
    if settings.staff_notice_url is not None:
        return Finding(_PART, State.OK, "人工通知发往 STAFF_NOTICE_URL")
    detail = "没有设置人工通知,转人工时没有人收到提醒"
    return Finding(_PART, State.OK, detail, f"设置 NOTIFICATION_CHANNEL,{_DOCS}")


def _check_target(target: "Target", settings: "Settings", *, online: bool) -> Iterator[Finding]:
    from engine.notices import missing

    part = f"{_PART}/{target.kind}"
    variable = missing(target, settings)
    if variable:
        detail = f"{target.name}:未设置 {variable},发往这里的通知会成为死信"
        yield Finding(part, State.FAULT, detail, f"设置 {variable},{_DOCS}")
        return
    yield from _check_signature(target, settings, part)
    if online and target.kind in {"telegram", "mail"}:
        yield asyncio.run(_ask(target, settings, part))


def _check_signature(target: "Target", settings: "Settings", part: str) -> Iterator[Finding]:
    secrets = {"feishu": settings.feishu_robot_secret, "dingtalk": settings.dingtalk_robot_secret}
    if target.kind in secrets and secrets[target.kind] is None:
        variable = f"{target.kind.upper()}_ROBOT_SECRET"
        detail = f"未设置 {variable},只有机器人不要求签名时通知才能送达"
        yield Finding(part, State.NOTE, detail, "在机器人的安全设置里启用签名,把密钥填在这里")


async def _ask(target: "Target", settings: "Settings", part: str) -> Finding:
    from engine.notices import sender_to
    from tools.notify.mail import MailSender
    from tools.notify.telegram import TelegramBot

    async with httpx.AsyncClient() as http:
        try:
            sender = sender_to(target, settings, http)
            if isinstance(sender, TelegramBot):
                return Finding(part, State.OK, f"{target.name}:机器人 @{await sender.check()} 可用")
            assert isinstance(sender, MailSender)
            await sender.check()
        except ConfigurationError as error:
            return Finding(part, State.FAULT, str(error), f"改正 {error.variable}")
        except PeerError as error:
            later = "检查网络,稍后再试" if isinstance(error, PeerUnavailable) else _DOCS
            return Finding(part, State.FAULT, f"{target.name}:{error}", later)
    return Finding(part, State.OK, f"{target.name}:{settings.smtp_host} 接受登录")
