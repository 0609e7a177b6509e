"""The official account put together from the settings."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from domain.errors import ConfigurationError
from engine.delivery import Channel
from engine.engine import Engine
from engine.metrics import Metrics
from engine.settings import Settings
from engine.tokens import SharedTokens, shared_tickets, wechat_tokens
from engine.wechat.channel import NoPush, WechatChannel
from engine.wechat.intake import Account, Intake
from engine.wechat.jsapi import JsSignatures
from engine.wechat.orders import OrderNotices
from engine.wechat.replies import PassiveReplies, Timing
from engine.wechat.storing import MESSAGE_WINDOW_S, Storing
from graphs.templates import Templates
from storage.database import Database
from storage.turns import TurnCommit
from tools.pictures.intake import Pictures
from tools.wechat.client import TICKET, WechatClient
from tools.wechat.errors import PEER, WECHAT_ERRORS
from tools.wechat.media import WechatMedia
from tools.wechat.messages import CHANNEL, MEDIA_PREFIX
from tools.wx.api import WxApi
from tools.wx.crypto import CallbackKeys


@dataclass(slots=True)
class Push:
    """What needs the account's secret."""

    channel: WechatChannel
    client: WechatClient
    media: WechatMedia
    jsapi: JsSignatures
    tokens: tuple[SharedTokens, ...]


@dataclass(slots=True)
class Wechat:
    """``push``: None without APPSECRET. ``intake``: None without WECHAT_TOKEN, and before
    `connect`."""

    settings: Settings
    database: Database
    replies: PassiveReplies
    push: Push | None
    clock: Callable[[], float] = time.time
    intake: Intake | None = None

    @property
    def channels(self) -> dict[str, Channel]:
        return {CHANNEL: self.push.channel if self.push is not None else NoPush(self.clock)}

    def order_notices(self) -> OrderNotices | None:
        """None where no template of the account's is to tell of orders."""
        chosen = self.settings
        if self.push is None or not chosen.wechat_order_template:
            return None
        return OrderNotices(
            chosen.appid, chosen.wechat_order_template, chosen.wechat_order_fields, chosen.zone()
        )

    def committed(self, commit: TurnCommit) -> None:
        self.replies.committed(commit)

    def connect(
        self,
        engine: Engine,
        templates: Templates,
        wake: Callable[[Sequence[str]], None],
        pictures: Pictures | None = None,
    ) -> None:
        """``wake``: queues of the outbox that have something to be delivered. ``pictures``: get
        those that customers send at once, for the platform keeps them for three days."""
        self.replies.on_given_back = lambda queue: wake([queue])
        token = self.settings.wechat_token
        if token is None:
            return
        storing = Storing(
            self.database,
            engine.receive,
            quota=self.settings.wechat_quota,
            hold_s=hold_s(self.settings, self.replies.timing.reply),
            on_queue=lambda queue: wake([queue]),
            on_picture=self._early(pictures),
            clock=self.clock,
        )
        account = Account(
            self.settings.appid,
            token.get_secret_value(),
            self.settings.wechat_callbacks(),
            account_keys(self.settings, token.get_secret_value()),
            pushes=self.push is not None,
        )
        self.intake = Intake(account, storing, self.replies, templates, clock=self.clock)

    def _early(self, pictures: Pictures | None) -> Callable[[str], None]:
        if pictures is None or self.push is None:
            return lambda _source: None
        pictures.from_platform(MEDIA_PREFIX.removesuffix(":"), self.push.media.picture)
        return pictures.fetch_early

    async def stop(self) -> None:
        for tokens in self.push.tokens if self.push is not None else ():
            await tokens.stop()


def hold_s(settings: Settings, reply_s: float) -> float:
    """How long an answer is kept back for a response. Where there is no other way, until the
    customer's next message may carry it."""
    return reply_s if settings.appsecret is not None else MESSAGE_WINDOW_S


def build_wechat(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    metrics: Metrics,
    *,
    picture: Callable[[str], Awaitable[bytes]],
    timing: Timing | None = None,
    clock: Callable[[], float] = time.time,
) -> Wechat | None:
    """None without an account. ``picture``: of a deliverable's address. Raises ConfigurationError
    for keys that cannot be used."""
    if not settings.appid:
        return None
    account_keys(
        settings, settings.wechat_token.get_secret_value() if settings.wechat_token else ""
    )
    push = _push(settings, database, http, picture, clock)
    timing = timing or Timing(reply=settings.wechat_reply_s)
    replies = PassiveReplies(database, metrics, timing=timing, retake=push is None, clock=clock)
    return Wechat(settings, database, replies, push, clock)


def _push(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    picture: Callable[[str], Awaitable[bytes]],
    clock: Callable[[], float],
) -> Push | None:
    if settings.appsecret is None:
        return None
    secret, app_id, base = (
        settings.appsecret.get_secret_value(),
        settings.appid,
        settings.wechat_api_base,
    )
    tokens = wechat_tokens(database, http, base, app_id, secret, clock=clock)
    api = WxApi(http, base, tokens, peer=PEER, errors=WECHAT_ERRORS)
    tickets = shared_tickets(
        database, api, TICKET, peer=PEER, account=app_id, secret=secret, clock=clock, type="jsapi"
    )
    client, media = WechatClient(api), WechatMedia(api)
    return Push(
        WechatChannel(database, client, media, picture, clock=clock),
        client,
        media,
        JsSignatures(app_id, tickets, clock=clock),
        (tokens, tickets),
    )


def account_keys(settings: Settings, token: str) -> CallbackKeys | None:
    """None where callbacks are not encrypted. Raises ConfigurationError."""
    if settings.wechat_aes_key is None or not token:
        return None
    try:
        return CallbackKeys(token, settings.wechat_aes_key.get_secret_value(), settings.appid)
    except ConfigurationError as error:
        names = {"Token": "WECHAT_TOKEN", "EncodingAESKey": "WECHAT_AES_KEY"}
        variable = names.get(error.variable, "APPID")
        raise ConfigurationError(variable, error.reason, error.expected) from error
