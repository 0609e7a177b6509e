"""Customers of members: who added whom, how they were welcomed, and what is noted about them."""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import Field

from sandbox.wecom.api import BAD_CUSTOMER, BAD_WELCOME_CODE, NO_RELATION, WELCOME_IN_USE, WELCOMED
from sandbox.wecom.callbacks import CallbackSender
from sandbox.wecom.people import People
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting, require

CODE_SECONDS = 20.0
_MAX_CODES = 50_000


class ContactSettings(Setting):
    """``in_use``: so many welcomes are refused because another app is sending one (41096).
    ``greeters``: members with a welcome of their own, whose customers come without a code."""

    in_use: int = Field(default=0, ge=0)
    greeters: tuple[str, ...] = Field(default=(), max_length=1_000)


@dataclass(slots=True)
class Relation:
    """A customer of a member. ``half``: the member has not confirmed; ``chatting``: the customer
    has written, after which nobody is welcomed."""

    userid: str
    external_userid: str
    created_at: float
    state: str = ""
    add_way: int = 1
    half: bool = False
    chatting: bool = False
    code_at: float | None = None
    welcomed_at: float | None = None
    remark: str = ""
    description: str = ""
    remark_company: str = ""
    remark_mobiles: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def shown(self) -> JsonObject:
        waited = None
        if self.welcomed_at is not None and self.code_at is not None:
            waited = round(self.welcomed_at - self.code_at, 3)
        return {
            "userid": self.userid,
            "customer": self.external_userid,
            "state": self.state,
            "add_way": self.add_way,
            "half": self.half,
            "welcomed": self.welcomed_at is not None,
            "welcomed_after_s": waited,
            "remark": self.remark,
            "description": self.description,
            "remark_company": self.remark_company,
            "remark_mobiles": self.remark_mobiles,
            "tags": self.tags,
        }


class Contacts:
    def __init__(self, clock: Clock, callbacks: CallbackSender, people: People) -> None:
        self._clock, self._callbacks, self._people = clock, callbacks, people
        self.settings = ContactSettings()
        self._relations: dict[tuple[str, str], Relation] = {}
        self._codes: OrderedDict[str, tuple[Relation, float]] = OrderedDict()

    def __iter__(self) -> Iterator[Relation]:
        return iter(tuple(self._relations.values()))

    def of(self, userid: str, customer: str) -> Relation:
        """Raises Refused."""
        known = self._people.customer(customer) is not None
        require(known, BAD_CUSTOMER, "invalid external_userid", "nobody")
        relation = self._relations.get((userid, customer))
        if relation is None:
            raise Refused(NO_RELATION, "not external contact", "nobody")
        return relation

    # What happens --------------------------------------------------------------------------

    def add(
        self, userid: str, customer: str, name: str, *, state: str, add_way: int, half: bool
    ) -> Relation:
        """The two are connected; the service is told, with a code if it may welcome."""
        self._people.meet(customer, name)
        now = self._clock.now()
        relation = self._relations.get((userid, customer))
        if relation is None:
            relation = Relation(userid, customer, now, state=state, add_way=add_way)
            self._relations[userid, customer] = relation
        relation.half = half
        fields = {"State": relation.state} if relation.state else {}
        if self._is_to_be_welcomed(relation):
            fields["WelcomeCode"] = self._issue(relation, now)
        self.tell("add_half_external_contact" if half else "add_external_contact", relation, fields)
        return relation

    def remove(self, relation: Relation, change_type: str, fields: dict[str, str]) -> None:
        self._relations.pop((relation.userid, relation.external_userid), None)
        self.tell(change_type, relation, fields)

    def agree(self, relation: Relation) -> None:
        """A welcome that waited for this may be sent now."""
        now, fields = self._clock.now(), {}
        if relation.welcomed_at is None and not relation.chatting:
            fields["WelcomeCode"] = self._issue(relation, now)
        self.tell("msg_audit_approved", relation, fields)

    def not_taken(self, userid: str, customer: str, reason: str) -> None:
        self._people.meet(customer)
        relation = Relation(userid, customer, self._clock.now())
        self.tell("transfer_fail", relation, {"FailReason": reason})

    def tell(self, change_type: str, relation: Relation, fields: dict[str, str]) -> None:
        told = {
            "FromUserName": "sys",
            "CreateTime": int(self._clock.now()),
            "MsgType": "event",
            "Event": "change_external_contact",
            "ChangeType": change_type,
            "UserID": relation.userid,
            "ExternalUserID": relation.external_userid,
        }
        self._callbacks.send(change_type, told | fields)

    def _is_to_be_welcomed(self, relation: Relation) -> bool:
        done = relation.welcomed_at is not None or relation.chatting
        return not done and relation.userid not in self.settings.greeters

    def _issue(self, relation: Relation, now: float) -> str:
        code = "WELCOME" + secrets.token_urlsafe(24)
        relation.code_at = now
        self._codes[code] = (relation, now + CODE_SECONDS)
        while len(self._codes) > _MAX_CODES:
            self._codes.popitem(last=False)
        return code

    def redeem(self, code: str) -> Relation:
        """Who is welcomed with this code. Raises Refused."""
        relation, expires_at = self._codes.get(code, (None, 0.0))
        now = self._clock.now()
        good = relation is not None and now <= expires_at
        require(good, BAD_WELCOME_CODE, "invalid welcome_code or expired", "welcome")
        assert relation is not None
        done = relation.welcomed_at is not None or relation.chatting
        require(not done, WELCOMED, "chat started or welcome msg sent", "welcome")
        if self.settings.in_use:
            self.settings = self.settings.model_copy(update={"in_use": self.settings.in_use - 1})
            raise Refused(WELCOME_IN_USE, "welcome msg is being distributed", "welcome")
        relation.welcomed_at = now
        return relation

    def clear(self) -> None:
        self.settings = ContactSettings()
        self._relations.clear()
        self._codes.clear()
