"""A group robot of WeCom: notices to the group that the robot is in (reference wecom.md, 5.2).

A robot takes no id of a message: where its answer is lost, the notice that is sent again is shown
twice.
"""

import json
import re
from urllib.parse import parse_qs, urlsplit

import httpx

from domain.errors import ConfigurationError, PeerError, PeerRejected, PeerUnavailable
from tools import http_errors
from tools.wx.errors import Fault

PEER = "wecom"
VARIABLE = "WECOM_ROBOT_URL"
MAX_CONTENT_BYTES = 4_096
LIMIT_WINDOW_S = 60.0
"""Twenty messages a minute; who exceeds them is refused for a minute."""
_CUT = "…"
_SHOWN_CHARS = 200


FAULTS = {
    -1: Fault("企业微信繁忙,稍后自动重试", again=True),
    45009: Fault("群机器人每分钟最多 20 条消息,稍后自动重试", again=True, after_s=LIMIT_WINDOW_S),
    45033: Fault("企业微信并发超限,稍后自动重试", again=True),
    40008: Fault("不支持的消息类型"),
    40058: Fault("消息参数不合规定"),
    44004: Fault("消息内容为空"),
    45002: Fault(f"消息内容超过 {MAX_CONTENT_BYTES} 字节"),
    93000: Fault(f"机器人的 key 无效或机器人已被移出群,请更新 {VARIABLE}"),
    93004: Fault("机器人已被停用,请在群里重新启用"),
    93008: Fault("机器人不在群里,请重新添加"),
}


class GroupRobot:
    """``url``: the whole address, ``…/webhook/send?key=…``; the key is in no error. ``timeout``:
    seconds for one whole call. ``http`` belongs to the caller."""

    def __init__(self, url: str, http: httpx.AsyncClient, timeout: float = 10.0) -> None:
        self._url, self._http, self._timeout = url, http, timeout
        self._key = re.compile(re.escape(robot_key(url)))

    async def send(self, content: str) -> None:
        """Show ``content``, markdown, in the group. Raises PeerUnavailable (try again) or
        PeerRejected."""
        body = markdown_body(content)
        try:
            answer = await http_errors.post(
                self._http, self._url, body, peer=PEER, timeout=self._timeout
            )
            check_taken(answer)
        except PeerError as error:
            raise self._without_key(error) from None

    def _without_key(self, error: PeerError) -> PeerError:
        """A peer may repeat what it was called with."""
        reason = self._key.sub("***", error.reason)
        if isinstance(error, PeerUnavailable):
            return PeerUnavailable(PEER, reason, status=error.status, retry_after=error.retry_after)
        return PeerRejected(PEER, reason, status=error.status)


def robot_key(url: str) -> str:
    """Raises ConfigurationError, which shows nothing of ``url``, where it has no key."""
    keys = parse_qs(urlsplit(url).query).get("key", [])
    if len(keys) != 1:
        raise ConfigurationError(
            VARIABLE, "has no key", "the robot's whole address, …/webhook/send?key=…"
        )
    return keys[0]


def notice_markdown(title: str, text: str) -> str:
    """One message of a notice. Words of customers in it call nobody and hide no link."""
    shown = title if "**" in title else f"**{title}**"
    return f"{_harmless(shown)}\n{_harmless(text)}"


def _harmless(text: str) -> str:
    return text.replace("<", "＜").replace("](", "] (")


def markdown_body(content: str) -> bytes:
    # "replace": a lone surrogate in a customer's words must not stop the notice.
    whole = content.encode("utf-8", "replace").decode()
    message = {"msgtype": "markdown", "markdown": {"content": shortened(whole, MAX_CONTENT_BYTES)}}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def shortened(text: str, limit: int) -> str:
    """``text``, or as many whole characters of it as fit with an ellipsis into ``limit`` bytes."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT


def check_taken(answer: bytes) -> None:
    """Raises PeerUnavailable or PeerRejected for every answer but ``errcode`` 0."""
    try:
        found = json.loads(answer)
        code = int(found["errcode"])
        message = str(found.get("errmsg", ""))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        # Not rejected: a proxy's page says nothing about the next attempt.
        raise PeerUnavailable(PEER, "its answer holds no errcode") from None
    if code == 0:
        return
    fault = FAULTS.get(code, Fault("企业微信拒绝了消息"))
    shown = " ".join(message.split())[:_SHOWN_CHARS]
    reason = f"errcode {code}: {fault.advice}" + (f" ({shown})" if shown else "")
    if fault.again:
        raise PeerUnavailable(PEER, reason, retry_after=fault.after_s)
    raise PeerRejected(PEER, reason)
