"""WeCom: ``/wecom/cgi-bin/*`` for apps, ``/wecom/webhook/send`` for group robots, and callbacks
(reference wecom.md). Every refusal is HTTP 200 with an errcode, as WeCom answers.

Who acts there is played under ``/_sandbox/wecom``: by a test, or by hand on its page.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Protocol

from fastapi import Query
from pydantic import Field, JsonValue
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.peer import Peer, Place, Sandbox
from sandbox.peers.wecom_robot import GroupRobot
from sandbox.wecom.api import BAD_PARAMETER, BUSY, TOO_OFTEN, refusal
from sandbox.wecom.app_messages import AppMessages
from sandbox.wecom.basics import Basics
from sandbox.wecom.callbacks import CallbackSender, CallbackSettings
from sandbox.wecom.chats import Chats
from sandbox.wecom.contact_api import ContactApi
from sandbox.wecom.contact_play import ContactPlay
from sandbox.wecom.contact_ways import ContactWays
from sandbox.wecom.contacts import Contacts
from sandbox.wecom.corp_tags import CorpTags
from sandbox.wecom.kf_api import KfApi
from sandbox.wecom.kf_play import KfPlay
from sandbox.wecom.kf_world import KfWorld
from sandbox.wecom.media_api import MediaApi
from sandbox.wecom.people import People
from sandbox.wecom.tokens import Tokens, TokenSettings
from sandbox.wx.calls import Clock, Endpoint, JsonObject, RefusedCalls, Setting
from sandbox.wx.driving import ErrorCode, Shift, errcode_fault, keep_body, phone, show_media
from sandbox.wx.media import MediaStore
from sandbox.wx.serving import CallGate, Manners

_API = "/cgi-bin/"


class _Part(Protocol):
    def clear(self) -> None: ...


class AnyCallback(Setting):
    """``fields`` in WeCom's spelling: a callback of whatever kind."""

    fields: dict[str, JsonValue]
    agent_id: str = Field(default="", max_length=32)


