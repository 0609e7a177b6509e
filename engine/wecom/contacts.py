"""Customers who add members: welcomed within 20 seconds, marked, and recorded with their source.

An event becomes rows before its callback is answered; what the platform has to be told goes through
the outbox. No call accepts a friend request (reference wecom.md, 4.4).
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.errors import PeerRejected, PeerUnavailable
from domain.ids import contact_id
from graphs.templates import Templates
from storage import callbacks, contacts, effects, outbox
from storage.audit import record
from storage.clock import iso
from storage.database import Database
from storage.effects import Cause
from storage.outbox import Delivery, NewDelivery
from storage.tasks import TaskBook
from tools.wecom import errors
from tools.wecom.contacts import ContactsClient, ExternalContact, Follower, source_of
from tools.wecom.errors import PEER
from tools.wx import xml
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
EVENT = "change_external_contact"
CONTACTS = "wecom_contacts"
"""The channel: what it delivers is a welcome or what is noted at the platform, nothing else."""
FRIEND = "wecom"
"""As these customers are known: wecom, the member, the external_userid."""
WELCOME, PROFILE = "friend_welcome", "friend_profile"
WELCOME_S = 20.0
RETRY_S = 1.0
TAG_GROUP = "智能客服"
_ACTOR = "wecom"
_MAX_CHARS = 512
_ADDED = frozenset({"add_external_contact", "add_half_external_contact"})
_ENDED = {"del_external_contact": "成员已删除该客户", "del_follow_user": "客户已删除成员"}
_FINAL = frozenset({errors.BAD_WELCOME_CODE, errors.WELCOMED_ALREADY})

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContactWords:
    """``name``: whom a customer is welcomed to; ``tag``: of new customers, empty: none."""

    templates: Templates
    name: str
    tag: str

    def welcome(self, seed: str) -> str:
        return self.templates.render("friend_welcome", seed=seed, name=self.name)


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    userid: str
    customer: str
    state: str
    code: str
    created: str

    @property
    def contact(self) -> str:
        return str(contact_id(FRIEND, self.userid, self.customer))

    @property
    def key(self) -> str:
        """The same for the same event, also where it is told twice."""
        return _digest(self.kind, self.userid, self.customer, self.created, self.code)


class ContactEvents:
    """``on_queues`` is told which queues of the outbox got something."""

    def __init__(
        self,
        database: Database,
        words: ContactWords,
        book: TaskBook,
        *,
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._words, self._book = database, words, book
        self._on_queues, self._clock = on_queues, clock

    async def handle(self, fields: Fields) -> None:
        """A change_external_contact; its rows are there when this returns."""
        change = _change(fields)
        if not change.userid or not change.customer:
            log.warning("a change of contacts without its people: %.64s", change.kind)
            return
        now = self._clock()
        deliveries = self._deliveries(change, now)

        def unit(connection: Connection) -> bool:
            # The same event may come twice at the same time.
            if not callbacks.first_time(connection, f"contact:{change.key}", now=now):
                return False
            outbox.add(connection, deliveries, iso(now))
            self._record(connection, change, now)
            return True

        if await self._database.write(unit, key=change.contact):
            self._on_queues([delivery.queue for delivery in deliveries])

    def _deliveries(self, change: _Change, now: float) -> list[NewDelivery]:
        if change.kind not in _ADDED:
            return []
        profile = _delivery(
            change,
            PROFILE,
            change.key,
            {"userid": change.userid, "customer": change.customer, "state": change.state},
        )
        if not change.code:
            return [profile]
        code = _digest(change.userid, change.customer, change.code)
        text = self._words.welcome(change.customer)
        payload = {"code": change.code, "text": text, "until": now + WELCOME_S}
        return [_delivery(change, WELCOME, code, payload), profile]

    def _record(self, connection: Connection, change: _Change, now: float) -> None:
        detail = {"userid": change.userid, "customer": change.customer, "state": change.state}
        record(
            connection,
            at=iso(now),
            actor=_ACTOR,
            action=f"contact.{change.kind}",
            subject=change.contact,
            detail=detail,
        )
        tags = self._tags(change)
        if tags is not None:
            _apply(connection, self._book, change.contact, [tags], key=change.key, now=now)

    def _tags(self, change: _Change) -> Effect | None:
        """Ours; the platform's are the outbox's work."""
        if change.kind in _ADDED:
            add = [*filter(None, (self._words.tag,)), *source_of(0, change.state)]
            return _tag(change.contact, add, remove=list(_ENDED.values()))
        ended = _ENDED.get(change.kind)
        return _tag(change.contact, [ended]) if ended else None


class ContactChannel:
    """Tells the platform. ``tag``: of new customers, empty: none."""

    def __init__(
        self,
        client: ContactsClient,
        database: Database,
        book: TaskBook,
        *,
        tag: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._database = client, database
        self._book, self._tag = book, tag
        self._clock, self._sleep = clock, sleep
        self._tag_id = ""

    async def deliver(self, delivery: Delivery) -> None:
        """Raises PeerUnavailable or PeerRejected."""
        payload = delivery.payload
        match payload.get("type"):
            case "friend_welcome":
                await self._welcome(payload["code"], payload["text"], until=payload["until"])
            case "friend_profile":
                await self._profile(delivery, payload["userid"], payload["customer"])
            case _:
                raise PeerRejected(PEER, "企业微信没有以成员身份给客户发消息的接口")

    async def _welcome(self, code: str, text: str, *, until: float) -> None:
        """Tried again here: the outbox's pauses are longer than a code lives."""
        while True:
            try:
                await self._client.welcome(code, text)
            except WxRejected as error:
                if error.errcode not in _FINAL:
                    raise
                log.info("a customer is not welcomed by us: %s", error)
            except PeerUnavailable as error:
                pause = error.retry_after or RETRY_S
                if self._clock() + pause >= until:
                    raise PeerRejected(PEER, f"欢迎语没能在 20 秒内发出：{error.reason}") from error
                await self._sleep(pause)
                continue
            return

    async def _profile(self, delivery: Delivery, userid: str, customer: str) -> None:
        try:
            contact = await self._client.contact(customer)
            follower = contact.follower(userid)
            if follower is None:
                log.info("%s is no customer of %s any more", customer, userid)
                return
            await self._keep(delivery, contact, follower)
            await self._note(contact, follower)
        except WxRejected as error:
            if error.errcode != errors.NO_RELATION:
                raise
            log.info("%s is no customer of %s any more: %s", customer, userid, error)

    async def _note(self, contact: ExternalContact, follower: Follower) -> None:
        pair = follower.userid, contact.external_userid
        if self._tag:
            await self._mark(*pair)
        source = "，".join(source_of(follower.add_way, follower.state))
        # What a member wrote there is theirs.
        if source and not follower.description:
            await self._client.describe(*pair, source)

    async def _mark(self, userid: str, customer: str) -> None:
        self._tag_id = self._tag_id or await self._client.tag_id(self._tag, TAG_GROUP)
        try:
            await self._client.mark(userid, customer, add=(self._tag_id,))
        except WxRejected as error:
            self._tag_id = ""
            if error.errcode != errors.BAD_TAG:
                raise
            # Somebody has removed it since we saw it.
            self._tag_id = await self._client.tag_id(self._tag, TAG_GROUP)
            await self._client.mark(userid, customer, add=(self._tag_id,))

    async def _keep(self, delivery: Delivery, contact: ExternalContact, follower: Follower) -> None:
        now, source = self._clock(), source_of(follower.add_way, follower.state)
        whose = delivery.payload["contact"]
        said = "，".join(filter(None, (follower.remark, *source)))

        def unit(connection: Connection) -> None:
            changes = {"name": contact.name}
            if said and not contacts.remark_of(connection, whose):
                changes["remark"] = said
            about = Effect(EffectKind.CUSTOMER, "about", {"contact_id": whose, "changes": changes})
            found = [about, _tag(whose, list(source))]
            _apply(connection, self._book, whose, found, key=delivery.message_id, now=now)

        await self._database.write(unit, key=whose)


def _change(fields: Fields) -> _Change:
    names = ("ChangeType", "UserID", "ExternalUserID", "State", "WelcomeCode", "CreateTime")
    return _Change(*(xml.text(fields, name)[:_MAX_CHARS] for name in names))


def _delivery(change: _Change, kind: str, key: str, payload: Fields) -> NewDelivery:
    message_id = f"{kind}:{key}"
    return NewDelivery(
        message_id=message_id,
        queue=message_id,
        kind="contact",
        channel=CONTACTS,
        account=change.userid,
        conversation_id="",
        turn_id="",
        payload={"type": kind, "contact": change.contact, **payload},
    )


def _tag(contact: str, add: Sequence[str], *, remove: Sequence[str] = ()) -> Effect:
    payload = {"contact_id": contact, "add": list(add), "remove": list(remove)}
    return Effect(EffectKind.TAG, "tags", payload)


def _apply(
    connection: Connection,
    book: TaskBook,
    contact: str,
    found: Sequence[Effect],
    *,
    key: str,
    now: float,
) -> None:
    cause = Cause(_ACTOR, contact_id=contact)
    effects.apply(connection, found, key=f"contact:{key}", cause=cause, now=now, book=book)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
