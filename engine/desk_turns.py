"""The human desk, as far as turns have to do with it: who has the conversation, what a turn does at
the desk, what those who look on are told. A conversation that is plainly the bot's costs nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from domain.desk import Mode
from domain.desk_talk import opening_words
from domain.messages import InboundMessage, MessageKind
from engine.desk.views import Standing as DeskStanding
from graphs.desk import AtDesk, Returned, Stand, Standing
from storage import desk_events, desk_talks, drafts, history
from storage.database import Database
from storage.handoffs import DESK, waits_for
from storage.inbox import Claim, Receipt
from storage.turns import TurnCommit

_LABELS = {
    MessageKind.IMAGE: "[图片]",
    MessageKind.VOICE: "[语音]",
    MessageKind.FILE: "[文件]",
    MessageKind.LINK: "[链接]",
    MessageKind.LOCATION: "[位置]",
}
ReadStanding = Callable[[str], Awaitable[DeskStanding]]


@dataclass(frozen=True, slots=True)
class TurnDesk:
    """``standing``: reads the queue as a conversation sees it (`engine.desk.desk.Desk.standing`);
    None: customers are told no places. ``max_waiting``: from there on the queue is called full.
    ``pooled``: channels whose customers wait in the platform's own pool, of which we know
    nothing."""

    database: Database
    standing: ReadStanding | None = None
    max_waiting: int = 10
    zone: tzinfo = UTC
    pooled: frozenset[str] = frozenset()

    async def in_talk(self, claim: Claim, now: float) -> AtDesk | None:
        """None while the conversation is plainly the bot's."""
        mode, conversation = Mode(claim.mode), claim.conversation_id
        returned = await self._returned(claim)
        if returned is not None or mode is Mode.COPILOT:
            answered = await self.database.read(lambda c: drafts.was_answered(c, conversation))
            return AtDesk(mode, answered=answered, returned=returned)
        if mode is not Mode.QUEUED:
            return None
        waits = await self.database.read(lambda c: waits_for(c, conversation))
        if waits is None:  # what it waited for is gone: it is as good as the bot's
            return None
        reason, since = waits
        standing = await self._stand(conversation, now)
        return AtDesk(mode, reason, standing, waited_s=now - since)

    def stand(self, claim: Claim, now: float) -> Stand | None:
        """For a conversation that may join the queue."""
        if self.standing is None or claim.channel in self.pooled:
            return None
        return lambda: self._stand(claim.conversation_id, now)

    async def _stand(self, conversation: str, now: float) -> Standing:
        if self.standing is None:
            return Standing()
        found = await self.standing(conversation)
        opens = ""
        if not found.open and found.opens_ts is not None:
            at, this = (datetime.fromtimestamp(ts, self.zone) for ts in (found.opens_ts, now))
            opens = opening_words(at, this)
        full = found.waiting >= self.max_waiting
        return Standing(found.ahead, found.open, opens, full)

    async def _returned(self, claim: Claim) -> Returned | None:
        event = claim.messages[-1].event
        back = desk_talks.returned_by(event) if event else None
        if back is None:
            return None

        def read(connection: Connection) -> Returned | None:
            rows = history.rows(
                connection,
                "SELECT question, rating_asked_ts FROM handoffs WHERE id = :id"
                " AND conversation_id = :conversation AND status = 'closed'",
                id=back.handoff,
                conversation=claim.conversation_id,
            )
            if not rows:  # a channel made the event up, or it goes on already
                return None
            # Whoever has written on meanwhile is not asked how it was.
            asks = back.asks and not claim.more and rows[0]["rating_asked_ts"] is None
            return Returned(back.handoff, rows[0]["question"], asks)

        return await self.database.read(read)

    def commit(
        self,
        connection: Connection,
        claim: Claim,
        turn: TurnCommit,
        deeds: Sequence[dict[str, Any]],
    ) -> None:
        """``deeds``: payloads of the turn's DESK effects."""
        for deed in deeds:
            _DO[deed["do"]](connection, claim, deed, turn.ended)
        if claim.mode == Mode.BOT:
            return
        handed = turn.handoff is not None and turn.handoff.target == DESK
        if handed and claim.mode == Mode.COPILOT:
            _to_person(connection, claim, turn.ended)
        if turn.reply is not None:
            _tell_reply(connection, claim, turn)


def heard(connection: Connection, message: InboundMessage, receipt: Receipt) -> None:
    """Those who look on see what a customer writes to the desk as soon as it is stored."""
    if receipt.duplicate or receipt.mode == Mode.BOT or message.kind is MessageKind.EVENT:
        return
    text = message.text or _LABELS.get(message.kind, "")
    desk_talks.customer_wrote(
        connection,
        receipt.conversation_id,
        mode=receipt.mode,
        text=text,
        message=receipt.row_id,
        now=message.received_at,
    )


def _tell_reply(connection: Connection, claim: Claim, turn: TurnCommit) -> None:
    assert turn.reply is not None
    row = history.message_row(connection, claim.channel, claim.account, turn.reply.message_id)
    assert row is not None
    desk_events.tell_message(
        connection,
        claim.conversation_id,
        now=turn.ended,
        role="assistant",
        text=turn.reply.content,
        message=row,
    )


def _to_person(connection: Connection, claim: Claim, now: float) -> None:
    """The bot cannot help: whoever approved its drafts speaks, else somebody of the queue."""
    talk = desk_talks.hold(connection, claim.conversation_id)
    if talk is not None:
        mode = Mode.HUMAN if talk.taken else Mode.QUEUED
        desk_talks.change_mode(connection, talk, mode, agent="", now=now)


def _leave(connection: Connection, claim: Claim, _deed: dict[str, Any], now: float) -> None:
    desk_talks.leave(connection, claim.conversation_id, now=now)


def _asked(connection: Connection, _claim: Claim, deed: dict[str, Any], now: float) -> None:
    desk_talks.asked_for_rating(connection, deed["handoff"], now=now)


def _mark(connection: Connection, _claim: Claim, deed: dict[str, Any], now: float) -> None:
    desk_talks.rate(connection, deed["handoff"], deed["rating"], now=now)


_DO: dict[str, Callable[[Connection, Claim, dict[str, Any], float], None]] = {
    "leave": _leave,
    "asked": _asked,
    "mark": _mark,
}
