"""Messages between apps and members: ``/cgi-bin/message/*``, and what members write to an app."""

import hashlib
import re
import secrets
from collections import OrderedDict
from typing import Any, Literal
from xml.etree import ElementTree

import orjson
from fastapi import APIRouter
from pydantic import ConfigDict, Field, JsonValue

from sandbox import wxcrypt
from sandbox.deliverables import drawn_for
from sandbox.inbox import Inbox
from sandbox.jsontext import json_bytes
from sandbox.wecom.api import (
    BAD_AGENT,
    BAD_MESSAGE_TYPE,
    BAD_PARAMETER,
    EMPTY_CONTENT,
    NOBODY_LEFT,
    TOO_LARGE_CONTENT,
    TOO_OFTEN,
)
from sandbox.wecom.callbacks import CallbackSender
from sandbox.wecom.chats import Chats
from sandbox.wecom.people import People
from sandbox.wx.calls import (
    GET,
    Body,
    Clock,
    Endpoint,
    JsonObject,
    Refused,
    RefusedCalls,
    Setting,
    bytes_of,
    require,
)
from sandbox.wx.limits import Limiter
from sandbox.wx.media import MediaStore

AGENT_ID, APP_NAME = 1000002, "智能客服"
TEXT_BYTES = 2_048
ALARM = "🚨"
_MOST_USERS, _MOST_PARTIES = 1_000, 100
_MEDIA = frozenset({"image", "voice", "video", "file"})
_NEEDED: dict[str, tuple[str, ...]] = {
    "text": ("content",),
    "markdown": ("content",),
    "textcard": ("title", "description", "url"),
    "news": ("articles",),
    "miniprogram_notice": ("appid", "title"),
    "template_card": ("card_type",),
    **dict.fromkeys(_MEDIA, ("media_id",)),
}
_MOST_ARTICLES = 8
_KEPT_MESSAGES = 50_000
_TAKEN_AS_NOTHING = frozenset({b"", b"success"})


class AppSettings(Setting):
    """``agents``: those that exist; None: any. ``per_minute``: messages of an app to one member,
    the rest is refused or, as the documents have it, silently dropped. ``closed``: the company has
    switched the apps off."""

    agents: tuple[int, ...] | None = Field(default=None, max_length=100)
    per_minute: int = Field(default=30, ge=0)
    over: Literal["refuse", "drop"] = "refuse"
    closed: bool = False


class Send(Body):
    """``model_extra`` has the part that is named like ``msgtype``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    touser: str = ""
    toparty: str = ""
    totag: str = ""
    msgtype: str
    agentid: int = Field(strict=True)
    enable_duplicate_check: int = Field(default=0, ge=0, le=1)
    duplicate_check_interval: int = Field(default=1_800, ge=0, le=14_400)


class WhichApp(Body):
    agentid: int


class Recalled(Body):
    msgid: str = Field(min_length=1)


class MemberSays(Setting):
    """``fields`` in WeCom's spelling complete what the type does not have as text: an event's
    ``EventKey``, a picture's ``MediaId`` (one is drawn where there is none)."""

    userid: str = Field(min_length=1, max_length=64)
    agent_id: int = AGENT_ID
    msgtype: str = Field(default="text", pattern=r"^[a-z_]{1,32}$")
    text: str = Field(default="", max_length=20_000)
    fields: dict[str, JsonValue] = Field(default_factory=dict)
    msgid: str | None = Field(default=None, pattern=r"^[0-9]{1,19}$")


