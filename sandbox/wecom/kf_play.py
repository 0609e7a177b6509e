"""Customers and servicers of customer service, for tests and people to play."""

from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field, JsonValue

from domain.messages import MAX_NAME_CHARS
from sandbox.deliverables import drawn_for
from sandbox.wecom.kf_sessions import ENDED, HUMAN, Session, SessionRules
from sandbox.wecom.kf_world import (
    FROM_CUSTOMER,
    FROM_SERVICER,
    OPEN_KFID,
    Account,
    KfSettings,
    KfWorld,
    new_msgid,
)
from sandbox.wx.calls import JsonObject, Refused, Setting
from sandbox.wx.media import FROM_CUSTOMER_BYTES

ID = Field(min_length=1, max_length=64)
_MEDIA = ("image", "voice", "video", "file")
_TOO_LARGE = "[收到一条暂不支持的消息:文件过大]"


class Someone(Setting):
    open_kfid: str = Field(default=OPEN_KFID, min_length=1, max_length=64)
    customer: str = ID


class Say(Someone):
    """``text`` is the content of a text; any other type takes ``content``, or ``media_id``.
    ``menu_id``: what was clicked. ``sent_ago_s``: it is that old already. ``silent``: no bell rings
    for it. ``servicer``: somebody of the staff writes, not the customer."""

    name: str = Field(default="", max_length=MAX_NAME_CHARS)
    msgtype: str = Field(default="text", pattern=r"^[a-z_]{1,32}$")
    text: str = Field(default="", max_length=100_000)
    content: dict[str, JsonValue] = Field(default_factory=dict)
    media_id: str | None = None
    menu_id: str | None = Field(default=None, max_length=64)
    msgid: str | None = Field(default=None, min_length=1, max_length=64)
    sent_ago_s: float = Field(default=0.0, ge=0)
    silent: bool = False
    servicer: str = Field(default="", max_length=64)


class Burst(Setting):
    """``messages`` in all, of ``customers`` named ``{prefix}{number}``; in turns, or shuffled."""

    open_kfid: str = Field(default=OPEN_KFID, min_length=1, max_length=64)
    customers: int = Field(default=1, ge=1, le=10_000)
    messages: int = Field(default=1, ge=1, le=100_000)
    prefix: str = Field(default="wmBurst", min_length=1, max_length=48)
    text: str = Field(default="问题 {number}", max_length=2_000)
    first: int = Field(default=1, ge=0)
    shuffled: bool = False
    over_s: float = Field(default=0.0, ge=0, le=3_600)


class Enter(Someone):
    name: str = Field(default="", max_length=MAX_NAME_CHARS)
    scene: str = Field(default="", max_length=32)
    scene_param: str = Field(default="", max_length=128)


class Recall(Someone):
    msgid: str = ID


class Change(Someone):
    """What a servicer does in the client: 1 take from the pool, 2 transfer, 3 end, 4 open again."""

    change_type: Literal[1, 2, 3, 4]
    servicer: str = Field(default="zhangsan", max_length=64)


class NewAccount(Setting):
    open_kfid: str = ID
    name: str = Field(default="客服", min_length=1, max_length=16)
    servicers: dict[str, Literal[0, 1]] = Field(default={"zhangsan": 0})


class ServicerStatus(Setting):
    """``receiving``: whether they take customers; ``suspended``: only for a while."""

    open_kfid: str = Field(default=OPEN_KFID, min_length=1, max_length=64)
    servicer: str = ID
    receiving: bool
    suspended: bool = False


class Event(Setting):
    """Any event, also one that nobody has heard of."""

    open_kfid: str = Field(default=OPEN_KFID, min_length=1, max_length=64)
    event_type: str = Field(pattern=r"^[a-z_]{1,64}$")
    fields: dict[str, JsonValue] = Field(default_factory=dict)


class Ring(Setting):
    open_kfid: str = Field(default=OPEN_KFID, min_length=1, max_length=64)
    times: int = Field(default=1, ge=1, le=1_000)


