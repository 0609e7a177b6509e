"""Customers who add members: welcomed within 20 seconds, marked, and recorded with their source
and with what members change of them.

An event becomes rows before its callback is answered; what the platform has to be told goes through
the outbox. No call accepts a friend request (reference wecom.md, 4.4).
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.errors import PeerRejected, PeerUnavailable
from domain.ids import contact_id
from graphs.templates import Templates
from storage import callbacks, contacts, effects, outbox
from storage.audit import record
from storage.clock import iso
from storage.contacts import Seen
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
WELCOME, PROFILE, REFRESH = "friend_welcome", "friend_profile", "friend_refresh"
WELCOME_S = 20.0
EDIT_S = 1.0
"""Edits within one second are told in the same words: what they come to is read after it."""
RETRY_S = 1.0
TAG_GROUP = "智能客服"
_ACTOR = "wecom"
_MAX_CHARS = 512
_ADDED = frozenset({"add_external_contact", "add_half_external_contact"})
_EDITED, _AGREED, _NOT_TAKEN = "edit_external_contact", "msg_audit_approved", "transfer_fail"
_ENDED = {"del_external_contact": "成员已删除该客户", "del_follow_user": "客户已删除成员"}
_PASSED_ON, _PASSED_ON_TAG = "DELETE_BY_TRANSFER", "客户已转给其他成员"
_REFUSED = {
    "customer_refused": "接替失败：客户拒绝",
    "customer_limit_exceed": "接替失败：成员的客户数已达上限",
}
_REFUSED_SOMEHOW = "接替失败"
_PASSING = (*_ENDED.values(), _PASSED_ON_TAG, *_REFUSED.values(), _REFUSED_SOMEHOW)
"""Tags that end where the two become contacts again."""
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
    reason: str
    source: str

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
        whose = {"userid": change.userid, "customer": change.customer, "state": change.state}
        found = []
        # Whichever event brings it: the channel uses one of them.
        if change.code and change.kind in _ADDED | {_AGREED}:
            found.append(self._welcome(change, now))
        if change.kind in _ADDED:
            found.append(_delivery(change, PROFILE, change.key, _profiles(change), whose))
        elif change.kind == _EDITED:
            refresh = _delivery(change, REFRESH, change.key, _profiles(change), whose)
            found.append(replace(refresh, not_before=now + EDIT_S))
        return found

    def _welcome(self, change: _Change, now: float) -> NewDelivery:
        code = _digest(change.userid, change.customer, change.code)
        text = self._words.welcome(change.customer)
        payload = {"code": change.code, "text": text, "until": now + WELCOME_S}
        return _delivery(change, WELCOME, code, f"{WELCOME}:{change.contact}", payload)

    def _record(self, connection: Connection, change: _Change, now: float) -> None:
        told = {"reason": change.reason, "source": change.source}
        detail = {"userid": change.userid, "customer": change.customer, "state": change.state}
        record(
            connection,
            at=iso(now),
            actor=_ACTOR,
            action=f"contact.{change.kind}",
            subject=change.contact,
            detail=detail | {name: value for name, value in told.items() if value},
        )
        if change.kind in _ENDED:
            contacts.forget_welcomed(connection, change.contact)
        tags = self._tags(change)
        if tags is not None:
            _apply(connection, self._book, change.contact, [tags], key=change.key, now=now)

    def _tags(self, change: _Change) -> Effect | None:
        """Ours; the platform's are the outbox's work."""
        if change.kind in _ADDED:
            add = [*filter(None, (self._words.tag,)), *source_of(0, change.state)]
            return _tag(change.contact, add, remove=_PASSING)
        if change.kind == _NOT_TAKEN:
            return _tag(change.contact, [_REFUSED.get(change.reason, _REFUSED_SOMEHOW)])
        ended = _PASSED_ON_TAG if change.source == _PASSED_ON else _ENDED.get(change.kind)
        return _tag(change.contact, [ended]) if ended and change.kind in _ENDED else None


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
                await self._welcome_once(payload)
            case "friend_profile" | "friend_refresh":
                await self._profile(delivery, payload["userid"], payload["customer"])
            case _:
                raise PeerRejected(PEER, "企业微信没有以成员身份给客户发消息的接口")

    async def _welcome_once(self, payload: Fields) -> None:
        """Several events may bring a code; welcomes of one contact come one after another."""
        contact, now = payload["contact"], self._clock()
        if await self._database.read(lambda c: contacts.was_welcomed(c, contact)):
            return
        if await self._welcome(payload["code"], payload["text"], until=payload["until"]):
            await self._database.write(
                lambda c: contacts.keep_welcomed(c, contact, now=now), key=contact
            )

    async def _welcome(self, code: str, text: str, *, until: float) -> bool:
        """Whether the customer is welcomed, or needs to be no more. Tried again here: the outbox's
        pauses are longer than a code lives."""
        while True:
            try:
                await self._client.welcome(code, text)
            except WxRejected as error:
                if error.errcode not in _FINAL:
                    raise
                log.info("a customer is not welcomed by us: %s", error)
                return error.errcode == errors.WELCOMED_ALREADY
            except PeerUnavailable as error:
                pause = error.retry_after or RETRY_S
                if self._clock() + pause >= until:
                    raise PeerRejected(PEER, f"欢迎语没能在 20 秒内发出：{error.reason}") from error
                await self._sleep(pause)
            else:
                return True

    async def _profile(self, delivery: Delivery, userid: str, customer: str) -> None:
        try:
            contact = await self._client.contact(customer)
            follower = contact.follower(userid)
            if follower is None:
                log.info("%s is no customer of %s any more", customer, userid)
                return
            is_new = delivery.payload["type"] == PROFILE
            await self._keep(delivery, contact, follower, marks=is_new)
            if is_new:
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

    async def _keep(
        self, delivery: Delivery, contact: ExternalContact, follower: Follower, *, marks: bool
    ) -> None:
        """What the platform knows; what an operator has written or tagged here stays."""
        now, source = self._clock(), source_of(follower.add_way, follower.state)
        whose = delivery.payload["contact"]
        said = "，".join(filter(None, (follower.remark, *source)))
        ours = (self._tag,) if marks and self._tag else ()

        def unit(connection: Connection) -> None:
            before = contacts.seen(connection, whose)
            changes = {"name": contact.name}
            if contacts.remark_of(connection, whose) in ("", before.remark):
                changes["remark"] = said
            about = Effect(EffectKind.CUSTOMER, "about", {"contact_id": whose, "changes": changes})
            new = [tag for tag in follower.tags if tag not in before.tags]
            gone = [tag for tag in before.tags if tag not in (*follower.tags, *ours)]
            found = [about, _tag(whose, [*source, *new], remove=gone)]
            _apply(connection, self._book, whose, found, key=delivery.message_id, now=now)
            tags = tuple(dict.fromkeys((*follower.tags, *ours)))
            contacts.keep_seen(connection, whose, Seen(said, tags), now=now)

        await self._database.write(unit, key=whose)


def _change(fields: Fields) -> _Change:
    names = (
        "ChangeType",
        "UserID",
        "ExternalUserID",
        "State",
        "WelcomeCode",
        "CreateTime",
        "FailReason",
        "Source",
    )
    return _Change(*(xml.text(fields, name)[:_MAX_CHARS] for name in names))


def _profiles(change: _Change) -> str:
    """The queue of what is read of one contact: what was read later is kept last."""
    return f"{PROFILE}:{change.contact}"


def _delivery(change: _Change, kind: str, key: str, queue: str, payload: Fields) -> NewDelivery:
    return NewDelivery(
        message_id=f"{kind}:{key}",
        queue=queue,
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
