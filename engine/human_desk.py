"""The human desk of the chat surfaces: who waits for a person, and what that person says.

Whoever is handed over by the bot and whoever asks for a person by a call wait in one queue. The
bot's hand-overs are never turned away (a complaint must reach somebody), so that the limit holds
for calls only.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from sqlalchemy import Connection, text

from domain.decisions import Effect, EffectKind, as_dict
from domain.errors import InvalidInput, NotFound
from domain.ids import contact_id, conversation_id, new_message_id
from graphs.notices import customer_named
from graphs.templates import Templates
from storage import desk, desk_talks, effects
from storage.clock import iso
from storage.database import Database
from storage.desk import Place
from storage.effects import Applied, Cause
from storage.handoffs import HandoffRow, open_handoff
from storage.recipients import RecipientRow, find_recipient
from storage.tasks import TaskBook
from tools.catalog.reading import last_asked

CAMPUS = "campus"
SURFACE = (CAMPUS, "wechat")
"""Channels whose customers wait in one queue: seed 002 is a campus page and an official account."""
_REASON = "human_request"
_REASON_SHOWN = "客户要求人工"
_NO_QUESTION = "（还没有留言）"
_QUESTION_CHARS = 500
_SAID_BEFORE = text("SELECT 1 FROM effects WHERE key = :key")


class QueueFull(InvalidInput):
    """``waiting`` wait already, as many as may."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        reason = f"当前排队人数已满（{waiting} 人），请稍后再试，或先留言给智能客服"
        super().__init__("", reason, status=429)


@dataclass(frozen=True, slots=True)
class DeskPolicy:
    """``channels``: those that deliver by themselves; where no channel does, what a person says
    waits in the history to be fetched."""

    channels: frozenset[str]
    zone: tzinfo
    status: Literal["online", "offline"] = "online"
    max_waiting: int = 10


