"""An official account: its platform, played over a real socket, and one process that serves it."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import SecretStr

from engine.bootstrap import EngineParts, assemble_engine, build_services
from engine.metrics import Metrics
from engine.policy import EnginePolicy
from engine.settings import Settings, load_settings
from engine.wechat.build import Wechat, build_wechat, hold_s
from engine.wechat.intake import Answer, Intake
from engine.wechat.replies import Timing
from knowledge.retrieval import Retriever
from storage import history
from storage.database import Database
from tests.databases import open_database
from tests.engine.processes import QUICK, Clock, EchoKnowledge
from tests.tools.webhook.peer_server import PeerServer, running_peer, status
from tools.wx import envelope
from tools.wx.crypto import CallbackKeys, plain_signature
from tools.wx.xml import build

TOKEN, APP_ID, SECRET = "token-of-the-callback", "wxba5fad812f8e6fb9", "the-secret-of-the-account"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
GH = "gh_97417a04a28d"
KEYS = CallbackKeys(TOKEN, AES_KEY, APP_ID)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
_numbers = itertools.count(10**15)


@dataclass
class Phone:
    """What the customer sees: ``passive`` in responses, ``pushed`` as customer-service messages."""

    passive: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        return [*self.passive, *self.pushed]


@dataclass
class Platform:
    """The API side. ``codes``: errcodes to answer the next sends with, 0 sends, None hangs up."""

    url: str = ""
    phones: dict[str, Phone] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def phone(self, openid: str) -> Phone:
        return self.phones.setdefault(openid, Phone())

    def paths(self, path: str) -> list[bytes]:
        return [body for called, _, body in self.calls if called == path]

    async def answer(self, peer: PeerServer, writer: asyncio.StreamWriter) -> None:
        head, body = peer.requests[-1]
        address = urlsplit(head["request-line"].split(" ")[1])
        self.calls.append((address.path, dict(parse_qsl(address.query)), body))
        found = self._answer(address.path, body)
        self.heard.set()
        if found is None:
            writer.close()
            return
        await status(200, json.dumps(found), Content_Type="application/json")(writer)

    def _answer(self, path: str, body: bytes) -> dict[str, Any] | None:
        number = len(self.calls)
        match path:
            case "/cgi-bin/stable_token":
                return {"access_token": f"token-{number}", "expires_in": 7_200}
            case "/cgi-bin/ticket/getticket":
                return {"errcode": 0, "ticket": f"ticket-{number}", "expires_in": 7_200}
            case "/cgi-bin/message/custom/send":
                return self._sent(json.loads(body), body)
            case "/cgi-bin/message/template/send":
                return {"errcode": 0, "errmsg": "ok", "msgid": 2**60 + number}
            case "/cgi-bin/media/upload":
                return {"type": "image", "media_id": f"media-{number}", "created_at": 1}
        return {"errcode": 40035, "errmsg": "unknown"}

    def _sent(self, said: dict[str, Any], body: bytes) -> dict[str, Any] | None:
        code = self.codes.pop(0) if self.codes else 0
        if code is None:
            return None
        if code:
            return {"errcode": code, "errmsg": "refused rid: 1"}
        assert rb"\u" not in body, "WeChat shows escapes to customers"
        content = said[said["msgtype"]]
        self.phone(said["touser"]).pushed.append(content.get("content") or content["media_id"])
        return {"errcode": 0, "errmsg": "ok"}


@dataclass
class Account:
    """One process. `deliver` plays one callback of the platform, `send` all deliveries of it."""

    wechat: Wechat
    parts: EngineParts
    knowledge: EchoKnowledge
    database: Database
    platform: Platform
    clock: Clock
    timing: Timing
    services: Any

    @property
    def intake(self) -> Intake:
        assert self.wechat.intake is not None
        return self.wechat.intake

    async def deliver(
        self,
        message: Mapping[str, Any],
        *,
        gone: asyncio.Event | None = None,
        written: bool = True,
        at: float | None = None,
        **how: Any,
    ) -> Answer:
        """``written``: the process lives on to confirm its response. ``at``: signed then."""
        query, body = callback(message, at=self.clock() if at is None else at, **how)
        answer = await self.intake.take(query, body, gone=gone or asyncio.Event())
        if written:
            await self.intake.written(answer)
        return answer

    async def send(self, message: Mapping[str, Any], *, lost: int = 0, **how: Any) -> Phone:
        """Up to three deliveries; the responses to the first ``lost`` do not arrive."""
        phone = self.platform.phone(message["FromUserName"])
        for number in range(self.timing.deliveries):
            gone = asyncio.Event()
            asked = asyncio.create_task(self.deliver(message, gone=gone, **how))
            patience = asyncio.create_task(asyncio.sleep(self.timing.platform))
            await asyncio.wait([asked, patience], return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and number >= lost:
                patience.cancel()
                show(phone, asked.result())
                return phone
            await patience
            gone.set()
        phone.errors.append("该公众号暂时无法提供服务，请稍后再试")
        return phone

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        return await self.database.read(lambda c: history.rows(c, sql, **params))

    async def until(self, done: Callable[[], Any], *, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not await done():  # noqa: ASYNC110 - rows tell nobody that they changed
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Nothing is unread, and nothing is to be delivered."""

        async def nothing_left() -> bool:
            unread = await self.rows("SELECT 1 FROM conversations WHERE due_at IS NOT NULL")
            pending = await self.rows("SELECT 1 FROM outbox WHERE status = 'pending'")
            return not unread and not pending

        await self.until(nothing_left)

    async def pushed(self, openid: str, count: int = 1) -> list[str]:
        """What customer-service messages have brought, once they are ``count`` and all is quiet."""
        phone = self.platform.phone(openid)
        async with asyncio.timeout(60):
            while len(phone.pushed) < count:
                self.platform.heard.clear()
                await self.platform.heard.wait()
        await self.quiet()
        return phone.pushed


