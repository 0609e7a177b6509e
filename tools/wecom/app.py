"""Messages of an application to members, and WeCom's own addresses (reference wecom.md, 5.1, 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.wecom.answers import number, text, texts
from tools.wecom.robot import shortened
from tools.wx.api import WxApi

MAX_TEXT_BYTES = 2_048
MAX_USERS = 1_000
REPEATED_S = 1_800
"""The same words to the same members within this time are one message: a notice whose answer was
lost is sent again."""
MAX_REPEATED_S = 14_400


@dataclass(frozen=True, slots=True)
class AppInfo:
    """``tells_of_entering``: a member who opens the application is an event."""

    name: str
    is_closed: bool
    tells_of_entering: bool


class AppClient:
    """Every method raises PeerUnavailable (again later) or PeerRejected (never again); those of
    the platform's own making have an ``errcode``."""

    def __init__(self, api: WxApi, agent_id: int) -> None:
        self._api, self._agent_id = api, agent_id

    async def send_text(
        self, users: Sequence[str], content: str, *, repeated_s: int = REPEATED_S
    ) -> tuple[str, ...]:
        """Whom it cannot reach; where that is everybody the platform refuses. What is longer than
        2,048 bytes is cut, between characters. ``repeated_s``: the same to the same members within
        so many seconds before is not shown again, at most MAX_REPEATED_S."""
        part = {"content": shortened(_encodable(content), MAX_TEXT_BYTES)}
        return await self._send(users, "text", part, repeated_s)

    async def send_image(
        self, users: Sequence[str], media_id: str, *, repeated_s: int = REPEATED_S
    ) -> tuple[str, ...]:
        return await self._send(users, "image", {"media_id": media_id}, repeated_s)

    async def about(self) -> AppInfo:
        answer = await self._api.get("/agent/get", agentid=self._agent_id)
        closed, tells = number(answer, "close"), number(answer, "isreportenter")
        return AppInfo(text(answer, "name"), closed == 1, tells == 1)

    async def _send(
        self, users: Sequence[str], msgtype: str, part: Mapping[str, str], repeated_s: int
    ) -> tuple[str, ...]:
        body = {
            "touser": "|".join(users),
            "msgtype": msgtype,
            "agentid": self._agent_id,
            msgtype: part,
            "enable_duplicate_check": 1,
            "duplicate_check_interval": min(repeated_s, MAX_REPEATED_S),
        }
        answer = await self._api.post("/message/send", body)
        invalid = (text(answer, name) for name in ("invaliduser", "unlicenseduser"))
        return tuple(user for named in invalid for user in named.split("|") if user)


async def callback_addresses(api: WxApi) -> tuple[str, ...]:
    """From where callbacks come: addresses and ranges, not always all of them."""
    return texts(await api.get("/getcallbackip"), "ip_list")


def notice_text(title: str, text: str) -> str:
    """One message of a notice. Words of customers in it make no link."""
    return f"🚨 {title}\n\n{text}".replace("<", "＜")


def _encodable(content: str) -> str:
    return content.encode("utf-8", "replace").decode()
