"""Notices to staff: one row of the outbox becomes one for each place that NOTIFICATION_CHANNEL
names, with a queue of its own, so that no place waits for another."""

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import httpx
from pydantic import SecretStr

from domain.decisions import Effect, EffectKind
from domain.errors import ConfigurationError, PeerRejected, PeerUnavailable
from engine.delivery import Channel
from engine.settings import Settings
from storage import paces
from storage.database import Database
from storage.effects import notice_channel
from storage.outbox import Delivery
from storage.paces import Pace
from tools.notify.client import StaffNotifier
from tools.notify.dingtalk import DingtalkRobot
from tools.notify.feishu import FeishuRobot
from tools.notify.mail import MailSender, MailServer
from tools.notify.protocol import StaffNotice
from tools.notify.targets import KINDS, Kind, Target
from tools.notify.telegram import TelegramBot
from tools.wecom.app import AppClient, notice_text
from tools.wecom.robot import GroupRobot, notice_markdown

log = logging.getLogger(__name__)
STAFF = "staff"
PATIENCE_S = 7_200.0
"""How long a notice is tried to be sent; after that nobody would act on it."""
NOTICE_CHANNELS = tuple(notice_channel(kind) for kind in KINDS)
_MINUTE = 60.0
_GROUP = (Pace(1, 1.0), Pace(20, _MINUTE))
PACES: Mapping[Kind, tuple[Pace, ...]] = {
    "wecom": (Pace(20, _MINUTE),),
    "telegram": (Pace(1, 1.0),),
    "feishu": (Pace(5, 1.0), Pace(100, _MINUTE)),
    "dingtalk": (Pace(20, _MINUTE),),
    "mail": (Pace(30, _MINUTE),),
}
"""What a platform takes (reference others.md 1, 2.1, 3.1; wecom.md 5); of mail servers a guess."""


class NoticeSender(Protocol):
    async def send(self, notice: StaffNotice, at: datetime) -> None:
        """``at``: since when it is to be sent. Raises PeerUnavailable or PeerRejected."""


class NoticeFan:
    """The staff's channel. Nothing is sent: what follows is a delivery for each place, written
    together with the note that this one is done, under ids that do not change."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = tuple(targets)

    async def deliver(self, delivery: Delivery) -> Sequence[Effect]:
        about = {"conversation_id": delivery.conversation_id}
        return [
            Effect(
                EffectKind.NOTICE,
                target.name,
                {**delivery.payload, **about, "place": {"kind": target.kind, "name": target.name}},
            )
            for target in self._targets
        ]


class NoticeChannel:
    """The places of one kind, each at its own pace."""

    def __init__(
        self,
        kind: Kind,
        senders: Mapping[str, NoticeSender],
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        rates: Mapping[str, Sequence[Pace]] | None = None,
    ) -> None:
        """``senders`` by the target's name; ``rates``: instead of PACES, by name too."""
        self._kind, self._senders = kind, dict(senders)
        self._database, self._clock = database, clock
        self._rates = dict(rates or {name: _rates(kind, name) for name in senders})

    async def deliver(self, delivery: Delivery) -> None:
        sender = self._senders.get(delivery.account)
        if sender is None:
            raise PeerRejected(
                self._kind, f"NOTIFICATION_CHANNEL no longer names {delivery.account!r}"
            )
        notice = notice_of(delivery)
        await self._pace(delivery.account)
        await sender.send(notice, datetime.fromisoformat(delivery.created_at))

    async def _pace(self, name: str) -> None:
        rates = self._rates.get(name, ())
        if not rates:
            return
        now, place = self._clock(), f"notice {name}"
        wait = await self._database.write(lambda c: paces.take(c, place, rates, now=now), key=place)
        if wait > 0:
            raise PeerUnavailable(self._kind, "enough for now, the rest waits", retry_after=wait)


def _rates(kind: Kind, name: str) -> Sequence[Pace]:
    chat = name.partition(":")[2]
    if kind == "telegram" and chat.startswith(("-", "@")):
        return _GROUP
    return PACES.get(kind, ())


def notice_of(delivery: Delivery) -> StaffNotice:
    """Raises PeerRejected for a row that is no notice."""
    payload: Mapping[str, Any] = delivery.payload
    priority = payload["priority"]
    if priority not in ("low", "normal", "high"):
        raise PeerRejected(STAFF, f"unknown priority {priority!r}")
    return StaffNotice(
        notice_id=delivery.message_id,
        title=payload["title"],
        text=payload["text"],
        priority=priority,
        conversation_id=delivery.conversation_id,
        reason=payload["reason"],
    )


