"""Telegram's Bot API: ``POST /telegram/bot{token}/sendMessage`` (reference others.md, 1).

Of MarkdownV2 it reads what is escaped, and *bold*, _italic_ and ~strike~; all else that the API
wants escaped is refused as there.
"""

import hmac
import re
from typing import Any, ClassVar

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from sandbox.notice_peer import Body, Limit, Notice, NoticePeer, read_object, text_of
from sandbox.peer import Place, Sandbox, call_of, json_answer

MAX_UNITS = 4_096
ALL_CHATS_PER_SECOND = 30
_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{3,100}")
_ENTITIES = {"*": "Bold", "_": "Italic", "~": "Strikethrough"}
_RESERVED = frozenset("[]()`>#+-=|{}.!")
_INT64 = 2**63


class Refused(Exception):
    def __init__(self, status: int, reason: str, **parameters: Any) -> None:
        self.status, self.reason, self.parameters = status, reason, parameters
        super().__init__(reason)


class Token(Body):
    token: str | None = Field(max_length=200)


class Chats(Body):
    """``blocked``: they have blocked the bot; ``unknown``: nobody is there; ``moved``: groups that
    have become another one."""

    blocked: tuple[int | str, ...] = ()
    unknown: tuple[int | str, ...] = ()
    moved: dict[int, int] = Field(default_factory=dict)


class TelegramPeer(NoticePeer):
    name = "telegram"
    title = "Telegram"
    summary = "模拟 Telegram 的机器人接口:令牌、MarkdownV2 转义、长度、每群每分钟 20 条与错误码。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (("会话里的通知", "/_sandbox/telegram/notices"),)
    default_limit = Limit(per_minute=20)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._token: str | None = None
        self._chats = Chats()
        for verb in ("GET", "POST"):
            self.router.add_api_route(
                "/bot{token}/{method}", self.call, methods=[verb], response_model=None
            )
        self.admin.add_api_route("/token", self.set_token, methods=["PUT"])
        self.admin.add_api_route("/chats", self.set_chats, methods=["PUT"])

    async def call(self, request: Request) -> Response:
        """getMe, getChat and sendMessage; all other methods are not there."""
        call, path = call_of(request), request.path_params
        try:
            self._check_token(path["token"])
            result = self._answer(path["method"], await request.body())
        except Refused as refused:
            call.verdict(accepted=False)
            return json_answer(_refusal(refused), refused.status)
        call.verdict(accepted=True)
        return json_answer({"ok": True, "result": result})

    def _check_token(self, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise Refused(404, "Not Found")
        if self._token is not None and not hmac.compare_digest(token, self._token):
            raise Refused(401, "Unauthorized")

    def _answer(self, method: str, body: bytes) -> dict[str, Any]:
        """Raises Refused."""
        if method.lower() == "getme":
            return {"id": 1000001, "is_bot": True, "first_name": "客服通知", "username": "kefu_bot"}
        if method.lower() not in {"sendmessage", "getchat"}:
            raise Refused(404, "Not Found")
        message = read_object(body)
        if message is None:
            raise Refused(400, "Bad Request: can't parse JSON object")
        chat = self._chat(message.get("chat_id"))
        if method.lower() == "getchat":
            return _place(chat)
        text = _read(text_of(message, "text"), text_of(message, "parse_mode"))
        self._count(chat)
        number = self.show(Notice(to=str(chat), text=text, sent=message))
        at = int(self.clock.now())
        return {"message_id": number, "date": at, "chat": _place(chat), "text": text}

    def _chat(self, given: Any) -> int | str:
        if isinstance(given, str) and not given.startswith("@"):
            given = int(given) if re.fullmatch(r"-?[0-9]{1,19}", given) else None
        if given is None or isinstance(given, bool) or not isinstance(given, int | str):
            raise Refused(400, "Bad Request: chat_id is empty")
        if isinstance(given, int) and not -_INT64 <= given < _INT64:
            raise Refused(400, "Bad Request: chat not found")
        moved = self._chats.moved.get(given) if isinstance(given, int) else None
        if moved is not None:
            reason = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refused(400, reason, migrate_to_chat_id=moved)
        if given in self._chats.unknown:
            raise Refused(400, "Bad Request: chat not found")
        if given in self._chats.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        return given

    def _count(self, chat: int | str) -> None:
        """Groups have a limit, a person's chat takes bursts."""
        is_group = isinstance(chat, str) or chat < 0
        most = self.limit.per_minute if is_group or self.limit != self.default_limit else 0
        own = self.limiter.take(str(chat), most, self.limit.window_s)
        if not (own and self.limiter.take("all chats", ALL_CHATS_PER_SECOND, 1.0)):
            wait = max(1, round(self.limit.window_s)) if not own else 1
            reason = f"Too Many Requests: retry after {wait}"
            raise Refused(429, reason, retry_after=wait)

    async def set_token(self, body: Token) -> dict[str, bool]:
        """The only token that is believed; None believes any. It is never shown."""
        self._token = body.token or None
        return {"configured": self._token is not None}

    async def set_chats(self, body: Chats) -> dict[str, Any]:
        self._chats = body
        return body.model_dump()

    def locate(self, path: str) -> Place:
        return Place(self.name, path.rstrip("/").rpartition("/")[2])

    def error(self, kind: str, status: int) -> Any:
        return _refusal(Refused(status, "injected by the sandbox"))

    async def reset(self) -> None:
        await super().reset()
        self._token, self._chats = None, Chats()


def _place(chat: int | str) -> dict[str, Any]:
    return {"id": chat} if isinstance(chat, int) else {"username": chat[1:]}


def _refusal(refused: Refused) -> dict[str, Any]:
    answer = {"ok": False, "error_code": refused.status, "description": refused.reason}
    return answer | ({"parameters": refused.parameters} if refused.parameters else {})


def _read(text: str, mode: str) -> str:
    """What is seen. Raises Refused."""
    if mode not in {"", "MarkdownV2"}:
        raise Refused(400, f"Bad Request: the sandbox reads no {mode!r}, only MarkdownV2")
    shown = markdown_shown(text) if mode else text
    if not shown.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if len(shown.encode("utf-16-le")) // 2 > MAX_UNITS:
        raise Refused(400, "Bad Request: message is too long")
    return shown


def markdown_shown(text: str) -> str:
    """MarkdownV2 without its marks. Raises Refused."""
    shown: list[str] = []
    opened: list[str] = []
    signs = iter(enumerate(text))
    for at, sign in signs:
        if sign == "\\":
            _, sign = next(signs, (at, ""))
        elif sign in _ENTITIES:
            if opened and opened[-1] == sign:
                opened.pop()
            else:
                opened.append(sign)
            continue
        elif sign in _RESERVED:
            raise _unreadable(
                f"Character '{sign}' is reserved and must be escaped with the preceding '\\'"
            )
        shown.append(sign)
    if opened:
        raise _unreadable(f"Can't find end of {_ENTITIES[opened[-1]]} entity")
    return "".join(shown)


def _unreadable(reason: str) -> Refused:
    return Refused(400, f"Bad Request: can't parse entities: {reason}")
