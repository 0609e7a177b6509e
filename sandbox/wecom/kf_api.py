"""``/cgi-bin/kf/*``: what customer service answers to the service."""

from typing import Any
from urllib.parse import quote

from pydantic import ConfigDict, Field

from sandbox.wecom.api import BAD_CUSTOMER, BAD_PARAMETER, NO_SERVICER, SERVICER_STOPPED, TOO_OFTEN
from sandbox.wecom.kf_content import checked, checked_msgid
from sandbox.wecom.kf_log import ALL, KEPT_S, Page
from sandbox.wecom.kf_sessions import HUMAN, QUEUE, Session
from sandbox.wecom.kf_world import Account, KfWorld, new_msgid
from sandbox.wx.calls import BOTH, GET, Body, Endpoint, JsonObject, Refused, Rule, answered, require

_MOST_PEOPLE = 100
_REPEATED = 3


class Sync(Body):
    cursor: str = Field(default="", max_length=64)
    token: str = Field(default="", max_length=128)
    limit: int = Field(default=0, ge=0, le=1_000)
    voice_format: int = Field(default=0, ge=0, le=1)
    open_kfid: str = ""


class _Message(Body):
    """``model_extra`` has the part that is named like ``msgtype``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    msgid: str = ""
    msgtype: str

    def content(self) -> Any:
        return (self.model_extra or {}).get(self.msgtype)


class Send(_Message):
    touser: str
    open_kfid: str


class SendOnEvent(_Message):
    code: str = Field(min_length=1)


class Whose(Body):
    open_kfid: str
    external_userid: str


class Transition(Whose):
    service_state: int
    servicer_userid: str = ""


class Range(Body):
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=100)


class ContactWay(Body):
    open_kfid: str
    scene: str = Field(default="", pattern=r"^[0-9a-zA-Z_-]{0,32}$")


class Customers(Body):
    external_userid_list: tuple[str, ...] = Field(min_length=1, max_length=_MOST_PEOPLE)
    need_enter_session_context: int = 0


class OfAccount(Body):
    open_kfid: str


class Servicers(OfAccount):
    userid_list: tuple[str, ...] = Field(default=(), max_length=_MOST_PEOPLE)


class KfApi:
    def __init__(self, world: KfWorld) -> None:
        self._world = world

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint("kf/sync_msg", Sync, self.sync),
            Endpoint("kf/send_msg", Send, self.send),
            Endpoint("kf/send_msg_on_event", SendOnEvent, self.send_on_event),
            Endpoint("kf/service_state/get", Whose, self.state),
            Endpoint("kf/service_state/trans", Transition, self.transition),
            Endpoint("kf/account/list", Range, self.accounts, BOTH),
            Endpoint("kf/add_contact_way", ContactWay, self.contact_way),
            Endpoint("kf/customer/batchget", Customers, self.customers),
            Endpoint("kf/servicer/list", OfAccount, self.servicers, GET),
            Endpoint("kf/servicer/add", Servicers, self.add_servicers),
            Endpoint("kf/servicer/del", Servicers, self.remove_servicers),
        )

    # Pulling -------------------------------------------------------------------------------

    def sync(self, wanted: Sync) -> JsonObject:
        world = self._world
        account = world.account(wanted.open_kfid) if wanted.open_kfid else None
        self._check_access(wanted)
        page = self._page(wanted)
        if account is not None:
            account.pulls += 1
            account.empty_pulls += not page.messages
        return {
            "next_cursor": page.next_cursor,
            "has_more": int(page.has_more),
            "msg_list": page.messages,
        }

    def _check_access(self, wanted: Sync) -> None:
        world = self._world
        if wanted.token:
            world.check_token(wanted.token, wanted.open_kfid)
        elif not world.tokenless.take(wanted.open_kfid, world.settings.tokenless, 60.0):
            raise Refused(TOO_OFTEN, "api freq out of limit", "frequency")

    def _page(self, wanted: Sync) -> Page:
        world, scope = self._world, wanted.open_kfid or ALL
        settings, chance = world.settings, world.sandbox.chance
        if chance.random() < settings.empty_rate:
            return world.log.standing(scope, wanted.cursor)
        limit = min(wanted.limit or 1_000, settings.page)
        if chance.random() < settings.short_rate:
            limit = chance.randint(1, limit)
        repeat = _REPEATED if chance.random() < settings.repeat_rate else 0
        oldest = world.clock.now() - KEPT_S
        # What is repeated is no part of the page: it would never get on.
        return world.log.page(scope, wanted.cursor, limit + repeat, oldest=oldest, repeat=repeat)

    # Sending -------------------------------------------------------------------------------

    def send(self, wanted: Send) -> JsonObject:
        world = self._world
        account = world.account(wanted.open_kfid)
        known = world.sessions.known(wanted.open_kfid, wanted.touser)
        require(known, BAD_CUSTOMER, "invalid external_userid", "nobody")
        content = checked(wanted.msgtype, wanted.content(), world.media)
        message = {"to": wanted.touser, "type": wanted.msgtype, "content": content}
        msgid = wanted.msgid or new_msgid()
        if self._was_sent(account, msgid, message):
            return {"msgid": msgid}
        session = world.sessions.of(wanted.open_kfid, wanted.touser)
        world.sessions.spend_message(session)
        account.sent.add(msgid, message)
        if world.sandbox.chance.random() < world.settings.fail_rate:
            world.later(world.settings.fail_after_s, lambda: self._fail(session, msgid))
        else:
            chat = world.chat_of(session)
            world.chats.add(chat, "service", wanted.msgtype, content, msgid=msgid)
        return {"msgid": msgid}

    def send_on_event(self, wanted: SendOnEvent) -> JsonObject:
        world = self._world
        content = checked(wanted.msgtype, wanted.content(), world.media)
        msgid = checked_msgid(wanted.msgid) if wanted.msgid else new_msgid()
        session = world.sessions.redeem(wanted.code, wanted.msgtype)
        message = {"to": session.external_userid, "type": wanted.msgtype, "content": content}
        world.accounts[session.open_kfid].sent.add(msgid, message)
        chat = world.chat_of(session)
        world.chats.add(chat, "welcome", wanted.msgtype, content, msgid=msgid)
        return {"msgid": msgid}

    def _was_sent(self, account: Account, msgid: str, message: JsonObject) -> bool:
        """Whether this very message was; raises Refused if that is how it is answered, and if the
        id is another's."""
        if checked_msgid(msgid) not in account.sent:
            return False
        code = self._world.settings.repeated_msgid
        again = account.sent.is_same(msgid, message)
        rule: Rule = "again" if again else "msgid"
        harmless = again and code == 0
        reason = "invalid Request Parameter, msgid repeated"
        require(harmless, code or BAD_PARAMETER, reason, rule)
        return True

    def _fail(self, session: Session, msgid: str) -> None:
        world = self._world
        fields = {
            "external_userid": session.external_userid,
            "fail_msgid": msgid,
            "fail_type": world.settings.fail_type,
        }
        world.event(session.open_kfid, "msg_send_fail", fields)

    # Sessions ------------------------------------------------------------------------------

    def state(self, wanted: Whose) -> JsonObject:
        session = self._session(wanted)
        shown: JsonObject = {"service_state": session.state}
        if session.state == HUMAN:
            shown["servicer_userid"] = session.servicer
        return shown

    def transition(self, wanted: Transition) -> JsonObject:
        session, account = self._session(wanted), self._world.account(wanted.open_kfid)
        if wanted.service_state == HUMAN:
            self._check_servicer(account, wanted.servicer_userid)
        elif wanted.service_state == QUEUE:
            # Nobody could ever take them from there.
            require(account.servicers, NO_SERVICER, "no servicer", "state")
        sessions = self._world.sessions
        code = sessions.become(session, wanted.service_state, wanted.servicer_userid)
        return {} if code is None else {"msg_code": code}

    def _session(self, wanted: Whose) -> Session:
        sessions = self._world.sessions
        self._world.account(wanted.open_kfid)
        known = sessions.known(wanted.open_kfid, wanted.external_userid)
        require(known, BAD_CUSTOMER, "invalid external_userid", "nobody")
        return sessions.of(wanted.open_kfid, wanted.external_userid)

    def _check_servicer(self, account: Account, userid: str) -> None:
        status = account.servicers.get(userid)
        require(status is not None, NO_SERVICER, "not a servicer", "state")
        require(status == 0, SERVICER_STOPPED, "servicer stopped", "state")

    # Accounts ------------------------------------------------------------------------------

    def accounts(self, wanted: Range) -> JsonObject:
        chosen = list(self._world.accounts.values())[wanted.offset :][: wanted.limit]
        shown = [
            {"open_kfid": one.open_kfid, "name": one.name, "avatar": "", "manage_privilege": True}
            for one in chosen
        ]
        return {"account_list": shown}

    def contact_way(self, wanted: ContactWay) -> JsonObject:
        self._world.account(wanted.open_kfid)
        url = f"https://work.weixin.qq.com/kfid/{quote(wanted.open_kfid)}"
        return {"url": f"{url}?enc_scene=ENC{wanted.scene}" if wanted.scene else url}

    def customers(self, wanted: Customers) -> JsonObject:
        people = [(one, self._world.people.customer(one)) for one in wanted.external_userid_list]
        shown = []
        for _, customer in people:
            if customer is not None:
                profile = customer.shown()
                profile["nickname"] = profile.pop("name")
                if wanted.need_enter_session_context:
                    profile |= self._entered(customer.external_userid)
                shown.append(profile)
        invalid = [name for name, customer in people if customer is None]
        return {"customer_list": shown, "invalid_external_userid": invalid}

    def _entered(self, customer: str) -> JsonObject:
        for session in self._world.sessions:
            if session.external_userid == customer and session.scenes is not None:
                scene, param = session.scenes
                return {"enter_session_context": {"scene": scene, "scene_param": param}}
        return {}

    def servicers(self, wanted: OfAccount) -> JsonObject:
        found = self._world.account(wanted.open_kfid).servicers
        shown = [{"userid": userid, "status": status} for userid, status in found.items()]
        return {"servicer_list": shown}

    def add_servicers(self, wanted: Servicers) -> JsonObject:
        account = self._world.account(wanted.open_kfid)
        results = []
        for userid in wanted.userid_list:
            if not self._world.people.is_member(userid):
                results.append({"userid": userid, "errcode": BAD_PARAMETER, "errmsg": "invalid"})
                continue
            was = "ignored" if userid in account.servicers else "ok"
            account.servicers.setdefault(userid, 0)
            results.append({"userid": userid, **answered(), "errmsg": was})
        return {"result_list": results}

    def remove_servicers(self, wanted: Servicers) -> JsonObject:
        account = self._world.account(wanted.open_kfid)
        results = []
        for userid in wanted.userid_list:
            was = "ok" if account.servicers.pop(userid, None) is not None else "ignored"
            results.append({"userid": userid, **answered(), "errmsg": was})
        return {"result_list": results}
