"""What a callback leaves in the database, each in one transaction."""

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from sqlalchemy import Connection, text

from domain.messages import InboundMessage, MessageKind
from storage import callbacks, inbox, passive, reply_windows
from storage.database import Database
from storage.inbox import Receipt
from tools.wechat.messages import CHANNEL, Incoming
from tools.wx.crypto import CallbackRefused, Refusal

log = logging.getLogger(__name__)
MESSAGE_WINDOW_S = 48 * 3_600.0
EVENT_WINDOW_S, EVENT_QUOTA = 60.0, 3
SEEN_FOR_S = 3_600.0
_FORGET_EVERY = 500
GONE = "unsubscribed"

Beside = Callable[[Connection, Receipt], None]


class Receives(Protocol):
    def __call__(
        self, message: InboundMessage, *, beside: Beside | None = None
    ) -> Coroutine[Any, Any, Receipt]: ...


_MODE = text("SELECT mode FROM conversations WHERE id = :id")
_STATE = text(
    "UPDATE customers SET state = CASE WHEN :state = 'new' AND state_before <> ''"
    " THEN state_before ELSE :state END, version = version + 1,"
    " state_before = CASE WHEN state IN ('churn', 'unsubscribed') THEN state_before ELSE state END"
    " WHERE contact_id = :contact AND state <> :state"
    " AND (:state <> 'new' OR state = 'unsubscribed')"
)


class Storing:
    """``receive``: the engine's. ``hold_s``: how long a fixed answer waits for the response."""

    def __init__(
        self,
        database: Database,
        receive: Receives,
        *,
        quota: int,
        hold_s: float,
        on_queue: Callable[[str], None] = lambda _queue: None,
        on_picture: Callable[[str], None] = lambda _source: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._receive = database, receive
        self._quota, self._hold_s, self._clock = quota, hold_s, clock
        self._on_queue, self._on_picture = on_queue, on_picture
        self._taken = 0

    async def ask(self, found: Incoming, message: InboundMessage, seen_as: str) -> None:
        """A message that is to be answered by a turn."""

        def beside(connection: Connection, receipt: Receipt) -> None:
            if not receipt.duplicate:
                self._first(connection, found, message, seen_as)

        await self._receive(message, beside=beside)
        for attachment in message.attachments:
            if attachment.kind == MessageKind.IMAGE:
                self._on_picture(attachment.url)
        await self._forget_some()

    async def say(self, found: Incoming, message: InboundMessage, seen_as: str, said: str) -> bool:
        """One that has a fixed answer; False where a person has the conversation and sees it."""
        now = self._clock()

        def unit(connection: Connection) -> bool:
            if not passive.keep_handled(connection, message, now=now):
                return True
            self._first(connection, found, message, seen_as)
            row = connection.execute(_MODE, {"id": message.conversation}).first()
            if row is not None and row[0] == "human" and not found.has_come:
                return False
            passive.say(connection, message, said, now=now, not_before=now + self._hold_s)
            return True

        expects = await self._database.write(unit, key=message.conversation)
        self._on_queue(message.conversation)
        return expects

    async def note(self, found: Incoming, message: InboundMessage, seen_as: str) -> None:
        """One that nobody answers."""
        now = self._clock()

        def unit(connection: Connection) -> None:
            if passive.keep_handled(connection, message, now=now):
                self._first(connection, found, message, seen_as)

        await self._database.write(unit, key=message.conversation)

    async def is_open(self, message: InboundMessage) -> bool:
        """Whether its answer is still to come, or to be delivered."""

        def unit(connection: Connection) -> bool:
            key = (message.channel, message.account, message.channel_message_id)
            receipt = inbox.find(connection, *key)
            if receipt is not None and receipt.status == "unread":
                return True
            return passive.waits(connection, message.conversation)

        return await self._database.read(unit)

    def _first(
        self, connection: Connection, found: Incoming, message: InboundMessage, seen_as: str
    ) -> None:
        """Raises CallbackRefused, which undoes all: one address that somebody has seen is good for
        one message only, since its signature does not cover the body."""
        now = self._clock()
        if seen_as and not callbacks.first_time(connection, seen_as, now=now):
            raise CallbackRefused(Refusal.SIGNATURE, "同一签名带来了另一条消息")
        whose = (CHANNEL, message.account, message.sender_id)
        if found.is_gone:
            reply_windows.close_window(connection, *whose, now=now)
            connection.execute(_STATE, {"state": GONE, "contact": message.contact})
            return
        connection.execute(_STATE, {"state": "new", "contact": message.contact})
        lasts, allowed = {
            "message": (MESSAGE_WINDOW_S, self._quota),
            "event": (EVENT_WINDOW_S, EVENT_QUOTA),
        }.get(found.opens_window, (0.0, 0))
        if allowed:
            reply_windows.open_window(connection, *whose, now=now, lasts_s=lasts, allowed=allowed)

    async def _forget_some(self) -> None:
        self._taken += 1
        if self._taken % _FORGET_EVERY == 1:
            before = self._clock() - SEEN_FOR_S
            await self._database.write(lambda c: callbacks.forget(c, before=before))