class AppMessages:
    def __init__(
        self,
        clock: Clock,
        callbacks: CallbackSender,
        chats: Chats,
        media: MediaStore,
        people: People,
        refused: RefusedCalls,
        inbox: Inbox,
    ) -> None:
        self._clock, self._callbacks, self._chats = clock, callbacks, chats
        self._inbox = inbox
        self._media, self._people, self._refused = media, people, refused
        self.settings = AppSettings()
        self._taken = Limiter(clock)
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._sent: OrderedDict[str, list[str]] = OrderedDict()
        self._msgid = 7_000_000_000_000_000_000

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint("message/send", Send, self.send),
            Endpoint("message/recall", Recalled, self.recall),
            Endpoint("agent/get", WhichApp, self.about, GET),
        )

    def drive(self, admin: APIRouter) -> None:
        admin.add_api_route("/app/say", self.say, methods=["POST"], status_code=202)
        admin.add_api_route("/app/settings", self.set_settings, methods=["PUT"])

    # What the service sends ----------------------------------------------------------------

    def send(self, wanted: Send) -> JsonObject:
        agents = self.settings.agents
        require(agents is None or wanted.agentid in agents, BAD_AGENT, "invalid agentid", "nobody")
        content = self._checked(wanted.msgtype, (wanted.model_extra or {}).get(wanted.msgtype))
        users, invalid = self._receivers(wanted)
        require(users, NOBODY_LEFT, "user & party & tag all invalid", "nobody")
        msgid = "msg" + secrets.token_urlsafe(32)
        told = _digest(wanted, content)
        if not self._is_repeated(wanted, told):
            shown = [user for user in users if self._may_have_one_more(wanted.agentid, user)]
            self._show(msgid, shown, wanted, content)
            self._remember(wanted, told)
        return invalid | {"msgid": msgid}

    def _checked(self, msgtype: str, content: Any) -> JsonObject:
        if msgtype not in _NEEDED:
            raise Refused(BAD_MESSAGE_TYPE, "invalid message type")
        if not isinstance(content, dict):
            raise Refused(BAD_PARAMETER, f"invalid Request Parameter, {msgtype} missing")
        for name in _NEEDED[msgtype]:
            require(content.get(name), EMPTY_CONTENT, f"empty {msgtype}.{name}")
        if msgtype in _MEDIA:
            self._media.get(str(content["media_id"]), msgtype)
        elif msgtype == "news":
            few = isinstance(content["articles"], list)
            require(few and len(content["articles"]) <= _MOST_ARTICLES, 45008, "article count")
        elif msgtype == "markdown":
            fits = bytes_of(str(content["content"])) <= TEXT_BYTES
            require(fits, TOO_LARGE_CONTENT, "markdown.content exceed max length 2048")
        elif msgtype == "text":
            return {**content, "content": _cut(str(content["content"]), TEXT_BYTES)}
        return content

    def _receivers(self, wanted: Send) -> tuple[list[str], JsonObject]:
        """Who gets it, and which of those named do not exist."""
        people = self._people
        if wanted.touser == "@all":
            return list(people.members or ("@all",)), _invalid((), (), ())
        named, parties, tags = (_split(t) for t in (wanted.touser, wanted.toparty, wanted.totag))
        too_many = len(named) > _MOST_USERS or max(len(parties), len(tags)) > _MOST_PARTIES
        require(not too_many, BAD_PARAMETER, "invalid Request Parameter, too many receivers")
        users = [user for user in named if people.is_member(user)]
        unknown = [user for user in named if not people.is_member(user)]
        for group in (*parties, *tags):
            users += people.groups.get(group, ())
        groups = people.groups
        invalid = _invalid(
            unknown, [p for p in parties if p not in groups], [t for t in tags if t not in groups]
        )
        return list(dict.fromkeys(users)), invalid

    def _may_have_one_more(self, agent: int, user: str) -> bool:
        """Raises Refused if that is how the limit is kept."""
        if self._taken.take(f"{agent}/{user}", self.settings.per_minute, 60.0):
            return True
        require(self.settings.over == "drop", TOO_OFTEN, "api freq out of limit", "frequency")
        return False

    def _is_repeated(self, wanted: Send, told: bytes) -> bool:
        known = self._seen.get(told)
        if not wanted.enable_duplicate_check or known is None:
            return False
        return self._clock.now() - known < wanted.duplicate_check_interval

    def _remember(self, wanted: Send, told: bytes) -> None:
        if wanted.enable_duplicate_check:
            self._seen[told] = self._clock.now()
        while len(self._seen) > _KEPT_MESSAGES:
            self._seen.popitem(last=False)

    def _show(self, msgid: str, users: list[str], wanted: Send, content: JsonObject) -> None:
        for user in users:
            chat = f"app/{wanted.agentid}/{user}"
            self._chats.add(chat, "service", wanted.msgtype, content, msgid=msgid)
            self._note(user, str(content.get("content", "")))
        self._sent[msgid] = users
        while len(self._sent) > _KEPT_MESSAGES:
            self._sent.popitem(last=False)

    def _note(self, user: str, text: str) -> None:
        """The same application answers members who write to it; notices begin with an alarm."""
        if text.startswith(ALARM):
            self._inbox.add("wecom", user, text, self._clock.now())

    def about(self, wanted: WhichApp) -> JsonObject:
        agents = self.settings.agents
        require(agents is None or wanted.agentid in agents, BAD_AGENT, "invalid agentid", "nobody")
        return {
            "agentid": wanted.agentid,
            "name": APP_NAME,
            "description": "",
            "close": int(self.settings.closed),
            "isreportenter": 1,
        }

    def recall(self, wanted: Recalled) -> JsonObject:
        users = self._sent.pop(wanted.msgid, None)
        require(users is not None, BAD_PARAMETER, "invalid msgid", "msgid")
        return {}

    # What members write --------------------------------------------------------------------

    async def say(self, said: MemberSays) -> JsonObject:
        """A member writes to an app, or with an event clicks there; events have no MsgId, and are
        nothing that is seen in the chat."""
        given = dict(said.fields)
        if said.msgtype == "image" and not given.get("MediaId"):
            picture = drawn_for(f"{said.userid}/{said.text}")
            given["MediaId"] = self._media.keep("image", "picture.png", picture)
        fields: JsonObject = {
            "FromUserName": said.userid,
            "CreateTime": int(self._clock.now()),
            "MsgType": said.msgtype,
            **({"Content": said.text} if said.msgtype == "text" else {}),
            **given,
        }
        if said.msgtype != "event":
            self._msgid += 1
            fields["MsgId"] = int(said.msgid or self._msgid)
        fields["AgentID"] = said.agent_id
        chat = f"app/{said.agent_id}/{said.userid}"
        msgid = str(fields.get("MsgId", ""))
        if said.msgtype != "event":
            content = {"content": said.text} if said.msgtype == "text" else _spelled(given)
            self._chats.add(chat, "customer", said.msgtype, content, msgid=msgid)
        self._callbacks.send(
            said.msgtype,
            fields,
            agent_id=str(said.agent_id),
            on_answer=lambda body: self._reply(said.userid, chat, body),
        )
        return {"msgid": msgid}

    async def set_settings(self, wanted: AppSettings) -> JsonObject:
        """Change what is given; the rest stays."""
        given = wanted.model_dump(exclude_unset=True)
        self.settings = self.settings.model_copy(update=given)
        return self.settings.model_dump()

    def _reply(self, userid: str, chat: str, body: bytes) -> None:
        """The answer of a callback may be a message, encrypted like the callback."""
        if body.strip() in _TAKEN_AS_NOTHING:
            return
        try:
            reply = _read_reply(self._callbacks.opened(body))
            _check_reply(reply, userid, self._callbacks.settings.corp_id)
        except wxcrypt.Unreadable as error:
            refused = Refused(BAD_PARAMETER, f"passive reply: {error}")
            self._refused.add("callback", refused, body.decode("utf-8", "replace"))
            return
        kind = str(reply["MsgType"])
        if kind == "text":
            self._chats.add(chat, "service", kind, {"content": str(reply.get("Content", ""))})
            return
        part = reply.get(kind.capitalize())
        content = _spelled(part) if isinstance(part, dict) else {}
        self._chats.add(chat, "service", kind, content)

    def clear(self) -> None:
        self.settings = AppSettings()
        self._taken.clear()
        self._seen.clear()
        self._sent.clear()


