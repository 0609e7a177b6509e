"""WeChat official account: ``/wechat/cgi-bin/*``, and callbacks (reference wechat_official.md).
Every refusal is HTTP 200 with an errcode, as WeChat answers.

Who acts there is played under ``/_sandbox/wechat``: by a test, or by hand on its page.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Protocol

from fastapi import Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.peer import Peer, Place, Sandbox, json_answer
from sandbox.wechat.account_api import AccountApi
from sandbox.wechat.callbacks import CallbackSender, CallbackSettings
from sandbox.wechat.chats import Chats
from sandbox.wechat.codes import BAD_JSON, BUSY, TOO_OFTEN, refusal, refuse_escapes
from sandbox.wechat.followers import Followers, Quotas
from sandbox.wechat.media_api import MOST_BYTES, MediaApi
from sandbox.wechat.messages import Messages, Rules
from sandbox.wechat.play import Play
from sandbox.wechat.templates import Templates, TemplateSettings
from sandbox.wechat.tokens import Classic, Stable, Tokens, TokenSettings
from sandbox.wx.calls import Clock, Endpoint, JsonObject, RefusedCalls
from sandbox.wx.driving import ErrorCode, Shift, errcode_fault, keep_body, phone, show_media
from sandbox.wx.media import MediaStore
from sandbox.wx.serving import CallGate, Manners

_API = "/cgi-bin/"


class _Part(Protocol):
    def clear(self) -> None: ...


class WechatPeer(Peer):
    name = "wechat"
    title = "微信公众号"
    summary = (
        "模拟微信公众号服务器:明文、兼容、安全模式的回调(5 秒超时,共投递 3 次),被动回复的对错,"
        "access_token、客服消息及其条数限制、模板消息、临时素材;错误码与微信一致。"
    )
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("扮演公众号的粉丝", "/_sandbox/wechat/page"),
        ("谁看到了什么", "/_sandbox/wechat/chats"),
        ("违反规则的调用", "/_sandbox/wechat/refused"),
        ("统计", "/_sandbox/wechat/report"),
    )
    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.clock = Clock(sandbox)
        self._refused = RefusedCalls(self.clock)
        self._tokens = Tokens(self.clock, sandbox.chance)
        self._media = MediaStore(self.clock, MOST_BYTES)
        self._chats = Chats(sandbox.settings.max_messages, sandbox.changes, self.clock)
        self._callbacks = CallbackSender(sandbox, self.name, self.clock, self._chats, self._media)
        self._followers = Followers(self.clock)
        self._messages = Messages(self.clock, self._followers, self._chats, self._media)
        self._play = Play(
            self.clock,
            self._callbacks,
            self._followers,
            self._chats,
            self._media,
            sandbox.chance,
        )
        self._templates = Templates(
            self.clock, self._followers, self._chats, self._messages, self._play.finished
        )
        manners = Manners(refusal, bad_form=BAD_JSON, too_often=TOO_OFTEN, look=refuse_escapes)
        self._gate = CallGate(self.clock, self._tokens, self._refused, manners)
        self._answer_as_wechat()
        self._let_drive()

    def _answer_as_wechat(self) -> None:
        add = self.router.add_api_route
        add(_API + "token", self.token, methods=["GET"], response_model=None)
        add(_API + "stable_token", self.stable_token, methods=["POST"], response_model=None)
        MediaApi(self._media, self._gate, self.router)
        for part in (AccountApi(self._followers, self._tokens), self._messages, self._templates):
            self._serve(part.endpoints())

    def _serve(self, endpoints: Iterable[Endpoint]) -> None:
        for one in endpoints:
            self.router.add_api_route(
                _API + one.path,
                self._gate.route(one),
                methods=list(one.methods),
                name=one.path,
                description=one.answer.__doc__,
                response_model=None,
            )

    def _let_drive(self) -> None:
        add = self.admin.add_api_route
        add("/page", self.page, methods=["GET"], response_class=HTMLResponse)
        add("/chats", self._chats.log.chats, methods=["GET"])
        add("/chats/{chat_id}", self._chats.log.chat, methods=["GET"])
        add("/refused", self.refused, methods=["GET"])
        add("/report", self.report, methods=["GET"])
        add("/tokens", self.tokens, methods=["GET"])
        add("/tokens", self.set_tokens, methods=["PUT"])
        add("/tokens/expire", self.expire_tokens, methods=["POST"])
        add("/tokens/replace", self.replace_tokens, methods=["POST"])
        add("/tokens/forget", self.forget_tokens, methods=["POST"])
        add("/callback", self.callback, methods=["GET"])
        add("/callback", self.set_callback, methods=["PUT"])
        add("/callback/verify", self.verify, methods=["POST"])
        add("/callbacks", self.callbacks, methods=["GET"])
        self._play.drive(self.admin)
        add("/quotas", self.set_quotas, methods=["PUT"])
        add("/rules", self.set_rules, methods=["PUT"])
        add("/templates", self.set_templates, methods=["PUT"])
        add("/errcode", self.add_errcode, methods=["POST"], status_code=201)
        add("/calls", self._gate.set_limit, methods=["PUT"])
        add("/clock", self.move_clock, methods=["POST"])
        add("/media", self.upload, methods=["POST"], status_code=201)
        add("/media/{media_id}", self.media, methods=["GET"], response_model=None)

    def locate(self, path: str) -> Place:
        """Of the API all that follows ``cgi-bin``: two of its calls end in ``send``."""
        _, found, rest = path.partition(_API)
        return Place(self.name, rest) if found and rest else super().locate(path)

    # What WeChat answers -------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        """Another token each time; the one before is good for five minutes more."""
        given = dict(request.query_params)

        def work() -> Response:
            return json_answer(self._tokens.classic(Classic.model_validate(given)))

        return self._gate.respond(request, work, given)

    async def stable_token(self, request: Request) -> Response:
        """The same token for all who ask, until five minutes before it ends."""
        body = await request.body()

        def work() -> Response:
            return json_answer(self._tokens.stable(self._gate.taken(Stable, body)))

        return self._gate.respond(request, work, body)

    # What drives and shows it --------------------------------------------------------------

    async def page(self) -> HTMLResponse:
        """A phone on which a person chats as a follower."""
        return phone("wechat.html")

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
            "shown": self._chats.by_source,
            "responses": self._callbacks.seen,
            "refused": self._refused.counts,
            "tokens": self._tokens.shown(),
            "callbacks": callbacks,
            "clock_shift_s": self.clock.shift_s,
        }

    async def tokens(self) -> JsonObject:
        """How often tokens were asked for, made, and bad ones shown."""
        return self._tokens.shown()

    async def set_tokens(self, wanted: TokenSettings) -> JsonObject:
        """Who is believed, and how long a token lives; the secret is never shown."""
        given = wanted.model_dump(exclude_unset=True)
        self._tokens.settings = self._tokens.settings.model_copy(update=given)
        return self._tokens.settings.model_dump(exclude={"secret"})

    async def expire_tokens(self) -> JsonObject:
        """Every token that is out has expired: 42001."""
        return {"expired": self._tokens.expire()}

    async def replace_tokens(self) -> JsonObject:
        """Somebody else has had a new token made: 40001."""
        return {"replaced": self._tokens.take_back()}

    async def forget_tokens(self) -> JsonObject:
        """No token that is out was ever given: 40014."""
        return {"forgotten": self._tokens.forget()}

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
        """Callbacks, how far they got, and responses that followers saw an error instead of;
        ``wait`` seconds for none to be pending."""
        sender = self._callbacks
        await self.sandbox.changes.until(lambda: sender.pending == 0, wait)
        return sender.shown(max(0, limit)) | {"wrong": list(sender.wrong)}

    async def set_quotas(self, wanted: Quotas) -> JsonObject:
        """How many messages which trigger allows from now on; the rest is as usual."""
        self._followers.quotas = wanted
        return wanted.model_dump()

    async def set_rules(self, wanted: Rules) -> JsonObject:
        """What the account may do."""
        self._messages.rules = wanted
        return wanted.model_dump()

    async def set_templates(self, wanted: TemplateSettings) -> JsonObject:
        """Which templates there are."""
        self._templates.settings = wanted
        return wanted.model_dump()

    async def add_errcode(self, wanted: ErrorCode) -> JsonObject:
        """A fault as WeChat has them: HTTP 200, and a code in the body."""
        body = refusal(wanted.errcode, wanted.errmsg)
        return self.sandbox.faults.add(errcode_fault(self.name, wanted, body))

    async def move_clock(self, wanted: Shift) -> JsonObject:
        """Let time pass at WeChat: tokens, windows and media expire."""
        self.clock.shift_s += wanted.seconds
        return {"shift_s": self.clock.shift_s, "now": self.clock.now()}

    async def upload(self, request: Request, name: str = "picture.png") -> JsonObject:
        """Keep the body as something that a follower will send."""
        return await keep_body(self.sandbox, request, self._media, name)

    async def media(self, media_id: str) -> Response:
        """What hides behind a media id, as a phone would show it."""
        return show_media(self._media, media_id)

    # What the sandbox asks -----------------------------------------------------------------

    def error(self, kind: str, status: int) -> Any:
        return refusal(BUSY, f"system error, injected by the sandbox (HTTP {status})")

    def facts(self) -> JsonObject:
        return {"shown": self._chats.by_source, "callbacks_pending": self._callbacks.pending}

    async def start(self) -> None:
        await self._callbacks.start()

    async def stop(self) -> None:
        await self._callbacks.stop()

    async def reset(self) -> None:
        self.clock.shift_s = 0.0
        await self._callbacks.clear()
        for part in self._parts():
            part.clear()

    def _parts(self) -> Iterable[_Part]:
        yield from (self._refused, self._tokens, self._media, self._chats)
        yield from (self._followers, self._messages, self._templates, self._gate)