def show(phone: Phone, answer: Answer) -> None:
    """As the platform reads a response."""
    if answer.body in (b"success", b""):
        return
    body = answer.body
    if b"Encrypt" in body:
        fields = envelope.fields_of(body)
        signed = {
            "msg_signature": fields["MsgSignature"],
            "timestamp": str(fields["TimeStamp"]),
            "nonce": fields["Nonce"],
        }
        body = KEYS.open(fields["Encrypt"], **signed)
    fields = envelope.fields_of(body)
    assert (fields["FromUserName"], fields["MsgType"]) == (GH, "text")
    assert fields["Content"]
    phone.passive.append(str(fields["Content"]))


def text(content: str, openid: str = "o1", **more: Any) -> dict[str, Any]:
    return {
        "ToUserName": GH,
        "FromUserName": openid,
        "CreateTime": int(time.time()),
        "MsgType": "text",
        "Content": content,
        "MsgId": next(_numbers),
    } | more


def ask(what: str, openid: str = "o1") -> dict[str, Any]:
    """A question that only knowledge can answer."""
    return text(f"充电桩{what}怎么安装", openid)


def event(name: str, openid: str = "o1", **more: Any) -> dict[str, Any]:
    fields = text("", openid, MsgType="event", Event=name, **more)
    return {key: value for key, value in fields.items() if key not in ("Content", "MsgId")}


def callback(
    message: Mapping[str, Any],
    *,
    at: float,
    sealed: bool = False,
    beside: bool = False,
    as_json: bool = False,
    nonce: str = "",
) -> tuple[dict[str, str], bytes]:
    """``beside``: the message stands in the body unencrypted too, as in compatible mode."""
    stamp, nonce = str(int(at)), nonce or str(next(_numbers))
    query = {
        "signature": plain_signature(TOKEN, stamp, nonce),
        "timestamp": stamp,
        "nonce": nonce,
        "openid": str(message["FromUserName"]),
    }
    body = json.dumps(message, ensure_ascii=False).encode() if as_json else build(dict(message))
    if not sealed:
        return query, body
    made = KEYS.seal(body, timestamp=stamp, nonce=nonce)
    query |= {"encrypt_type": "aes", "msg_signature": made.msg_signature}
    shown = dict(message) if beside else {"ToUserName": GH}
    fields = shown | {"Encrypt": made.encrypt}
    return query, json.dumps(fields).encode() if as_json else build(fields)


@contextlib.asynccontextmanager
async def running_platform() -> AsyncIterator[Platform]:
    platform = Platform()
    found: list[PeerServer] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        await platform.answer(found[0], writer)

    async with running_peer(answer) as peer:
        found.append(peer)
        platform.url = peer.url.removesuffix("/hook")
        yield platform


def settings_of(platform: Platform, **more: Any) -> Settings:
    chosen = {
        "wechat_token": SecretStr(TOKEN),
        "appid": APP_ID,
        "appsecret": SecretStr(SECRET),
        "wechat_api_base": platform.url,
    }
    return load_settings(env_files=None, **chosen | more)


@contextlib.asynccontextmanager
async def serving(
    url: str,
    *,
    timing: Timing | None = None,
    policy: EnginePolicy = QUICK,
    owner: str = "p1",
    played: Platform | None = None,
    **more: Any,
) -> AsyncIterator[Account]:
    """``played``: the platform of another process of the same account."""
    timing = timing or Timing()
    async with contextlib.AsyncExitStack() as stack:
        platform = played
        if platform is None:
            platform = await stack.enter_async_context(running_platform())
        settings = settings_of(platform, **more)
        database = stack.enter_context(open_database(url))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        clock, metrics, knowledge = Clock(), Metrics(), EchoKnowledge()
        wechat = build_wechat(
            settings, database, http, metrics, picture=_picture, timing=timing, clock=clock
        )
        assert wechat is not None
        services = replace(
            build_services(settings, cast(Retriever, knowledge), None), retriever=knowledge
        )
        parts = assemble_engine(
            database,
            services,
            wechat.channels,
            replace(policy, passive_s={"wechat": hold_s(settings, timing.reply)}),
            owner=owner,
            alone=False,
            metrics=metrics,
            on_commit=wechat.committed,
            clock=clock,
        )
        wechat.connect(parts.engine, services.templates, parts.wake_queues)
        await parts.engine.start()
        try:
            yield Account(wechat, parts, knowledge, database, platform, clock, timing, services)
        finally:
            await parts.engine.stop(grace_s=2.0)
            await wechat.stop()


async def _picture(url: str) -> bytes:
    return PNG
