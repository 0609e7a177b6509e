"""Customer service accounts with what belongs to them, and how the service is told of news."""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import Field

from sandbox.jsontext import json_bytes
from sandbox.peer import Sandbox
from sandbox.wecom.api import BAD_OPEN_KFID, BAD_SYNC_TOKEN, NO_OPEN_KFID
from sandbox.wecom.callbacks import CallbackSender
from sandbox.wecom.chats import Chats
from sandbox.wecom.kf_log import KfLog
from sandbox.wecom.kf_sessions import Session, Sessions
from sandbox.wecom.people import People
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting, require
from sandbox.wx.limits import Limiter
from sandbox.wx.media import MediaStore

OPEN_KFID = "wkSandbox0001"
TOKEN_SECONDS = 600.0
FROM_CUSTOMER: Final = 3
FROM_SYSTEM: Final = 4
FROM_SERVICER: Final = 5
_MAX_TOKENS = 50_000
_MAX_SENT_IDS = 200_000


class KfSettings(Setting):
    """``page``: the longest page of sync_msg; rates: of pages that are empty while there is more,
    shorter than they could be, or begin with a message that was there before. ``tokenless``: pulls
    of an account in a minute without a bell's token; 0: without end. ``fail_rate``: messages that
    are accepted and fail later, for ``fail_type``, after ``fail_after_s``. ``bell_share_s``: news
    of that long share one bell; ``bell_loss_rate``: bells that nobody hears. ``bell_names``:
    whether a bell says whose it is, which it did not always. ``repeated_msgid``: the errcode of a
    msgid that was used, which no document names; 0: it is taken, and shown no second time."""

    page: int = Field(default=1_000, ge=1, le=1_000)
    empty_rate: float = Field(default=0.0, ge=0, lt=1)
    short_rate: float = Field(default=0.0, ge=0, le=1)
    repeat_rate: float = Field(default=0.0, ge=0, le=1)
    tokenless: int = Field(default=60, ge=0)
    fail_rate: float = Field(default=0.0, ge=0, le=1)
    fail_type: int = Field(default=0, ge=0, le=12)
    fail_after_s: float = Field(default=0.2, ge=0, le=600)
    bell_share_s: float = Field(default=0.0, ge=0, le=60)
    bell_loss_rate: float = Field(default=0.0, ge=0, le=1)
    bell_names: bool = True
    repeated_msgid: int = 40058