class Unset:
    """A place whose credentials are missing. Customers are answered all the same: its notices are
    dead letters that say what to set, and can be sent again after that."""

    def __init__(self, kind: Kind, variable: str) -> None:
        self._kind, self.variable = kind, variable

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        raise PeerRejected(self._kind, f"未设置 {self.variable}")


class _Address:
    def __init__(self, notifier: StaffNotifier) -> None:
        self._notifier = notifier

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        await self._notifier.notify(notice)


class _Robot:
    def __init__(self, robot: GroupRobot) -> None:
        self._robot = robot

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        await self._robot.send(notice_markdown(notice.title, notice.text))


class _Members:
    """Who of them cannot be reached is in the log; where that is all, the platform refuses."""

    def __init__(self, app: AppClient, users: Sequence[str]) -> None:
        self._app, self._users = app, tuple(users)

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        text = notice_text(notice.title, notice.text)
        missed = await self._app.send_text(self._users, text)
        if missed:
            log.warning("a notice did not reach %s of NOTIFICATION_CHANNEL", ", ".join(missed))


def build_notices(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    *,
    app: AppClient | None = None,
) -> dict[str, Channel]:
    """Channels for what NOTIFICATION_CHANNEL names; none without it. ``app``: WeCom's, for members.
    Raises ConfigurationError."""
    targets = settings.notice_targets if settings.notification_enabled else ()
    if not targets:
        return {}
    senders: dict[Kind, dict[str, NoticeSender]] = {}
    for target in targets:
        sender = sender_to(target, settings, http, app)
        if isinstance(sender, Unset):
            log.error("%s of NOTIFICATION_CHANNEL needs %s", target.name, sender.variable)
        senders.setdefault(target.kind, {})[target.name] = sender
    channels: dict[str, Channel] = {STAFF: NoticeFan(targets)}
    for kind, of_kind in senders.items():
        channels[notice_channel(kind)] = NoticeChannel(kind, of_kind, database)
    return channels


def sender_to(
    target: Target, settings: Settings, http: httpx.AsyncClient, app: AppClient | None = None
) -> NoticeSender:
    """`Unset` where its credentials are missing. Raises ConfigurationError."""
    variable = missing(target, settings)
    if variable:
        return Unset(target.kind, variable)
    if target.kind == "mail":
        return mail_to(target, settings)
    if app is not None and target.kind == "wecom" and target.to:
        return _Members(app, target.to.split("|"))
    value = _clear(_credential(target.kind, settings)[0]) or ""
    match target.kind:
        case "telegram":
            return TelegramBot(settings.telegram_api_base, value, target.to, http)
        case "feishu":
            return FeishuRobot(value, _clear(settings.feishu_robot_secret), http)
        case "dingtalk":
            return DingtalkRobot(value, _clear(settings.dingtalk_robot_secret), http)
        case "wecom":
            return _Robot(GroupRobot(value, http))
        case "url":
            return _Address(StaffNotifier(value, http))


def missing(target: Target, settings: Settings) -> str:
    """The variable without which nothing can be sent there; empty: all are set."""
    if target.kind == "mail":
        if not settings.smtp_host:
            return "SMTP_HOST"
        return "" if "@" in mail_from(settings) else "SMTP_FROM"
    if target.kind == "wecom" and target.to:
        return "" if settings.wecom_corp_id and settings.wecom_agent_secret else "WECOM_CORP_ID"
    found, variable = _credential(target.kind, settings)
    return "" if found is not None else variable


def _credential(kind: Kind, settings: Settings) -> tuple[SecretStr | None, str]:
    found: Mapping[Kind, tuple[SecretStr | None, str]] = {
        "telegram": (settings.telegram_token, "TELEGRAM_TOKEN"),
        "feishu": (settings.feishu_robot_url, "FEISHU_ROBOT_URL"),
        "dingtalk": (settings.dingtalk_robot_url, "DINGTALK_ROBOT_URL"),
        "wecom": (settings.wecom_robot_url, "WECOM_ROBOT_URL"),
        "url": (settings.staff_notice_url, "KEFU_STAFF_NOTICE_URL"),
    }
    return found[kind]


def _clear(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def mail_from(settings: Settings) -> str:
    return settings.smtp_from or settings.smtp_user


def mail_to(target: Target, settings: Settings) -> MailSender:
    """Raises ConfigurationError."""
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.smtp_user,
        _clear(settings.smtp_password) or "",
        _trust(settings) if settings.smtp_security != "none" else None,
    )
    return MailSender(server, mail_from(settings), target.to)


def _trust(settings: Settings) -> ssl.SSLContext:
    """Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=settings.smtp_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            "SMTP_CA_FILE", f"cannot be read ({type(error).__name__})", "a PEM file"
        ) from None
