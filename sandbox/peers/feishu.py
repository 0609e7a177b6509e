"""A custom robot of Feishu: ``POST /feishu/open-apis/bot/v2/hook/{uuid}``.

Reference others.md, 2.1. Every refusal is HTTP 200 with a code, as Feishu answers.
"""

import base64
import hashlib
import hmac
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from sandbox.notice_peer import Limit, Notice, RobotPeer, read_object, text_of
from sandbox.peer import Place, Sandbox, call_of, json_answer

MAX_BYTES = 20 * 1_024
FRESH_S = 3_600
PER_SECOND = 5
BAD_BODY, THROTTLED, BAD_HOOK, BAD_SIGN, NO_KEYWORD, TOO_LONG = (
    9499,
    11232,
    19001,
    19021,
    19024,
    19036,
)
_SIGN_FAILED = "sign match fail or timestamp is not within one hour from current time"
_OK = {
    "code": 0,
    "msg": "success",
    "data": {},
    "Extra": None,
    "StatusCode": 0,
    "StatusMessage": "success",
}


class Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class FeishuPeer(RobotPeer):
    name = "feishu"
    title = "飞书"
    summary = "模拟飞书群的自定义机器人:签名、关键词、限流(每分钟 100 条、每秒 5 条)与错误码。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (("群里的通知", "/_sandbox/feishu/notices"),)
    default_limit = Limit(per_minute=100)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        path = "/open-apis/bot/v2/hook/{hook}"
        self.router.add_api_route(path, self.receive, methods=["POST"], response_model=None)

    def locate(self, path: str) -> Place:
        """The last segment is a secret, not the kind."""
        return Place(self.name, "hook")

    async def receive(self, request: Request) -> Response:
        """Show a message in the group."""
        call = call_of(request)
        try:
            self.show(self._read(await request.body(), request.path_params["hook"]))
        except Refused as refused:
            call.verdict(accepted=False)
            return json_answer({"code": refused.code, "msg": refused.reason, "data": {}})
        call.verdict(accepted=True)
        return json_answer(_OK)

    def _read(self, body: bytes, hook: str) -> Notice:
        """Raises Refused."""
        if len(body) > MAX_BYTES:
            raise Refused(TOO_LONG, "message size exceeds the limit")
        message = read_object(body)
        if message is None:
            raise Refused(BAD_BODY, "Bad Request")
        self._check_sign(message)
        notice = Notice(to="群", text=_shown(message), sent=message)
        if self.lacks_keyword(notice.text):
            raise Refused(NO_KEYWORD, "Key Words Not Found")
        often = self.limiter.take(hook, self.limit.per_minute, self.limit.window_s)
        if not (often and self.limiter.take(f"{hook} second", self._per_second(), 1.0)):
            raise Refused(THROTTLED, "frequency limited psm[lark.oapi.app_platform_runtime]")
        return notice

    def _per_second(self) -> int:
        return PER_SECOND if self.limit == self.default_limit else 0

    def _check_sign(self, message: dict[str, Any]) -> None:
        if self.secret is None:
            return
        stamp, given = text_of(message, "timestamp"), text_of(message, "sign")
        known = stamp.isascii() and stamp.isdigit() and len(stamp) < 13
        fresh = known and abs(self.clock.now() - int(stamp)) <= FRESH_S
        key = f"{stamp}\n{self.secret}".encode()
        right = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest())
        if not fresh or not hmac.compare_digest(right, given.encode()):
            raise Refused(BAD_SIGN, _SIGN_FAILED)

    def error(self, kind: str, status: int) -> Any:
        return {"code": status, "msg": f"injected by the sandbox: HTTP {status}", "data": {}}


def _shown(message: dict[str, Any]) -> str:
    """Raises Refused."""
    kind, content = text_of(message, "msg_type"), message.get("content")
    if kind == "text":
        text = text_of(content, "text")
        if not text:
            raise Refused(BAD_BODY, "Bad Request")
        return text
    if kind == "post" and isinstance(content, dict) and isinstance(content.get("post"), dict):
        return "\n".join(_post_lines(content["post"]))
    if kind == "interactive" and isinstance(message.get("card"), dict):
        return "[卡片]"
    if kind in {"image", "share_chat"} and isinstance(content, dict):
        return f"[{kind}]"
    raise Refused(BAD_BODY, "Bad Request")


def _post_lines(post: dict[str, Any]) -> list[str]:
    found = next((one for one in post.values() if isinstance(one, dict)), {})
    lines = [text_of(found, "title")]
    for row in found.get("content") or ():
        cells = row if isinstance(row, list) else ()
        lines.append("".join(text_of(cell, "text") for cell in cells))
    return lines
