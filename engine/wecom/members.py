"""Members who write to the application: stored before their callback is answered, answered like
any customer, by a message of the application."""

import logging
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, text

from domain.messages import InboundMessage, MessageKind
from engine.wecom.callbacks import MESSAGE, Fields, WecomCallbacks
from graphs.templates import Templates
from storage import outbox, passive
from storage.clock import iso
from storage.database import Database
from storage.inbox import Receipt
from storage.outbox import NewDelivery
from tools.wecom.app_inbox import CHANNEL, CLICK, ENTER, member_message

log = logging.getLogger(__name__)
_MODE = text("SELECT mode FROM conversations WHERE id = :id")
_UNHEARD = {MessageKind.VOICE: "wechat_voice"}
"""Words for kinds that have no words of their own; `_UNSEEN` for all others."""
_UNSEEN = "wechat_unsupported"
_QUESTIONS = frozenset({MessageKind.TEXT, MessageKind.LOCATION, MessageKind.LINK})

Receive = Callable[[InboundMessage], Awaitable[Receipt]]


class Members:
    """``receive``: the engine's. ``on_queue`` is told which queue of the outbox got something,
    ``on_picture`` where a picture is to be had."""

    def __init__(
        self,
        agent_id: int,
        database: Database,
        receive: Receive,
        templates: Templates,
        *,
        on_queue: Callable[[str], None],
        on_picture: Callable[[str], None] = lambda _source: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = str(agent_id)
        self._database, self._receive, self._templates = database, receive, templates
        self._on_queue, self._on_picture, self._clock = on_queue, on_picture, clock

    def listen(self, callbacks: WecomCallbacks) -> None:
        for name in (MESSAGE, ENTER, CLICK):
            callbacks.on(name, self.handle)

    async def handle(self, fields: Fields) -> None:
        """A message, or an event of the application; its rows are there when this returns."""
        message = member_message(fields)
        if message.account != self._account:
            log.warning("a member wrote to application %s, which is not ours", message.account)
        elif message.event == ENTER:
            await self._greet(message)
        elif message.kind is MessageKind.IMAGE or (message.kind in _QUESTIONS and message.text):
            await self._ask(message)
        elif message.event == CLICK:
            log.warning("a button of the application's menu has no key: it says nothing")
        else:
            await self._decline(message)

    async def _ask(self, message: InboundMessage) -> None:
        await self._receive(message)
        for attachment in message.attachments:
            self._on_picture(attachment.url)

    async def _greet(self, message: InboundMessage) -> None:
        """Who opens the application for the first time. It tells of every time."""
        now = self._clock()
        said = self._templates.render("member_welcome", seed=message.sender_id)
        welcome = _welcome(message, said, now)

        def unit(connection: Connection) -> bool:
            if connection.execute(_MODE, {"id": message.conversation}).first() is not None:
                return False
            if not outbox.add(connection, [welcome], iso(now)):
                return False
            return passive.keep_handled(connection, message, now=now)

        if await self._database.write(unit, key=message.conversation):
            self._on_queue(welcome.queue)

    async def _decline(self, message: InboundMessage) -> None:
        """What nobody but a person can see or hear is kept, and words are asked for."""
        now = self._clock()
        name = _UNHEARD.get(message.kind, _UNSEEN)
        said = self._templates.render(name, seed=message.channel_message_id)

        def unit(connection: Connection) -> bool:
            if not passive.keep_handled(connection, message, now=now):
                return False
            row = connection.execute(_MODE, {"id": message.conversation}).first()
            if row is not None and row[0] == "human":
                return False
            passive.say(connection, message, said, now=now, not_before=now)
            return True

        if await self._database.write(unit, key=message.conversation):
            self._on_queue(message.conversation)


def _welcome(message: InboundMessage, said: str, now: float) -> NewDelivery:
    return NewDelivery(
        message_id=f"{CHANNEL}:{message.account}:{message.sender_id}:welcome",
        queue=message.conversation,
        kind="message",
        channel=CHANNEL,
        account=message.account,
        conversation_id=message.conversation,
        turn_id="",
        payload={
            "chat_id": message.chat_id,
            "to": message.sender_id,
            "text": said,
            "created_at": now,
        },
    )