class HumanDesk:
    """``on_queues`` is told which queues of the outbox have something new."""

    def __init__(
        self,
        database: Database,
        templates: Templates,
        policy: DeskPolicy,
        *,
        book: TaskBook,
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self._database, self._templates, self._book = database, templates, book
        self._on_queues, self._clock = on_queues, clock

    async def customer(self, user: str) -> RecipientRow | None:
        """Whom ``user`` means on this surface."""

        def unit(connection: Connection) -> RecipientRow | None:
            found = (find_recipient(connection, user, channel=channel) for channel in SURFACE)
            return next((row for row in found if row is not None), None)

        return await self._database.read(unit)

    async def _anybody(self, user: str) -> RecipientRow:
        """On this surface, or of any channel by contact id (channel:account:sender). Raises
        NotFound."""
        found = await self.customer(user)
        if found is None and user.count(":") >= 2:
            found = await self._database.read(lambda c: find_recipient(c, user))
        if found is None:
            raise NotFound("user_id", user)
        return found

    async def wait(self, user: str) -> Place:
        """``user``'s place in the queue: the one they have, else a new one at its end.

        Somebody who has never written gets a conversation. Raises QueueFull.
        """
        who = await self.customer(user) or _stranger(user)
        key = f"transfer:{new_message_id()}"

        def unit(connection: Connection) -> tuple[Place, Applied]:
            desk.lock_queue(connection)
            now = self._clock()
            desk.know(connection, who, now=now)
            place = desk.place_of(connection, who.conversation_id, SURFACE)
            if place is not None:
                return place, Applied()
            taken = desk.waiting(connection, SURFACE)
            if taken >= self.policy.max_waiting:
                raise QueueFull(taken)
            done = self._hand_over(connection, who, key, now)
            place = desk.place_of(connection, who.conversation_id, SURFACE)
            assert place is not None
            return place, done

        place, done = await self._database.write(unit, key=who.conversation_id)
        self._on_queues(done.queues)
        return place

    def _hand_over(
        self, connection: Connection, who: RecipientRow, key: str, now: float
    ) -> Applied:
        question = last_asked(connection, who.conversation_id)[:_QUESTION_CHARS]
        name = customer_named(who.name, who.sender_id)
        handoff = {
            "reason": _REASON,
            "priority": "normal",
            "target": desk.DESK,
            "question": question,
        }
        shown = self._templates.render(
            "notice_text",
            customer=name,
            question=question or _NO_QUESTION,
            reason=_REASON_SHOWN,
            conversation=who.conversation_id,
            time=f"{datetime.fromtimestamp(now, self.policy.zone):%Y-%m-%d %H:%M}",
        )
        notice = {
            "title": self._templates.render("notice_title", customer=name, reason=_REASON_SHOWN),
            "text": shown,
            "priority": "normal",
            "reason": _REASON,
            "conversation_id": who.conversation_id,
        }
        return effects.apply(
            connection,
            [
                Effect(EffectKind.HANDOFF, "handoff", handoff),
                Effect(EffectKind.NOTICE, "notice", notice),
            ],
            key=key,
            cause=Cause(
                actor="customer", conversation_id=who.conversation_id, contact_id=who.contact_id
            ),
            now=now,
            book=self._book,
            channels=self.policy.channels,
        )

    async def place(self, user: str) -> Place | None:
        who = await self.customer(user)
        if who is None:
            return None
        return await self.place_in(who.conversation_id)

    async def place_in(self, conversation: str) -> Place | None:
        return await self._database.read(lambda c: desk.place_of(c, conversation, SURFACE))

    async def waiting(self) -> int:
        return await self._database.read(lambda c: desk.waiting(c, SURFACE))

    async def say(
        self, user: str, said: str, *, by: str, message_id: str = "", ends: bool = False
    ) -> RecipientRow:
        """A person's words to ``user``: history, and delivered where the channel does that.

        The conversation is that person's from then on, the bot keeps quiet and who waits behind
        moves up; with ``ends`` it is the bot's again. The same ``message_id`` is said once.
        Raises NotFound.
        """
        who = await self._anybody(user)
        key = f"staff:{who.conversation_id}:{message_id or new_message_id()}"

        def unit(connection: Connection) -> Applied:
            if connection.execute(_SAID_BEFORE, {"key": f"{key}:message"}).first() is not None:
                return Applied()
            now = self._clock()
            self._take(connection, who, by=by, ends=ends, now=now)
            return self._tell(connection, who, said, key=key, by=by, now=now)

        done = await self._database.write(unit, key=who.conversation_id)
        self._on_queues(done.queues)
        return who

    def _take(
        self, connection: Connection, who: RecipientRow, *, by: str, ends: bool, now: float
    ) -> None:
        place = desk.place_of(connection, who.conversation_id, SURFACE)
        if place is None:
            # A person who writes unasked has the conversation all the same.
            open_handoff(
                connection,
                HandoffRow("staff_reply", "normal", desk.DESK, ""),
                conversation_id=who.conversation_id,
                contact_id=who.contact_id,
                turn_id="",
                at=iso(now),
            )
            place = desk.place_of(connection, who.conversation_id, SURFACE)
        assert place is not None
        if place.status == "open" or ends:
            status = "closed" if ends else "taken"
            desk_talks.set_handoff(connection, place.handoff, status=status, agent=by, now=now)

    def _tell(
        self, connection: Connection, who: RecipientRow, said: str, *, key: str, by: str, now: float
    ) -> Applied:
        payload: dict[str, Any] = {"to": as_dict(who), "type": "text", "text": said}
        pushes = who.channel in self.policy.channels
        return effects.apply(
            connection,
            [Effect(EffectKind.MESSAGE, "message", payload)],
            key=key,
            cause=Cause(
                actor=by,
                conversation_id=who.conversation_id,
                contact_id=who.contact_id,
                shown_in="" if pushes else who.conversation_id,
                said_by="staff",
            ),
            now=now,
            book=self._book,
            channels=self.policy.channels,
        )


def _stranger(user: str) -> RecipientRow:
    return RecipientRow(
        conversation_id(CAMPUS, CAMPUS, user, user),
        CAMPUS,
        CAMPUS,
        user,
        user,
        contact_id(CAMPUS, CAMPUS, user),
        "",
    )