def _digest(wanted: Send, content: JsonObject) -> bytes:
    """Of what is sent to whom."""
    told = [wanted.agentid, wanted.touser, wanted.toparty, wanted.totag, content]
    return hashlib.blake2b(json_bytes(told), digest_size=16).digest()


def _spelled(fields: JsonObject) -> JsonObject:
    return {_snake(name): value for name, value in fields.items()}


def _snake(name: str) -> str:
    """MediaId, as callbacks spell it, is media_id everywhere else."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _read_reply(plain: bytes) -> JsonObject:
    """Raises Unreadable."""
    try:
        if plain.startswith(b"{"):
            return dict(orjson.loads(plain))
        return _elements(ElementTree.fromstring(plain))  # noqa: S314
    except (ElementTree.ParseError, orjson.JSONDecodeError, UnicodeDecodeError) as error:
        raise wxcrypt.Unreadable(f"{type(error).__name__} {error}") from None


def _elements(parent: ElementTree.Element) -> JsonObject:
    return {one.tag: _elements(one) if len(one) else one.text or "" for one in parent}


def _check_reply(reply: JsonObject, userid: str, corp_id: str) -> None:
    """Raises Unreadable."""
    if (reply.get("ToUserName"), reply.get("FromUserName")) != (userid, corp_id):
        raise wxcrypt.Unreadable("it is not from the company to who wrote")
    if not reply.get("MsgType"):
        raise wxcrypt.Unreadable("it has no MsgType")


def _split(names: str) -> list[str]:
    return [name for name in names.split("|") if name]


def _invalid(users: Any, parties: Any, tags: Any) -> JsonObject:
    return {
        "invaliduser": "|".join(users).lower(),
        "invalidparty": "|".join(parties),
        "invalidtag": "|".join(tags),
        "unlicenseduser": "",
    }


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