class KfPlay:
    def __init__(self, world: KfWorld, admin: APIRouter) -> None:
        self._world = world
        add = admin.add_api_route
        add("/say", self.say, methods=["POST"], status_code=201)
        add("/burst", self.burst, methods=["POST"], status_code=201)
        add("/enter", self.enter, methods=["POST"], status_code=201)
        add("/recall", self.recall, methods=["POST"], status_code=201)
        add("/session", self.change, methods=["POST"], status_code=201)
        add("/event", self.event, methods=["POST"], status_code=201)
        add("/ring", self.ring, methods=["POST"], status_code=202)
        add("/kf/accounts", self.accounts, methods=["GET"])
        add("/kf/accounts", self.add_account, methods=["POST"], status_code=201)
        add("/kf/servicer", self.set_servicer, methods=["PUT"])
        add("/kf/settings", self.set_settings, methods=["PUT"])
        add("/kf/rules", self.set_rules, methods=["PUT"])
        add("/kf/sessions", self.sessions, methods=["GET"])

    async def say(self, said: Say) -> JsonObject:
        """A customer writes (with ``servicer``: somebody of the staff does, in their client)."""
        return self._say(said)

    def _say(self, said: Say) -> JsonObject:
        session, world = self._session(said), self._world
        world.people.meet(said.customer, said.name)
        msgtype, content = self._content(said)
        at = world.clock.now() - said.sent_ago_s
        if not said.servicer:
            world.sessions.customer_says(session, at)
        msgid = said.msgid or new_msgid()
        who: Literal["servicer", "customer"] = "servicer" if said.servicer else "customer"
        origin: Literal[3, 5] = FROM_SERVICER if said.servicer else FROM_CUSTOMER
        world.chats.add(world.chat_of(session), who, msgtype, content, msgid=msgid)
        logged = world.message(
            session,
            origin,
            msgtype,
            content,
            msgid=msgid,
            send_time=at,
            servicer=said.servicer,
            silent=said.silent,
        )
        if said.servicer and session.state == ENDED:
            self._change(session, 4, said.servicer)
        return {"msgid": logged["msgid"], "send_time": logged["send_time"], "msgtype": msgtype}

    def _content(self, said: Say) -> tuple[str, JsonObject]:
        content: JsonObject = dict(said.content)
        if said.msgtype == "text":
            content.setdefault("content", said.text)
            if said.menu_id is not None:
                content["menu_id"] = said.menu_id
        elif said.msgtype in _MEDIA and "media_id" not in content:
            media_id = said.media_id or self._made_up(said)
            if self._size(media_id) > FROM_CUSTOMER_BYTES[said.msgtype]:
                return "text", {"content": _TOO_LARGE}
            content["media_id"] = media_id
        return said.msgtype, content

    def _size(self, media_id: str) -> int:
        try:
            return len(self._world.media.get(media_id).data)
        except Refused as refused:
            raise HTTPException(404, f"media_id: {refused.reason}") from refused

    def _made_up(self, said: Say) -> str:
        if said.msgtype != "image":
            raise HTTPException(422, f"media_id: a {said.msgtype} needs one (POST media)")
        picture = drawn_for(f"{said.customer}/{said.text}")
        return self._world.media.keep("image", "picture.png", picture)

    async def burst(self, wanted: Burst) -> JsonObject:
        """Many messages of many customers; each customer's texts are numbered from ``first`` on."""
        self._account(wanted.open_kfid)
        turns = [f"{wanted.prefix}{number % wanted.customers}" for number in range(wanted.messages)]
        if wanted.shuffled:
            self._world.sandbox.chance.shuffle(turns)
        counts: dict[str, int] = {}
        plan = []
        for customer in turns:
            number = counts[customer] = counts.get(customer, wanted.first - 1) + 1
            text = wanted.text.replace("{number}", str(number)).replace("{customer}", customer)
            said = Say(open_kfid=wanted.open_kfid, customer=customer, text=text, msgid=new_msgid())
            plan.append(said)
        self._play(plan, wanted.over_s)
        shown = [
            {"customer": said.customer, "msgid": said.msgid, "text": said.text} for said in plan
        ]
        return {"messages": shown}

    def _play(self, plan: list[Say], over_s: float) -> None:
        for number, said in enumerate(plan):
            if over_s:
                wait = over_s * number / len(plan)
                self._world.later(wait, lambda said=said: self._say(said))  # type: ignore[misc]
            else:
                self._say(said)

    async def enter(self, wanted: Enter) -> JsonObject:
        """A customer opens the chat; there is a welcome code if they are to be welcomed."""
        session, world = self._session(wanted), self._world
        world.people.meet(wanted.customer, wanted.name)
        fields: JsonObject = {
            "external_userid": wanted.customer,
            "scene": wanted.scene,
            "scene_param": wanted.scene_param,
        }
        session.scenes = (wanted.scene, wanted.scene_param)
        code = world.sessions.enter(session)
        if code is not None:
            fields["welcome_code"] = code
        return world.event(wanted.open_kfid, "enter_session", fields)

    async def recall(self, wanted: Recall) -> JsonObject:
        """A customer takes a message back."""
        self._session(wanted)
        fields: JsonObject = {"external_userid": wanted.customer, "recall_msgid": wanted.msgid}
        return self._world.event(wanted.open_kfid, "user_recall_msg", fields)

    async def change(self, wanted: Change) -> JsonObject:
        """A servicer takes, transfers, ends or opens again the customer's session."""
        return self._change(self._session(wanted), wanted.change_type, wanted.servicer)

    def _change(self, session: Session, change_type: int, servicer: str) -> JsonObject:
        old, ends = session.servicer, change_type == 3
        session.state, session.servicer = (ENDED, "") if ends else (HUMAN, servicer)
        session.active_at = self._world.clock.now()
        fields: JsonObject = {
            "external_userid": session.external_userid,
            "change_type": change_type,
        }
        if change_type != 1:
            fields["old_servicer_userid"] = old
        if not ends:
            fields["new_servicer_userid"] = servicer
        if change_type in (1, 3):
            kind: Literal["ended", "taken"] = "ended" if ends else "taken"
            fields["msg_code"] = self._world.sessions.code(kind, session)
        return self._world.event(session.open_kfid, "session_status_change", fields)

    async def event(self, wanted: Event) -> JsonObject:
        """Put an event into an account's log."""
        self._account(wanted.open_kfid)
        return self._world.event(wanted.open_kfid, wanted.event_type, dict(wanted.fields))

    async def ring(self, wanted: Ring) -> JsonObject:
        """Ring the bell though there may be no news."""
        self._account(wanted.open_kfid)
        for _ in range(wanted.times):
            self._world.ring(wanted.open_kfid)
        return {"rings": wanted.times}

    async def accounts(self) -> JsonObject:
        """Every account with its servicers and what was pulled of it."""
        return {"accounts": [self._shown(one) for one in self._world.accounts.values()]}

    def _shown(self, account: Account) -> JsonObject:
        return {
            "open_kfid": account.open_kfid,
            "name": account.name,
            "servicers": account.servicers,
            "logged": self._world.log.count(account.open_kfid),
            "pulls": account.pulls,
            "empty_pulls": account.empty_pulls,
            "rings": account.rings,
        }

    async def add_account(self, wanted: NewAccount) -> JsonObject:
        account = Account(wanted.open_kfid, wanted.name, dict(wanted.servicers))
        self._world.accounts[wanted.open_kfid] = account
        return wanted.model_dump()

    async def set_servicer(self, wanted: ServicerStatus) -> JsonObject:
        """Somebody of the staff begins or stops to take customers; the service hears of it."""
        account = self._account(wanted.open_kfid)
        account.servicers[wanted.servicer] = 0 if wanted.receiving else 1
        fields: JsonObject = {
            "servicer_userid": wanted.servicer,
            "status": 1 if wanted.receiving else 2,
        }
        if not wanted.receiving:
            fields["stop_type"] = int(wanted.suspended)
        return self._world.event(wanted.open_kfid, "servicer_status_change", fields)

    async def set_settings(self, wanted: KfSettings) -> JsonObject:
        """Change what is given; the rest stays."""
        given = wanted.model_dump(exclude_unset=True)
        self._world.settings = self._world.settings.model_copy(update=given)
        return self._world.settings.model_dump()

    async def set_rules(self, wanted: SessionRules) -> JsonObject:
        """How many messages the service may send in how long."""
        self._world.sessions.rules = wanted
        return wanted.model_dump()

    async def sessions(self, customer: str | None = None) -> JsonObject:
        """Every session with its state and its counters."""
        chosen = (one for one in self._world.sessions if customer in (None, one.external_userid))
        return {"sessions": [session.shown() for session in chosen]}

    def report(self) -> JsonObject:
        """What a storm has to be judged by."""
        sessions = list(self._world.sessions)
        return {
            "customers": len(sessions),
            "said": sum(session.said for session in sessions),
            "sent": sum(session.sent_all for session in sessions),
            "most_sent": max((session.most_sent for session in sessions), default=0),
            "accounts": [self._shown(one) for one in self._world.accounts.values()],
        }

    def _account(self, open_kfid: str) -> Account:
        account = self._world.accounts.get(open_kfid)
        if account is None:
            raise HTTPException(404, f"open_kfid {open_kfid!r} does not exist")
        return account

    def _session(self, wanted: Someone) -> Session:
        self._account(wanted.open_kfid)
        return self._world.sessions.of(wanted.open_kfid, wanted.customer)
