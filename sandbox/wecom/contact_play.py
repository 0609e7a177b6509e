"""Customers who add members, for tests and people to play."""

from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field

from domain.messages import MAX_NAME_CHARS
from sandbox.wecom.chats import Chats
from sandbox.wecom.contact_ways import ContactWays
from sandbox.wecom.contacts import Contacts, ContactSettings, Relation
from sandbox.wx.calls import JsonObject, Refused, Setting

_ID = Field(min_length=1, max_length=64)


class Pair(Setting):
    userid: str = Field(default="zhangsan", min_length=1, max_length=64)
    customer: str = _ID


class AddFriend(Pair):
    """``events``: which ones the service hears of: of the half, of the whole, or of both.
    ``config_id``: they came by this contact way, which then says to whom, and with which state."""

    name: str = Field(default="", max_length=MAX_NAME_CHARS)
    state: str = Field(default="", max_length=30)
    add_way: int = Field(default=1, ge=0, le=300)
    events: Literal["full", "half", "both"] = "full"
    config_id: str | None = None


class EndFriend(Pair):
    """``transferred``: the member's side ends because another member takes the customer over."""

    by: Literal["member", "customer"] = "customer"
    transferred: bool = False


class Edit(Pair):
    """What the member changes of their customer; ``tags``: ids, all that there are afterwards."""

    remark: str | None = Field(default=None, max_length=20)
    description: str | None = Field(default=None, max_length=150)
    tags: tuple[str, ...] | None = Field(default=None, max_length=3_000)


class Transfer(Pair):
    """The member is to take the customer over, and does not."""

    reason: Literal["customer_refused", "customer_limit_exceed"] = "customer_refused"


class Word(Pair):
    text: str = Field(min_length=1, max_length=10_000)


class ContactPlay:
    """``_asked``: friend requests that wait for a member; no API of WeCom can accept them."""

    def __init__(
        self, contacts: Contacts, ways: ContactWays, chats: Chats, admin: APIRouter
    ) -> None:
        self._contacts, self._ways, self._chats = contacts, ways, chats
        self._asked: dict[tuple[str, str], AddFriend] = {}
        add = admin.add_api_route
        add("/friends", self.friends, methods=["GET"])
        add("/friends", self.add, methods=["POST"], status_code=201)
        add("/friends/accept", self.accept, methods=["POST"], status_code=201)
        add("/friends/confirm", self.confirm, methods=["POST"], status_code=201)
        add("/friends/end", self.end, methods=["POST"], status_code=201)
        add("/friends/edit", self.edit, methods=["POST"], status_code=201)
        add("/friends/agree", self.agree, methods=["POST"], status_code=201)
        add("/friends/transfer", self.transfer, methods=["POST"], status_code=202)
        add("/friends/say", self.say, methods=["POST"], status_code=201)
        add("/friends/settings", self.set_settings, methods=["PUT"])

    async def friends(self) -> JsonObject:
        """Who is whose customer, how they were welcomed, and what is noted about them."""
        asked = [{"userid": userid, "customer": customer} for userid, customer in self._asked]
        return {"friends": [one.shown() for one in self._contacts], "asked": asked}

    async def add(self, wanted: AddFriend) -> JsonObject:
        """A customer adds a member; one who verifies must accept first."""
        if wanted.config_id is not None:
            wanted, skips = self._by_way(wanted, wanted.config_id)
            if not skips:
                self._asked[wanted.userid, wanted.customer] = wanted
                return {"userid": wanted.userid, "customer": wanted.customer, "asked": True}
        return self._add(wanted)

    def _by_way(self, wanted: AddFriend, config_id: str) -> tuple[AddFriend, bool]:
        try:
            way = self._ways.get(config_id)
        except Refused as refused:
            raise HTTPException(404, refused.reason) from refused
        if not way.fields["user"]:
            raise HTTPException(422, f"config_id: {config_id!r} names no member")
        fields = {"userid": way.fields["user"][0], "state": way.fields["state"], "add_way": 1}
        return wanted.model_copy(update=fields), way.skip_verify

    def _add(self, wanted: AddFriend) -> JsonObject:
        halves = {"full": (False,), "half": (True,), "both": (True, False)}[wanted.events]
        for half in halves:
            relation = self._contacts.add(
                wanted.userid,
                wanted.customer,
                wanted.name,
                state=wanted.state,
                add_way=wanted.add_way,
                half=half,
            )
        return relation.shown()

    async def accept(self, wanted: Pair) -> JsonObject:
        """The member accepts, by hand, who asked."""
        asked = self._asked.pop((wanted.userid, wanted.customer), None)
        if asked is None:
            raise HTTPException(404, f"{wanted.customer!r} did not ask {wanted.userid!r}")
        return self._add(asked)

    async def confirm(self, wanted: Pair) -> JsonObject:
        """The member confirms a half contact: it is whole, and the service hears of that."""
        relation = self._relation(wanted)
        return self._contacts.add(
            wanted.userid,
            wanted.customer,
            "",
            state=relation.state,
            add_way=relation.add_way,
            half=False,
        ).shown()

    async def end(self, wanted: EndFriend) -> JsonObject:
        """One of the two deletes the other."""
        relation = self._relation(wanted)
        by_member = wanted.by == "member" or wanted.transferred
        fields = {"Source": "DELETE_BY_TRANSFER"} if wanted.transferred else {}
        kind = "del_external_contact" if by_member else "del_follow_user"
        self._contacts.remove(relation, kind, fields)
        return relation.shown()

    async def edit(self, wanted: Edit) -> JsonObject:
        """A member edits what is noted of a customer; the service hears that, not what."""
        relation = self._relation(wanted)
        given = wanted.model_dump(exclude_none=True, exclude={"userid", "customer", "tags"})
        for name, value in given.items():
            setattr(relation, name, value)
        if wanted.tags is not None:
            relation.tags = list(wanted.tags)
        self._contacts.tell("edit_external_contact", relation, {})
        return relation.shown()

    async def agree(self, wanted: Pair) -> JsonObject:
        """A customer agrees to be archived, which is when some of them may be welcomed."""
        relation = self._relation(wanted)
        self._contacts.agree(relation)
        return relation.shown()

    async def transfer(self, wanted: Transfer) -> JsonObject:
        """A customer is not handed over to the member."""
        self._contacts.not_taken(wanted.userid, wanted.customer, wanted.reason)
        return wanted.model_dump()

    async def say(self, wanted: Word) -> JsonObject:
        """A customer writes to a member, which no API shows; nobody is welcomed after that."""
        relation = self._relation(wanted)
        relation.chatting = True
        chat = f"contact/{relation.userid}/{relation.external_userid}"
        return self._chats.add(chat, "customer", "text", {"content": wanted.text}).model_dump()

    async def set_settings(self, wanted: ContactSettings) -> JsonObject:
        """Change what is given; the rest stays."""
        given = wanted.model_dump(exclude_unset=True)
        self._contacts.settings = self._contacts.settings.model_copy(update=given)
        return self._contacts.settings.model_dump()

    def clear(self) -> None:
        self._asked.clear()

    def _relation(self, wanted: Pair) -> Relation:
        try:
            return self._contacts.of(wanted.userid, wanted.customer)
        except Refused as refused:
            raise HTTPException(404, refused.reason) from refused
