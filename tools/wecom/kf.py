"""WeChat customer service: the calls (reference wecom.md, section 3)."""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from domain.errors import PeerRejected
from tools.wecom.errors import PEER
from tools.wecom.kf_messages import KfMessage, parse_message, plain
from tools.wx.api import JsonObject, WxApi

PAGE = 200
"""Of at most 1,000: each page is one transaction, and callbacks wait for it."""
MAX_TEXT_BYTES = 2_048
MAX_CUSTOMERS = 100
_MSGID = re.compile(r"[0-9a-zA-Z_-]{1,32}")
_SCENE = re.compile(r"[0-9a-zA-Z_-]{0,32}")


class SessionState(IntEnum):
    NEW = 0
    ASSISTANT = 1
    QUEUE = 2
    HUMAN = 3
    ENDED = 4


@dataclass(frozen=True, slots=True)
class KfPage:
    """``cursor``: where the next page begins; a page may be empty although ``has_more``."""

    messages: tuple[KfMessage, ...]
    cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class KfSession:
    """``servicer``: only while a person has it."""

    state: SessionState
    servicer: str = ""


@dataclass(frozen=True, slots=True)
class KfAccountInfo:
    open_kfid: str
    name: str
    avatar: str


@dataclass(frozen=True, slots=True)
class KfCustomer:
    """``unionid``: only where an open-platform account is bound."""

    external_userid: str
    nickname: str
    avatar: str
    unionid: str


@dataclass(frozen=True, slots=True)
class Servicer:
    userid: str
    is_receiving: bool


class KfClient:
    """Every method raises PeerUnavailable (again later) or PeerRejected (never again); those of
    the platform's own making have an ``errcode``."""

    def __init__(self, api: WxApi) -> None:
        self._api = api

    # Messages ------------------------------------------------------------------------------

    async def sync(
        self, open_kfid: str, *, cursor: str = "", token: str = "", limit: int = PAGE
    ) -> KfPage:
        """What came after ``cursor``; empty: in the last three days. ``token``: of a bell that is
        younger than ten minutes; pulls without one are strictly limited."""
        body: JsonObject = {"open_kfid": open_kfid, "limit": limit, "voice_format": 0}
        body |= {"cursor": cursor} if cursor else {}
        body |= {"token": token} if token else {}
        answer = await self._api.post("/kf/sync_msg", body)
        messages = tuple(parse_message(one, open_kfid) for one in _list(answer, "msg_list"))
        following = _text(answer, "next_cursor")
        return KfPage(messages, following or cursor, answer.get("has_more") in (1, True))

    async def send_text(self, open_kfid: str, customer: str, content: str, *, msgid: str) -> None:
        """``msgid``: one of ours, for good: a repeated one is refused."""
        body = {"touser": customer, "open_kfid": open_kfid, "msgid": _checked(msgid)}
        await self._api.post("/kf/send_msg", body | _text_message(content))

    async def send(
        self, open_kfid: str, customer: str, msgtype: str, content: JsonObject, *, msgid: str
    ) -> None:
        """A message of any other type, e.g. image with ``media_id``."""
        body = {"touser": customer, "open_kfid": open_kfid, "msgid": _checked(msgid)}
        await self._api.post("/kf/send_msg", body | {"msgtype": msgtype, msgtype: content})

    async def send_on_event(self, code: str, content: str, *, msgid: str) -> None:
        """A code works once, and does not count as one of the five messages."""
        body = {"code": code, "msgid": _checked(msgid)}
        await self._api.post("/kf/send_msg_on_event", body | _text_message(content))

    # Sessions ------------------------------------------------------------------------------

    async def session(self, open_kfid: str, customer: str) -> KfSession:
        body = {"open_kfid": open_kfid, "external_userid": customer}
        answer = await self._api.post("/kf/service_state/get", body)
        try:
            state = SessionState(int(answer.get("service_state", -1)))
        except (ValueError, TypeError):
            raise PeerRejected(PEER, "its answer holds no service_state that we know") from None
        return KfSession(state, _text(answer, "servicer_userid"))

    async def change_session(
        self, open_kfid: str, customer: str, state: SessionState, *, servicer: str = ""
    ) -> str:
        """The code for the word that goes with it (`send_on_event`); empty where there is none."""
        body: JsonObject = {"open_kfid": open_kfid, "external_userid": customer}
        body |= {"service_state": int(state)} | ({"servicer_userid": servicer} if servicer else {})
        answer = await self._api.post("/kf/service_state/trans", body)
        return _text(answer, "msg_code")

    # Accounts and people -------------------------------------------------------------------

    async def accounts(self) -> tuple[KfAccountInfo, ...]:
        """All that the application may serve."""
        found: list[KfAccountInfo] = []
        while True:
            page = {"offset": len(found), "limit": MAX_CUSTOMERS}
            listed = _list(await self._api.post("/kf/account/list", page), "account_list")
            found += [
                KfAccountInfo(_text(one, "open_kfid"), _text(one, "name"), _text(one, "avatar"))
                for one in listed
            ]
            if len(listed) < MAX_CUSTOMERS:
                return tuple(found)

    async def contact_way(self, open_kfid: str, scene: str = "") -> str:
        """A link that opens a chat with the account; ``scene`` comes back in enter_session."""
        if not _SCENE.fullmatch(scene):
            raise PeerRejected(PEER, f"scene {scene!r} is not up to 32 of 0-9 a-z A-Z _ -")
        body = {"open_kfid": open_kfid} | ({"scene": scene} if scene else {})
        return _text(await self._api.post("/kf/add_contact_way", body), "url")

    async def customers(self, external_userids: tuple[str, ...]) -> tuple[KfCustomer, ...]:
        """Those that are known, of at most 100."""
        body = {"external_userid_list": list(external_userids), "need_enter_session_context": 0}
        answer = await self._api.post("/kf/customer/batchget", body)
        return tuple(
            KfCustomer(
                _text(one, "external_userid"),
                _text(one, "nickname"),
                _text(one, "avatar"),
                _text(one, "unionid"),
            )
            for one in _list(answer, "customer_list")
        )

    async def servicers(self, open_kfid: str) -> tuple[Servicer, ...]:
        """People, without whole departments."""
        answer = await self._api.get("/kf/servicer/list", open_kfid=open_kfid)
        return tuple(
            Servicer(_text(one, "userid"), one.get("status") == 0)
            for one in _list(answer, "servicer_list")
            if one.get("userid")
        )


def _text_message(content: str) -> dict[Literal["msgtype", "text"], Any]:
    return {"msgtype": "text", "text": {"content": content}}


def _checked(msgid: str) -> str:
    if not _MSGID.fullmatch(msgid):
        raise PeerRejected(PEER, f"msgid {msgid!r} is not 1 to 32 of 0-9 a-z A-Z _ -")
    return msgid


def _text(answer: JsonObject, name: str) -> str:
    value = answer.get(name)
    return plain(value) if isinstance(value, str) else ""


def _list(answer: JsonObject, name: str) -> list[JsonObject]:
    value = answer.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
