"""WeCom's parts, built from the settings and put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from domain.errors import ConfigurationError
from domain.messages import InboundMessage, MessageKind
from engine.delivery import Channel
from engine.engine import Engine
from engine.metrics import Metrics
from engine.settings import Settings
from engine.tokens import wecom_tokens
from engine.wecom.callbacks import WecomCallbacks
from engine.wecom.contacts import CONTACTS, EVENT, ContactChannel, ContactEvents, ContactWords
from engine.wecom.kf import Hooks, KfPuller
from engine.wecom.kf_channel import KfChannel
from engine.wecom.kf_hand_over import HandOvers, SessionMoves
from engine.wecom.kf_intake import KfIntake
from engine.wecom.kf_names import KfNames
from engine.wecom.kf_pictures import KfPictures
from engine.wecom.member_channel import MemberChannel, Picture
from engine.wecom.members import Members
from graphs.templates import Templates
from storage.database import Database
from storage.inbox import Receipt
from storage.kf import CHANNEL
from storage.tasks import TaskBook
from storage.turns import TurnCommit
from tools.pictures.intake import Pictures
from tools.wecom.app import AppClient
from tools.wecom.app_inbox import CHANNEL as MEMBERS
from tools.wecom.contacts import ContactsClient
from tools.wecom.errors import PEER, WECOM_ERRORS
from tools.wecom.kf import KfClient
from tools.wecom.kf_messages import MEDIA_SCHEME
from tools.wecom.media import MediaClient, MediaUploads
from tools.wecom.tokens import CorpTokens, DirectTokens
from tools.wx import addresses
from tools.wx.api import WxApi, WxCalls
from tools.wx.crypto import CallbackKeys

KF_PATIENCE_S = 7_200.0
"""How long an answer to a customer is tried to be sent."""


@dataclass(slots=True)
class Wecom:
    """What of WeCom runs in one process. ``callbacks``: None where no token and key are set: then
    messages are pulled every minute. Build it before the engine, `join` it to the engine after."""

    api: WxApi
    kf: KfClient
    callbacks: WecomCallbacks | None
    names: KfNames
    channels: dict[str, Channel] = field(default_factory=dict)
    puller: KfPuller | None = None
    hand_overs: HandOvers | None = None

    async def take_bells(self) -> None:
        """Instead of `start` where other processes pull and deliver."""
        if self.puller is not None:
            await self.puller.take_bells()

    async def start(self) -> None:
        self.names.start()
        if self.hand_overs is not None:
            self.hand_overs.start()
        if self.puller is not None:
            await self.puller.start()

    async def stop(self) -> None:
        if self.puller is not None:
            await self.puller.stop()
        if self.hand_overs is not None:
            await self.hand_overs.stop()
        await self.names.stop()

    def committed(self, commit: TurnCommit) -> None:
        if self.hand_overs is not None:
            self.hand_overs.committed(commit)


def build_wecom(
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    metrics: Metrics,
    *,
    picture: Picture | None = None,
) -> Wecom | None:
    """None without WECOM_CORP_ID and WECOM_AGENT_SECRET. ``picture``: of a deliverable's address.
    Raises ConfigurationError."""
    if not settings.wecom_corp_id or settings.wecom_agent_secret is None:
        if settings.wecom_staff:
            raise ConfigurationError(
                "NOTIFICATION_CHANNEL",
                "names members of WeCom, which is not set up",
                "WECOM_CORP_ID, WECOM_AGENT_SECRET and WECOM_AGENT_ID",
            )
        if settings.wecom_app_messages:
            raise _unanswered("WECOM_CORP_ID", "the company's id, with WECOM_AGENT_SECRET")
        return None
    base = settings.wecom_api_base
    secret = settings.wecom_agent_secret.get_secret_value()
    tokens = wecom_tokens(database, http, base, settings.wecom_corp_id, secret)
    api = WxApi(http, base, tokens, peer="wecom", errors=WECOM_ERRORS)
    keys = callback_keys(settings)
    allowed = addresses.readable(settings.wecom_callback_ips)
    callbacks = WecomCallbacks(keys, database, metrics, allowed=allowed) if keys else None
    client, uploads = KfClient(api), MediaUploads(MediaClient(api))
    channel = KfChannel(
        client,
        database,
        SessionMoves(client, database, servicers=settings.wecom_kf_servicers),
        notices=settings.notification_enabled and has_staff(settings),
        pictures=KfPictures(client, uploads, picture) if picture is not None else None,
    )
    contacts = ContactChannel(
        ContactsClient(api), database, _book(settings), tag=settings.wecom_new_customer_tag
    )
    channels: dict[str, Channel] = {CHANNEL: channel, CONTACTS: contacts}
    if settings.wecom_app_messages:
        if callbacks is None:
            raise _unanswered("WECOM_TOKEN", "Token and EncodingAESKey of the callback")
        app = AppClient(api, agent_id(settings))
        channels[MEMBERS] = MemberChannel(app, database, uploads, picture=picture)
    return Wecom(api, client, callbacks, KfNames(client, database), channels)


def _unanswered(missing: str, expected: str) -> ConfigurationError:
    return ConfigurationError(missing, "not set, while WECOM_APP_MESSAGES is on", expected)


def direct_tokens(
    settings: Settings, http: httpx.AsyncClient, *, timeout_s: float = 10.0
) -> DirectTokens:
    """For a few calls beside the service. Raises ConfigurationError."""
    corp, secret = settings.wecom_corp_id, settings.wecom_agent_secret
    if not corp or secret is None:
        missing = "WECOM_AGENT_SECRET" if corp else "WECOM_CORP_ID"
        raise ConfigurationError(missing, "not set", "as the pages of the company show it")
    base = settings.wecom_api_base
    calls = WxCalls(http, base, peer=PEER, errors=WECOM_ERRORS, timeout=timeout_s)
    return DirectTokens(CorpTokens(calls, corp, secret.get_secret_value()))


def direct_api(
    settings: Settings,
    http: httpx.AsyncClient,
    tokens: DirectTokens | None = None,
    *,
    timeout_s: float = 10.0,
) -> WxApi:
    """The calls with `direct_tokens`. Raises ConfigurationError."""
    tokens = tokens or direct_tokens(settings, http, timeout_s=timeout_s)
    base = settings.wecom_api_base
    return WxApi(http, base, tokens, peer=PEER, errors=WECOM_ERRORS, timeout=timeout_s)


def agent_id(settings: Settings) -> int:
    """Raises ConfigurationError."""
    # isdecimal: int() would take other digits and signs too.
    if not (settings.wecom_agent_id.isascii() and settings.wecom_agent_id.isdecimal()):
        raise ConfigurationError(
            "WECOM_AGENT_ID", "is no number", "AgentId as the application's page shows it"
        )
    return int(settings.wecom_agent_id)


def staff_app(settings: Settings, wecom: Wecom | None) -> AppClient | None:
    """Whose messages tell the members that NOTIFICATION_CHANNEL names; None where it names none.
    Raises ConfigurationError."""
    if wecom is None or not (settings.notification_enabled and settings.wecom_staff):
        return None
    return AppClient(wecom.api, agent_id(settings))


def callback_keys(settings: Settings) -> CallbackKeys | None:
    """None where neither the token nor the key is set. Raises ConfigurationError."""
    token, key = settings.wecom_token, settings.wecom_aes_key
    if token is None and key is None:
        return None
    if token is None or key is None:
        missing = "WECOM_TOKEN" if token is None else "WECOM_AES_KEY"
        raise ConfigurationError(missing, "not set", "as shown where the callback is set up")
    try:
        return CallbackKeys(
            token.get_secret_value(), key.get_secret_value(), settings.wecom_corp_id
        )
    except ConfigurationError as error:
        names = {"Token": "WECOM_TOKEN", "EncodingAESKey": "WECOM_AES_KEY"}
        variable = names.get(error.variable, "WECOM_CORP_ID")
        raise ConfigurationError(variable, error.reason, error.expected) from None


def has_staff(settings: Settings) -> bool:
    addresses = (settings.wecom_robot_url, settings.staff_notice_url)
    return bool(settings.notice_targets) or any(one is not None for one in addresses)


def join_kf(
    wecom: Wecom,
    engine: Engine,
    settings: Settings,
    templates: Templates,
    *,
    owner: str,
    on_queues: Callable[[Sequence[str]], None],
    pictures: Pictures | None = None,
) -> None:
    """Customer service's messages go to ``engine`` from now on, and their pictures to
    ``pictures``."""
    database = engine.database
    notices = settings.notification_enabled and has_staff(settings)
    wecom.puller = KfPuller(
        wecom.kf,
        KfIntake(engine.intake, templates, notices=notices),
        database,
        engine.metrics,
        Hooks(_taken(wecom, engine, pictures), on_queues),
        owner=owner,
        alone=database.is_sqlite,
        lease_s=settings.lease_s,
        accounts=settings.wecom_kf_accounts,
    )
    if settings.wecom_kf_hand_over != "desk":
        automatic = settings.wecom_kf_hand_over == "auto"
        wecom.hand_overs = HandOvers(database, on_queues=on_queues, unless_agents=automatic)
    if wecom.callbacks is not None:
        wecom.callbacks.on_bell(wecom.puller.heard)
        words = ContactWords(
            templates, settings.wecom_welcome_name, settings.wecom_new_customer_tag
        )
        events = ContactEvents(database, words, _book(settings), on_queues=on_queues)
        wecom.callbacks.on(EVENT, events.handle)
        if settings.wecom_app_messages:
            Members(
                agent_id(settings),
                database,
                engine.receive,
                templates,
                on_queue=lambda queue: on_queues([queue]),
                on_picture=pictures.fetch_early if pictures is not None else lambda _source: None,
            ).listen(wecom.callbacks)


def _book(settings: Settings) -> TaskBook:
    return TaskBook(settings.zone(), callbacks=False)


def _taken(
    wecom: Wecom, engine: Engine, pictures: Pictures | None
) -> Callable[[InboundMessage, Receipt], None]:
    if pictures is not None:
        scheme = MEDIA_SCHEME.removesuffix(":")
        pictures.from_platform(scheme, MediaClient(wecom.api).content)

    def taken(message: InboundMessage, receipt: Receipt) -> None:
        for attachment in message.attachments:
            if pictures is not None and attachment.kind == MessageKind.IMAGE:
                pictures.fetch_early(attachment.url)
        engine.taken(message, receipt)
        wecom.names.heard_of(message.sender_id)

    return taken
