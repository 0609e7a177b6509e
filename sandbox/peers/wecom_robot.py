"""A WeCom group robot: ``POST /wecom/webhook/send?key=…`` (reference wecom.md, 5.2).

Every refusal is HTTP 200 with an errcode, as WeCom answers. A robot knows no ids: what is sent
twice is shown twice.
"""

import hmac
from collections import defaultdict, deque
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import Sandbox, call_of, json_answer
from sandbox.received import ReceivedLog

PER_MINUTE = 20
MAX_BYTES = {"text": 2_048, "markdown": 4_096, "markdown_v2": 4_096}
_MAX_KEYS = 1_000
BAD_TYPE, BAD_PARAMETER, EMPTY, TOO_OFTEN, BAD_KEY = 40008, 40058, 44004, 45009, 93000


class Message(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    msgtype: str = Field(max_length=64)


class Content(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    content: str = ""


class Shown(BaseModel):
    """A message as the group sees it."""

    msgtype: str
    content: str


class RobotKey(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str | None = Field(max_length=512)


class Limit(BaseModel):
    """``per_minute`` 0: none. ``window_s``: how long a minute is here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    per_minute: int = Field(default=PER_MINUTE, ge=0, le=100_000)
    window_s: float = Field(default=60.0, gt=0, le=3_600)


class Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class GroupRobot:
    """``router`` and ``admin`` are those of the peer that it is a part of."""

    def __init__(self, sandbox: Sandbox, router: APIRouter, admin: APIRouter) -> None:
        self._sandbox = sandbox
        self._key: str | None = None
        self._limit = Limit()
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)
        self._shown = ReceivedLog(sandbox.settings.max_messages, sandbox.changes)
        self._number = 0
        router.add_api_route("/webhook/send", self.send, methods=["POST"], response_model=None)
        admin.add_api_route("/notices", self.notices, methods=["GET"])
        admin.add_api_route("/key", self.set_key, methods=["PUT"])
        admin.add_api_route("/limit", self.set_limit, methods=["PUT"])

    # What WeCom answers --------------------------------------------------------------------

    async def send(self, request: Request) -> Response:
        """Show a message in the group of the robot whose key it is."""
        call = call_of(request)
        try:
            self._show(request.query_params.get("key", ""), await request.body())
        except Refused as refused:
            call.verdict(accepted=False)
            return json_answer(_answer(refused.code, refused.reason))
        call.verdict(accepted=True)
        return json_answer({"errcode": 0, "errmsg": "ok"})

    def _show(self, key: str, body: bytes) -> None:
        """Raises Refused."""
        known = self._key is None or hmac.compare_digest(key.encode(), self._key.encode())
        if not key or not known:
            raise Refused(BAD_KEY, "invalid webhook url")
        shown = _read(body)
        self._count(key)
        self._number += 1
        now = self._sandbox.clock()
        self._shown.add(f"m{self._number}", shown, now)
        self._sandbox.inbox.add("wecom", "群机器人", shown.content, now)
        self._shown.trim()

    def _count(self, key: str) -> None:
        now, taken = self._sandbox.clock(), self._taken[key]
        while taken and taken[0] <= now - self._limit.window_s:
            taken.popleft()
        if self._limit.per_minute and len(taken) >= self._limit.per_minute:
            raise Refused(TOO_OFTEN, "api freq out of limit")
        taken.append(now)
        while len(self._taken) > _MAX_KEYS:
            del self._taken[next(iter(self._taken))]

    # What drives and shows it --------------------------------------------------------------

    async def notices(self, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """What the group was shown, in order; may wait for ``at_least`` messages."""
        await self._sandbox.changes.until(lambda: len(self._shown) >= at_least, wait)
        return {
            "notices": [received.as_dict() for received in self._shown],
            "dropped": self._shown.dropped,
        }

    async def set_key(self, body: RobotKey) -> dict[str, Any]:
        """The only key that is believed; None believes any. It is never shown."""
        self._key = body.key or None
        return {"configured": self._key is not None}

    async def set_limit(self, body: Limit) -> dict[str, Any]:
        """How many messages a robot may send in how long; what was sent counts."""
        self._limit = body
        return body.model_dump()

    def facts(self) -> dict[str, Any]:
        return {"notices": len(self._shown), "dropped": self._shown.dropped}

    def clear(self) -> None:
        self._key, self._limit = None, Limit()
        self._taken.clear()
        self._shown.clear()


def _read(body: bytes) -> Shown:
    """Raises Refused."""
    try:
        message = Message.model_validate_json(body)
    except ValidationError:
        raise Refused(BAD_PARAMETER, "Warning: wrong json format.") from None
    limit = MAX_BYTES.get(message.msgtype)
    if limit is None:
        raise Refused(BAD_TYPE, "invalid message type")
    try:
        part = Content.model_validate((message.model_extra or {}).get(message.msgtype))
    except ValidationError:
        raise Refused(BAD_PARAMETER, "invalid Request Parameter") from None
    if not part.content:
        raise Refused(EMPTY, "empty content")
    if len(part.content.encode("utf-8", "replace")) > limit:
        reason = f"{message.msgtype}.content exceed max length {limit}. invalid Request Parameter"
        raise Refused(BAD_PARAMETER, reason)
    return Shown(msgtype=message.msgtype, content=part.content)


def _answer(code: int, reason: str) -> dict[str, Any]:
    hint = f"more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    return {"errcode": code, "errmsg": f"{reason}, {hint}"}