class Members(Setting):
    """Who exists; None: whoever is named. ``groups``: who is in which department or tag."""

    members: tuple[str, ...] | None = Field(max_length=100_000)
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class WecomPeer(Peer):
    name = "wecom"
    title = "企业微信"
    summary = (
        "模拟企业微信服务器:access_token、加密回调(超时重发)、微信客服收发消息与会话状态、"
        "客户联系、应用消息、临时素材、群机器人;错误码与企业微信一致。"
    )
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("扮演微信里的客户,或企业的成员", "/_sandbox/wecom/page"),
        ("谁看到了什么", "/_sandbox/wecom/chats"),
        ("违反规则的调用", "/_sandbox/wecom/refused"),
        ("统计", "/_sandbox/wecom/report"),
        ("群里的通知", "/_sandbox/wecom/notices"),
    )
    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.clock = Clock(sandbox)
        self._refused = RefusedCalls(self.clock)
        self._tokens = Tokens(self.clock, sandbox.chance)
        self._callbacks = CallbackSender(sandbox, self.name)
        self._people = People()
        self._media = MediaStore(self.clock)
        self._chats = Chats(sandbox.settings.max_messages, sandbox.changes, self.clock)
        self._kf = KfWorld(
            sandbox, self.clock, self._callbacks, self._chats, self._media, self._people
        )
        self._robot = GroupRobot(sandbox, self.router, self.admin)
        self._kf_play = KfPlay(self._kf, self.admin)
        self._contacts = Contacts(self.clock, self._callbacks, self._people)
        self._ways, self._tags = ContactWays(self._people), CorpTags(self.clock)
        self._contact_play = ContactPlay(self._contacts, self._ways, self._chats, self.admin)
        self._app = AppMessages(
            self.clock,
            self._callbacks,
            self._chats,
            self._media,
            self._people,
            self._refused,
            sandbox.inbox,
        )
        self._basics = Basics(self.clock)
        self._gate = CallGate(
            self.clock,
            self._tokens,
            self._refused,
            Manners(refusal, bad_form=BAD_PARAMETER, too_often=TOO_OFTEN),
        )
        self._answer_as_wecom()
        self._let_drive()

    def _answer_as_wecom(self) -> None:
        add = self.router.add_api_route
        add(_API + "gettoken", self.gettoken, methods=["GET"], response_model=None)
        MediaApi(self._media, self._gate, self.router)
        contacts = ContactApi(
            self._contacts, self._ways, self._tags, self._people, self._media, self._chats
        )
        for part in (KfApi(self._kf), contacts, self._app, self._basics):
            self._serve(part.endpoints())

    def _serve(self, endpoints: Iterable[Endpoint]) -> None:
        for one in endpoints:
            for method in one.methods:
                self.router.add_api_route(
                    _API + one.path,
                    self._gate.route(one),
                    methods=[method],
                    name=one.path,
                    description=one.answer.__doc__,
                    response_model=None,
                )

    def _let_drive(self) -> None:
        add = self.admin.add_api_route
        add("/page", self.page, methods=["GET"], response_class=HTMLResponse)
        add("/chats", self._chats.log.chats, methods=["GET"])
        add("/chats/{chat_id:path}", self._chats.log.chat, methods=["GET"])
        add("/refused", self.refused, methods=["GET"])
        add("/report", self.report, methods=["GET"])
        add("/tokens", self.tokens, methods=["GET"])
        add("/tokens", self.set_tokens, methods=["PUT"])
        add("/tokens/expire", self.expire_tokens, methods=["POST"])
        add("/tokens/rotate", self.take_tokens_back, methods=["POST"])
        add("/callback", self.callback, methods=["GET"])
        add("/callback", self.set_callback, methods=["PUT"])
        add("/callback/verify", self.verify, methods=["POST"])
        add("/callbacks", self.callbacks, methods=["GET"])
        add("/callbacks", self.send_callback, methods=["POST"], status_code=202)
        add("/errcode", self.add_errcode, methods=["POST"], status_code=201)
        add("/calls", self._gate.set_limit, methods=["PUT"])
        add("/clock", self.move_clock, methods=["POST"])
        add("/members", self.set_members, methods=["PUT"])
        add("/addresses", self._basics.set_addresses, methods=["PUT"])
        self._app.drive(self.admin)
        add("/media", self.upload, methods=["POST"], status_code=201)
        add("/media/{media_id}", self.media, methods=["GET"], response_model=None)

    def locate(self, path: str) -> Place:
        """Of the API all that follows ``cgi-bin``: two of its calls end in ``send``."""
        _, found, rest = path.partition(_API)
        return Place(self.name, rest) if found and rest else super().locate(path)

    # What WeCom answers --------------------------------------------------------------------

    async def gettoken(self, request: Request) -> Response:
        """The token of a secret: the same one until it expires."""
        given = dict(request.query_params)
        return self._gate.json(request, lambda: self._tokens.get(given), given)

    # What drives and shows it --------------------------------------------------------------

    async def page(self) -> HTMLResponse:
        """A phone on which a person chats as a customer."""
        return phone("wecom.html")

    async def refused(
        self,
        rule: Annotated[list[str] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> JsonObject:
        """The latest calls that broke a rule, oldest first; ``rule`` picks kinds of rules."""
        latest = self._refused.shown(rule or ())[-limit:]
        return {"counts": self._refused.counts, "refused": latest}

    async def report(self) -> JsonObject:
        """Counters of everything, for a storm to be judged by."""
        callbacks = self._callbacks.shown(0)
        del callbacks["callbacks"]
        return {
            "kf": self._kf_play.report(),
            "refused": self._refused.counts,
            "tokens": self._tokens.shown(),
            "callbacks": callbacks,
            "clock_shift_s": self.clock.shift_s,
        }

    async def tokens(self) -> JsonObject:
        """How often tokens were asked for, made, and bad ones shown."""
        return self._tokens.shown()

    async def set_tokens(self, wanted: TokenSettings) -> JsonObject:
        """Who is believed, and how long a token lives; secrets are never shown."""
        given = wanted.model_dump(exclude_unset=True)
        self._tokens.settings = self._tokens.settings.model_copy(update=given)
        return self._tokens.settings.model_dump(exclude={"secrets"})

    async def expire_tokens(self) -> JsonObject:
        """Every token that is out has expired: 42001."""
        return {"expired": self._tokens.expire()}

    async def take_tokens_back(self) -> JsonObject:
        """No token that is out is good any more: 40014."""
        return {"taken_back": self._tokens.take_back()}

    async def callback(self) -> JsonObject:
        """How callbacks are sent; keys are never shown."""
        return self._callbacks.settings.shown()

    async def set_callback(self, wanted: CallbackSettings) -> JsonObject:
        """Change what is given; the rest stays."""
        given = wanted.model_dump(exclude_unset=True)
        self._callbacks.settings = self._callbacks.settings.model_copy(update=given)
        return self._callbacks.settings.shown()

    async def verify(self) -> JsonObject:
        """Check the address with an echo, as saving it in the admin pages does."""
        return await self._callbacks.verify()

    async def callbacks(self, limit: int = 100, wait: float = 0.0) -> JsonObject:
        """Callbacks and how far they got; ``wait`` seconds for none to be pending."""
        sender = self._callbacks
        await self.sandbox.changes.until(lambda: sender.pending == 0, wait)
        return sender.shown(max(0, limit))

    async def send_callback(self, wanted: AnyCallback) -> JsonObject:
        """Send what no other route here sends, signed and encrypted like all."""
        what = str(wanted.fields.get("Event", wanted.fields.get("MsgType", "")))
        sent = self._callbacks.send(what, dict(wanted.fields), agent_id=wanted.agent_id)
        return {"number": sent and sent.number}

    async def add_errcode(self, wanted: ErrorCode) -> JsonObject:
        """A fault as WeCom has them: HTTP 200, and a code in the body."""
        body = refusal(wanted.errcode, wanted.errmsg)
        return self.sandbox.faults.add(errcode_fault(self.name, wanted, body))

    async def move_clock(self, wanted: Shift) -> JsonObject:
        """Let time pass at WeCom: tokens, codes, windows and media expire."""
        self.clock.shift_s += wanted.seconds
        return {"shift_s": self.clock.shift_s, "now": self.clock.now()}

    async def set_members(self, wanted: Members) -> JsonObject:
        """Who of the company exists."""
        self._people.members, self._people.groups = wanted.members, dict(wanted.groups)
        return wanted.model_dump()

    async def upload(self, request: Request, name: str = "picture.png") -> JsonObject:
        """Keep the body as something that a customer will send."""
        return await keep_body(self.sandbox, request, self._media, name)

    async def media(self, media_id: str) -> Response:
        """What hides behind a media id, as a phone would show it."""
        return show_media(self._media, media_id)

    # What the sandbox asks -----------------------------------------------------------------

    def error(self, kind: str, status: int) -> Any:
        return refusal(BUSY, f"system busy, injected by the sandbox (HTTP {status})")

    def facts(self) -> JsonObject:
        report = self._kf_play.report()
        del report["accounts"]
        return self._robot.facts() | report | {"callbacks_pending": self._callbacks.pending}

    async def start(self) -> None:
        await self._callbacks.start()

    async def stop(self) -> None:
        self._kf.clear()
        await self._callbacks.stop()

    async def reset(self) -> None:
        self.clock.shift_s = 0.0
        self._kf.clear()
        await self._callbacks.clear()
        for part in self._parts():
            part.clear()

    def _parts(self) -> Iterable[_Part]:
        yield from (self._robot, self._refused, self._tokens, self._people, self._media)
        yield from (self._contacts, self._ways, self._tags, self._contact_play)
        yield from (self._app, self._basics, self._chats, self._gate)
