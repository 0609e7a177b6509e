"""A custom robot of a Feishu or Lark group (reference others.md, 2.1).

It takes no id of a message: where its answer is lost, the notice that is sent again is shown twice.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from tools.notify import robots
from tools.notify.protocol import StaffNotice
from tools.notify.robots import Answers, json_body
from tools.notify.wording import fitting, plain
from tools.wx.errors import Fault

PEER = "feishu"
MAX_BODY_BYTES = 20 * 1_024
_THROTTLED_S = 30.0
FAULTS = {
    9499: Fault("请求格式不合规定"),
    11232: Fault("飞书限流(整点、半点尤其常见),稍后自动重试", again=True, after_s=_THROTTLED_S),
    19001: Fault("机器人地址无效或机器人已被移出群,请更新 FEISHU_ROBOT_URL"),
    19021: Fault("签名不符或时间相差一小时以上,请核对 FEISHU_ROBOT_SECRET 与本机时间"),
    19022: Fault("本机 IP 不在机器人的白名单里"),
    19024: Fault("通知里没有机器人要求的关键词;请改用「签名校验」,或把关键词设为「用户」"),
    19036: Fault("消息过长"),
}
ANSWERS = Answers(PEER, "code", "msg", FAULTS, "飞书拒绝了消息")


def sign(secret: str, timestamp: int) -> str:
    """``timestamp`` in seconds. What DingTalk signs is the key here, and nothing is signed."""
    key = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()


def body_of(text: str, *, secret: str | None, timestamp: int) -> bytes:
    """At most 20 KB as a whole; what ``text`` has more is cut."""
    signed = (
        {"timestamp": str(timestamp), "sign": sign(secret, timestamp)} if secret is not None else {}
    )

    def whole(part: str) -> bytes:
        return json_body({**signed, "msg_type": "text", "content": {"text": part}})

    return whole(fitting(harmless(text), MAX_BODY_BYTES, lambda part: len(whole(part))))


def harmless(text: str) -> str:
    """Words of customers call nobody: <at user_id="all"></at> would."""
    return text.replace("<", "＜")


class FeishuRobot:
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
        self._key = urlsplit(url).path.rpartition("/")[2]
        self._timeout, self._clock = timeout, clock

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        """Raises PeerUnavailable (try again) or PeerRejected."""
        body = body_of(plain(notice), secret=self._secret, timestamp=int(self._clock()))
        await robots.post(
            self._http, self._url, body, ANSWERS, key=self._key, timeout=self._timeout
        )
