"""The desk of the chat surfaces (seed 002): who asks for a person by a call waits in one queue with
whom the bot has handed over, and what a person says there reaches the customer.

The bot's hand-overs are never turned away (a complaint must reach somebody), so that the limit
holds for calls only.
"""

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.errors import InvalidInput, NotFound
from domain.ids import contact_id, conversation_id, new_message_id
from engine.desk import words
from engine.desk.desk import Desk
from storage import desk as queue
from storage import desk_talks, effects
from storage.desk import Place
from storage.effects import Applied, Cause
from storage.recipients import RecipientRow, find_recipient
from storage.statements import Statement
from tools.catalog.reading import last_asked

CAMPUS = "campus"
SURFACE = (CAMPUS, "wechat")
"""Channels whose customers wait in one queue: seed 002 is a campus page and an official account."""
_REASON = "human_request"
_REASON_SHOWN = "客户要求人工"
_QUESTION_CHARS = 500
_SAID_BEFORE = Statement("SELECT 1 FROM effects WHERE key = :key")


class QueueFull(InvalidInput):
    """``waiting`` wait already, as many as may."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        reason = f"当前排队人数已满（{waiting} 人），请稍后再试，或先留言给智能客服"
        super().__init__("", reason, status=429)


class CampusDesk:
    def __init__(self, desk: Desk) -> None:
        self._desk, self.policy = desk, desk.policy
        self._database, self._clock = desk.database, desk.clock

    @property
    def status(self) -> Literal["online", "offline"]:
        """Whether somebody should be there now."""
        return "online" if self.policy.is_open(self._clock()) else "offline"

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
            queue.lock_queue(connection)
            now = self._clock()
            queue.know(connection, who, now=now)
            place = queue.place_of(connection, who.conversation_id, SURFACE)
            if place is not None:
                return place, Applied()
            taken = queue.waiting(connection, SURFACE)
            if taken >= self.policy.max_waiting:
                raise QueueFull(taken)
            done = self._hand_over(connection, who, key, now)
            place = queue.place_of(connection, who.conversation_id, SURFACE)
            assert place is not None
            return place, done

        place, done = await self._database.write(unit, key=who.conversation_id)
        self._desk.on_queues(done.queues)
        self._desk.feed.wake()
        return place

    def _hand_over(
        self, connection: Connection, who: RecipientRow, key: str, now: float
    ) -> Applied:
        question = last_asked(connection, who.conversation_id)[:_QUESTION_CHARS]
        name, templates = who.name or who.sender_id, self._desk.templates
        handoff = {
            "reason": _REASON,
            "priority": "normal",
            "target": queue.DESK,
            "question": question,
        }
        shown = templates.render(
            "notice_text",
            customer=name,
            question=question or words.NO_QUESTION,
            reason=_REASON_SHOWN,
            conversation=who.conversation_id,
            time=f"{datetime.fromtimestamp(now, self.policy.zone):%Y-%m-%d %H:%M}",
        )
        notice = {
            "title": templates.render("notice_title", customer=name, reason=_REASON_SHOWN),
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
            book=self._desk.book,
            channels=self.policy.channels,
        )

    async def place(self, user: str) -> Place | None:
        who = await self.customer(user)
        if who is None:
            return None
        return await self.place_in(who.conversation_id)

    async def place_in(self, conversation: str) -> Place | None:
        return await self._database.read(lambda c: queue.place_of(c, conversation, SURFACE))

    async def waiting(self) -> int:
        return await self._database.read(lambda c: queue.waiting(c, SURFACE))

    async def say(
        self, user: str, said: str, *, by: str, message_id: str = "", ends: bool = False
    ) -> RecipientRow:
        """A person's words to ``user``: history, and delivered where the channel does that.

        The conversation is with a person from then on, ``by`` where it was with nobody: the bot
        keeps quiet and who waits behind moves up; with ``ends`` it is the bot's again. The same
        ``message_id`` is said once. Raises NotFound.
        """
        who = await self._anybody(user)
        key = f"staff:{who.conversation_id}:{message_id or new_message_id()}"

        def unit(connection: Connection) -> Applied:
            if _SAID_BEFORE.first(connection, {"key": f"{key}:message"}) is not None:
                return Applied()
            return self._say(connection, who, said, key=key, by=by, ends=ends)

        done = await self._database.write(unit, key=who.conversation_id)
        self._desk.on_queues(done.queues)
        self._desk.told(who.conversation_id if ends else "")
        return who

    def _say(
        self,
        connection: Connection,
        who: RecipientRow,
        said: str,
        *,
        key: str,
        by: str,
        ends: bool,
    ) -> Applied:
        """Whoever writes unasked has the conversation all the same."""
        now = self._clock()
        talk = desk_talks.hold(connection, who.conversation_id)
        if talk is not None and not talk.taken:
            desk_talks.take(connection, talk, by, now=now, due=None)
            talk = desk_talks.talk_of(connection, who.conversation_id)
        if talk is None:
            raise NotFound("user_id", who.sender_id)
        done = self._desk.tell(connection, talk, said, (), key=key, by=by, now=now)
        if ends:
            desk_talks.close(connection, talk, by=by, agent=by, now=now)
        return done


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
