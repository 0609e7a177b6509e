"""Qingyunke's chat robot: ``GET /qingyunke/api.php?key=free&appid=0&msg=…``.

The real one answers JSON labelled text/html, with ``{br}`` and ``{face:1}`` in it.
"""

from collections import deque
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from sandbox.jsontext import json_bytes
from sandbox.peer import Peer, Sandbox, call_of

_KNOWN = (
    ("笑话", "小明问爸爸：为什么天是蓝的？{br}爸爸说：因为它在等太阳。{face:14}"),
    ("天气", "适合出门走走呢{face:1}"),
    ("唱歌", "啦啦啦，我是卖报的小行家{face:21}"),
    ("无聊", "那就陪我说说话吧{br}我一直都在呢"),
)
_OTHERWISE = "听起来很有意思呢{br}再多说一点吧{face:5}"


class Answers(BaseModel):
    """``answers``: said in this order before anything of its own."""

    model_config = ConfigDict(extra="forbid")
    answers: list[str] = Field(max_length=1_000)


class QingyunkePeer(Peer):
    name = "qingyunke"
    title = "青云客"
    summary = "闲聊机器人,只用于没有别的回答的闲聊。"
    links = (("已收到的话", "/_sandbox/qingyunke/asked"),)
    empties = frozenset({"api.php"})

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._asked: deque[str] = deque(maxlen=sandbox.settings.max_messages)
        self._answers: deque[str] = deque()
        self.router.add_api_route("/api.php", self.say, methods=["GET"], response_model=None)
        self.admin.add_api_route("/asked", self.asked, methods=["GET"])
        self.admin.add_api_route("/answers", self.script, methods=["PUT"])

    async def say(self, request: Request) -> Response:
        query, call = request.query_params, call_of(request)
        words = query.get("msg", "").strip()
        if query.get("key") != "free" or not words:
            call.verdict(accepted=False)
            return _answer({"result": 1, "content": "参数错误"})
        call.verdict(accepted=True)
        self._asked.append(words)
        return _answer({"result": 0, "content": "" if call.empty else self._said(words)})

    def _said(self, words: str) -> str:
        if self._answers:
            return self._answers.popleft()
        return next((said for word, said in _KNOWN if word in words), _OTHERWISE)

    async def asked(self) -> dict[str, Any]:
        """What it was asked, oldest first."""
        return {"asked": list(self._asked)}

    async def script(self, body: Answers) -> dict[str, Any]:
        """Its next answers."""
        self._answers = deque(body.answers)
        return {"answers": len(self._answers)}

    def error(self, kind: str, status: int) -> Any:
        return {"result": 1, "content": f"injected by the sandbox: HTTP {status}"}

    def facts(self) -> dict[str, Any]:
        return {"asked": len(self._asked)}

    async def reset(self) -> None:
        self._asked.clear()
        self._answers.clear()


def _answer(body: dict[str, Any]) -> Response:
    return Response(json_bytes(body), 200, None, "text/html; charset=utf-8")