class SentIds:
    """Ids of messages of an account, whoever wrote them, with what they were ids of. Of too many it
    forgets the oldest."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def add(self, msgid: str, message: JsonObject) -> None:
        self._known[msgid] = _digest(message)
        while len(self._known) > _MAX_SENT_IDS:
            self._known.popitem(last=False)

    def __contains__(self, msgid: str) -> bool:
        return msgid in self._known

    def is_same(self, msgid: str, message: JsonObject) -> bool:
        return self._known.get(msgid) == _digest(message)


def _digest(message: JsonObject) -> bytes:
    return hashlib.blake2b(json_bytes(message), digest_size=16).digest()


@dataclass(slots=True)
class Account:
    """``servicers``: by userid, 0 receiving, 1 stopped."""

    open_kfid: str
    name: str
    servicers: dict[str, int] = field(default_factory=lambda: {"zhangsan": 0})
    sent: SentIds = field(default_factory=SentIds)
    pulls: int = 0
    empty_pulls: int = 0
    rings: int = 0


class KfWorld:
    """Its parts are public: the API reads and writes them, and so do those who play people."""

    def __init__(
        self,
        sandbox: Sandbox,
        clock: Clock,
        callbacks: CallbackSender,
        chats: Chats,
        media: MediaStore,
        people: People,
    ) -> None:
        self.sandbox, self.clock, self.callbacks = sandbox, clock, callbacks
        self.chats, self.media, self.people = chats, media, people
        self.settings = KfSettings()
        self.log = KfLog(sandbox.settings.max_messages)
        self.sessions = Sessions(clock)
        self.tokenless = Limiter(clock)
        self.accounts: dict[str, Account] = {}
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._timers: set[asyncio.TimerHandle] = set()
        self._bells: dict[str, asyncio.TimerHandle] = {}
        self.clear()

    def account(self, open_kfid: str) -> Account:
        """Raises Refused."""
        require(open_kfid, BAD_OPEN_KFID, "invalid open_kfid", "nobody")
        found = self.accounts.get(open_kfid)
        if found is None:
            raise Refused(NO_OPEN_KFID, "open_kfid not exist", "nobody")
        return found

    def chat_of(self, session: Session) -> str:
        return f"kf/{session.open_kfid}/{session.external_userid}"

    def later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        """Run ``act`` after real seconds, unless all is forgotten before."""

        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)
        return timer

    # News ----------------------------------------------------------------------------------

    def message(
        self,
        session: Session,
        origin: Literal[3, 5],
        msgtype: str,
        content: JsonObject,
        *,
        msgid: str | None = None,
        send_time: float | None = None,
        servicer: str = "",
        silent: bool = False,
    ) -> JsonObject:
        """Log a message of a customer or a servicer, and tell the service that there is one."""
        sent = self.clock.now() if send_time is None else send_time
        logged: JsonObject = {
            "msgid": msgid or new_msgid(),
            "open_kfid": session.open_kfid,
            "external_userid": session.external_userid,
            "send_time": int(sent),
            "origin": origin,
            "msgtype": msgtype,
            msgtype: content,
        }
        if servicer:
            logged["servicer_userid"] = servicer
        self.accounts[session.open_kfid].sent.add(logged["msgid"], logged)
        self._append(session.open_kfid, logged, sent, silent=silent)
        return logged

    def event(self, open_kfid: str, event_type: str, fields: JsonObject) -> JsonObject:
        """Log an event: the ids that messages have outside, it has inside."""
        now = self.clock.now()
        logged: JsonObject = {
            "msgid": new_msgid(),
            "send_time": int(now),
            "origin": FROM_SYSTEM,
            "msgtype": "event",
            "event": {"event_type": event_type, "open_kfid": open_kfid, **fields},
        }
        self._append(open_kfid, logged, now, silent=False)
        return logged

    def _append(self, open_kfid: str, logged: JsonObject, at: float, *, silent: bool) -> None:
        self.log.add(open_kfid, logged, at)
        self.sandbox.changes.notify()
        if not silent:
            self._news(open_kfid)

    def _news(self, open_kfid: str) -> None:
        wait = self.settings.bell_share_s
        if not wait:
            self.ring(open_kfid)
        elif open_kfid not in self._bells:
            self._bells[open_kfid] = self.later(wait, lambda: self._shared_ring(open_kfid))

    def _shared_ring(self, open_kfid: str) -> None:
        del self._bells[open_kfid]
        self.ring(open_kfid)

    def ring(self, open_kfid: str) -> None:
        """The bell: a callback that says that there is news, and not what."""
        account = self.accounts[open_kfid]
        if self.sandbox.chance.random() < self.settings.bell_loss_rate:
            return
        account.rings += 1
        fields: JsonObject = {
            "CreateTime": int(self.clock.now()),
            "MsgType": "event",
            "Event": "kf_msg_or_event",
            "Token": self.issue_token(open_kfid),
        }
        if self.settings.bell_names:
            fields["OpenKfId"] = open_kfid
        self.callbacks.send("kf_msg_or_event", fields)

    def issue_token(self, open_kfid: str) -> str:
        now = self.clock.now()
        token = "ENC" + secrets.token_urlsafe(32)
        self._tokens[token] = (open_kfid, now + TOKEN_SECONDS)
        while len(self._tokens) > _MAX_TOKENS:
            self._tokens.popitem(last=False)
        return token

    def check_token(self, token: str, open_kfid: str) -> None:
        """Raises Refused."""
        named, expires_at = self._tokens.get(token, ("", 0.0))
        good = expires_at > self.clock.now() and open_kfid in ("", named)
        require(good, BAD_SYNC_TOKEN, "invalid msg token", "token")

    def clear(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._bells.clear()
        self._tokens.clear()
        self.tokenless.clear()
        self.settings = KfSettings()
        self.log.clear()
        self.sessions.clear()
        self.accounts = {OPEN_KFID: Account(OPEN_KFID, "沙箱客服")}


def new_msgid() -> str:
    return "m" + secrets.token_hex(15)
