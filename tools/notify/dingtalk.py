"""A custom robot of a DingTalk group (reference others.md, 3.1).

It takes no id of a message: where its answer is lost, the notice that is sent again is shown twice.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from tools.notify import robots
from tools.notify.protocol import StaffNotice
from tools.notify.robots import Answers, json_body
from tools.notify.wording import fitting, plain
from tools.wx.errors import Fault

PEER = "dingtalk"
MAX_BODY_BYTES = 20_000
BLOCKED_S = 600.0
"""Who sends more than 20 messages within a minute is blocked for ten."""
_GONE = Fault("机器人不存在或已被移出群,请更新 DINGTALK_ROBOT_URL")
FAULTS = {
    -1: Fault("钉钉繁忙,稍后自动重试", again=True),
    88: Fault("钉钉拒绝了调用"),
    130101: Fault("发送过于频繁,机器人被停十分钟,之后自动重试", again=True, after_s=BLOCKED_S),
    300001: _GONE,
    300005: _GONE,
    310000: Fault("没有通过机器人的安全设置,请核对 DINGTALK_ROBOT_SECRET、关键词、IP 与本机时间"),
}
ANSWERS = Answers(PEER, "errcode", "errmsg", FAULTS, "钉钉拒绝了消息")


def sign(secret: str, timestamp_ms: int) -> str:
    """Before it is encoded for the query. What Feishu has for a key is signed here."""
    signed = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def signed_url(url: str, secret: str | None, timestamp_ms: int) -> str:
    """``url`` has the access token in its query, to which httpx's ``params`` would not add."""
    if secret is None:
        return url
    query = urlencode({"timestamp": timestamp_ms, "sign": sign(secret, timestamp_ms)})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def body_of(text: str) -> bytes:
    """Plain text: nothing that a customer writes is read as markdown, or calls anybody."""

    def whole(part: str) -> bytes:
        return json_body({"msgtype": "text", "text": {"content": part}})

    return whole(fitting(text, MAX_BODY_BYTES, lambda part: len(whole(part))))


class DingtalkRobot:
    """``url``: the robot's whole address. ``timeout``: seconds for one whole call. ``http`` belongs
    to the caller."""

    def __init__(
        self,
        url: str,
        secret: str | None,
        http: httpx.AsyncClient,
        timeout: float = 10.0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._secret, self._http = url, secret, http
        self._key = "".join(parse_qs(urlsplit(url).query).get("access_token", ())[:1])
        self._timeout, self._clock = timeout, clock

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        """Raises PeerUnavailable (try again) or PeerRejected."""
        url = signed_url(self._url, self._secret, int(self._clock() * 1_000))
        await robots.post(
            self._http,
            url,
            body_of(plain(notice)),
            ANSWERS,
            key=self._key,
            timeout=self._timeout,
        )
