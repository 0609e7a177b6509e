"""A custom robot of DingTalk: ``POST /dingtalk/robot/send?access_token=…&timestamp=…&sign=…``
(reference others.md, 3.1). Every refusal is HTTP 200 with an errcode, as DingTalk answers.
"""

import base64
import hashlib
import hmac
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from sandbox.notice_peer import Limit, Notice, RobotPeer, read_object, text_of
from sandbox.peer import Sandbox, call_of, json_answer

MAX_BYTES = 20_000
FRESH_S = 3_600
BLOCKED_S = 600.0
BAD_BODY, TOO_OFTEN, BAD_TOKEN, INSECURE, TOO_LONG = 40035, 130101, 300001, 310000, 460101


class Refused(Exception):
    def __init__(self, code: int, reason: str, **more: Any) -> None:
        self.answer = {**more, "errcode": code, "errmsg": reason}
        super().__init__(reason)


class DingtalkPeer(RobotPeer):
    name = "dingtalk"
    title = "钉钉"
    summary = "模拟钉钉群的自定义机器人:签名、关键词、每分钟 20 条(超过后停十分钟)与错误码。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (("群里的通知", "/_sandbox/dingtalk/notices"),)
    default_limit = Limit(per_minute=20)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._blocked: dict[str, float] = {}
        self.router.add_api_route(
            "/robot/send", self.receive, methods=["POST"], response_model=None
        )

    async def receive(self, request: Request) -> Response:
        """Show a message in the group."""
        call, query = call_of(request), request.query_params
        try:
            token = query.get("access_token", "")
            if not token:
                raise Refused(BAD_TOKEN, "token is not exist")
            self._check_sign(query.get("timestamp", ""), query.get("sign", ""))
            self.show(self._read(await request.body(), token))
        except Refused as refused:
            call.verdict(accepted=False)
            return json_answer(refused.answer)
        call.verdict(accepted=True)
        return json_answer({"errcode": 0, "errmsg": "ok"})

    def _check_sign(self, stamp: str, given: str) -> None:
        """``given`` is what the query held, decoded once. Raises Refused."""
        if self.secret is None:
            return
        known = stamp.isascii() and stamp.isdigit() and len(stamp) < 16
        if not known or abs(self.clock.now() * 1_000 - int(stamp)) > FRESH_S * 1_000:
            raise Refused(INSECURE, "invalid timestamp")
        signed = f"{stamp}\n{self.secret}".encode()
        digest = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        if not hmac.compare_digest(base64.b64encode(digest), given.encode()):
            raise Refused(INSECURE, "sign not match")

    def _read(self, body: bytes, token: str) -> Notice:
        """Raises Refused."""
        if len(body) > MAX_BYTES:
            raise Refused(TOO_LONG, "message too long, exceed 20000 bytes")
        message = read_object(body)
        if message is None:
            raise Refused(BAD_BODY, "缺少参数 json")
        title, text = _shown(message)
        if self.lacks_keyword(title + text):
            raise Refused(INSECURE, "keywords not in content")
        self._count(token)
        return Notice(to="群", title=title, text=text, sent=message)

    def _count(self, token: str) -> None:
        now = self.clock.now()
        if self._blocked.get(token, 0.0) <= now:
            if self.limiter.take(token, self.limit.per_minute, self.limit.window_s):
                return
            self._blocked[token] = now + BLOCKED_S
        reason = f"send too fast, exceed {self.limit.per_minute} times per minute"
        block = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "sandbox"}
        raise Refused(TOO_OFTEN, reason, **block)

    def error(self, kind: str, status: int) -> Any:
        return {"errcode": -1, "errmsg": f"injected by the sandbox: HTTP {status}"}

    async def reset(self) -> None:
        await super().reset()
        self._blocked.clear()


def _shown(message: dict[str, Any]) -> tuple[str, str]:
    """Title and text. Raises Refused."""
    kind = text_of(message, "msgtype")
    part = message.get(kind)
    if kind == "text":
        title, text = "", text_of(part, "content")
    elif kind in {"markdown", "link", "actionCard"}:
        title, text = text_of(part, "title"), text_of(part, "text")
    else:
        raise Refused(BAD_BODY, f"不合法的消息类型 {kind}")
    if not text or (kind != "text" and not title):
        raise Refused(BAD_BODY, "缺少参数")
    return title, text
