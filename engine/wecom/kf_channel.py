"""Answers through WeChat customer service: five for each message of a customer, within 48 hours."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from sqlalchemy import Connection

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from engine.wecom import kf_quota
from engine.wecom.kf_hand_over import SessionMoves
from engine.wecom.kf_pictures import PATIENT_ATTEMPTS, KfPictures, Shown
from engine.wecom.kf_quota import Outcome, Ration
from engine.wecom.kf_words import (
    WELCOME,
    Part,
    part_msgid,
    split,
    undelivered_notice,
    words_of,
)
from storage import kf_sessions, kf_windows, outbox
from storage.clock import iso
from storage.database import Database
from storage.kf import CHANNEL
from storage.kf_windows import Whose
from storage.outbox import Delivery
from tools.wecom import errors
from tools.wecom.errors import PEER
from tools.wecom.kf import KfClient, SessionState
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
WAIT_S = 0.5
_ELSEWHERE = {
    SessionState.QUEUE: "会话在企业微信的待接入池里，请接待人员在企业微信客户端接入后回复",
    SessionState.HUMAN: "会话正由接待人员在企业微信客户端人工接待，这里不再回复",
}
_KNOWN_OPEN = str(int(SessionState.ASSISTANT))
_WINDOW_CODES = frozenset({errors.KF_WINDOW_CLOSED, 95031})


class _WithPerson(PeerRejected):
    """A person has the session; nothing has gone wrong."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """``shown``: its picture, where that can be shown."""

    delivery: Delivery
    whose: Whose
    ration: Ration
    shown: Shown | None = None

    def unsent(self, number: int) -> frozenset[str]:
        """Reserved for this, from part ``number`` on."""
        return self.ration.fresh & {one.msgid for one in self.ration.parts[number:]}


class KfChannel:
    """``notices``: staff can be told what did not reach a customer. ``moves``: of sessions to
    people. ``pictures``: None sends their addresses."""

    def __init__(
        self,
        client: KfClient,
        database: Database,
        moves: SessionMoves,
        *,
        notices: bool,
        pictures: KfPictures | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._database = client, database
        self._moves, self._pictures = moves, pictures
        self._notices, self._clock = notices, clock

    async def deliver(self, delivery: Delivery) -> None:
        """Raises PeerUnavailable, or PeerRejected where nobody has to try again before the
        customer writes again."""
        kind = delivery.payload.get("type")
        if kind == WELCOME:
            await self._welcome(delivery)
        elif kind == kf_sessions.HAND_OVER:
            await self._moves.deliver(delivery)
        else:
            await self._answer(delivery)

    async def _answer(self, delivery: Delivery) -> None:
        try:
            await self._say(delivery)
        except _WithPerson as error:
            if _is_of_person(delivery):
                await self._refuse(delivery, error.reason)
            raise

    async def _say(self, delivery: Delivery) -> None:
        sending = await self._rationed(delivery)
        if sending.ration.outcome is Outcome.CARRIED:
            return
        await self._prepare(sending)
        sending = await self._with_picture(sending)
        for number in range(len(sending.ration.parts)):
            await self._part(sending, number)
        sent, needed = len(sending.ration.parts), sending.ration.needed
        if sent < needed:
            await self._refuse(delivery, f"共 {needed} 段，额度只够前 {sent} 段")

    async def _rationed(self, delivery: Delivery) -> _Sending:
        if not split(words_of(delivery.payload)):
            await self._refuse(delivery, "消息内容为空")
        whose, now = Whose(CHANNEL, delivery.account, delivery.payload["to"]), self._clock()
        found = await self._database.write(
            lambda c: kf_quota.ration(c, whose, delivery, now=now), key=delivery.queue
        )
        if found.outcome is Outcome.CLOSED:
            await self._refuse(delivery, "客户来信已超过 48 小时，需等客户再次来信")
        if found.outcome is Outcome.SPENT:
            await self._refuse(delivery, "客户来信后的 5 条回复已用完，需等客户再次来信")
        if found.outcome is Outcome.WAIT:
            raise PeerUnavailable(PEER, "额度只剩一条，等待与后续回复一并发送", retry_after=WAIT_S)
        return _Sending(delivery, whose, found)

    async def _refuse(self, delivery: Delivery, reason: str) -> NoReturn:
        """Raises PeerRejected; staff is told."""
        now = self._clock()
        if self._notices:
            notice = undelivered_notice(delivery.message_id, delivery.conversation_id, reason)
            await self._database.write(lambda c: outbox.add(c, [notice], iso(now)))
        raise PeerRejected(PEER, reason)

    # Sending -------------------------------------------------------------------------------

    async def _with_picture(self, sending: _Sending) -> _Sending:
        """Before anything is sent: what comes in a second attempt is refused as repeated."""
        part = next((one for one in sending.ration.parts if one.picture), None)
        if part is None or self._pictures is None:
            return sending
        may_wait = sending.delivery.attempts <= PATIENT_ATTEMPTS
        return replace(sending, shown=await self._pictures.prepare(part, may_wait=may_wait))

    async def _part(self, sending: _Sending, number: int) -> None:
        try:
            await self._send(sending, number)
        except _WithPerson:
            await self._give_up(sending, number)
            raise
        except PeerRejected as error:
            if _is_repeated(error):
                # It was taken before, and the answer was lost: it costs nothing again.
                await self._costs_nothing(sending, number)
                return
            await self._give_up(sending, number, error)
            await self._refuse(sending.delivery, error.reason)

    async def _send(self, sending: _Sending, number: int) -> None:
        try:
            await self._send_once(sending, number)
        except WxRejected as error:
            if error.errcode != errors.KF_BAD_STATE or not await self._may_again(sending):
                raise
            await self._send_once(sending, number)

    async def _send_once(self, sending: _Sending, number: int) -> None:
        whose, part = sending.whose, sending.ration.parts[number]
        if part.picture and await self._is_shown(sending, part):
            return
        await self._client.send_text(whose.account, whose.sender_id, part.text, msgid=part.msgid)

    async def _is_shown(self, sending: _Sending, part: Part) -> bool:
        if self._pictures is None or sending.shown is None:
            return False
        return await self._pictures.send(sending.whose, part, sending.shown)

    async def _give_up(
        self, sending: _Sending, number: int, error: PeerRejected | None = None
    ) -> None:
        """What the platform says of the window is true, whatever we kept."""
        whose, delivery, now = sending.whose, sending.delivery, self._clock()
        errcode = error.errcode if isinstance(error, WxRejected) else 0

        def unit(connection: Connection) -> None:
            kf_quota.give_up(connection, whose, delivery, sending.unsent(number))
            if errcode == errors.KF_QUOTA_SPENT:
                kf_quota.exhaust(connection, whose, now=now)
            elif errcode in _WINDOW_CODES:
                kf_quota.close(connection, whose, now=now)

        await self._database.write(unit, key=delivery.queue)

    async def _costs_nothing(self, sending: _Sending, number: int) -> None:
        ids = sending.ration.fresh & {sending.ration.parts[number].msgid}
        if ids:
            whose = sending.whose
            await self._database.write(lambda c: kf_quota.release(c, whose, ids))

    # The session ---------------------------------------------------------------------------

    async def _prepare(self, sending: _Sending) -> None:
        """The session becomes the assistant's before its first answer: one that stays new looks
        to servicers as if nobody had answered. An answer does not wait for that to succeed."""
        if sending.ration.state == _KNOWN_OPEN:
            return
        try:
            state = await self._take_session(sending)
        except PeerError as error:
            log.warning("the session of %s stays as it is: %s", sending.whose.sender_id, error)
            return
        if state in _ELSEWHERE:
            await self._give_up(sending, 0)
            await self._give_to_person(sending, state)

    async def _may_again(self, sending: _Sending) -> bool:
        """Whether a session that refused a message takes it now."""
        state = await self._take_session(sending)
        if state in _ELSEWHERE:
            await self._give_to_person(sending, state)
        return state in (SessionState.NEW, SessionState.ASSISTANT)

    async def _take_session(self, sending: _Sending) -> SessionState:
        whose = sending.whose
        session = await self._client.session(whose.account, whose.sender_id)
        state = session.state
        if state is SessionState.NEW:
            await self._client.change_session(
                whose.account, whose.sender_id, SessionState.ASSISTANT
            )
            state = SessionState.ASSISTANT
        await self._database.write(
            lambda c: kf_windows.set_state(c, whose, str(int(state))), key=sending.delivery.queue
        )
        return state

    async def _give_to_person(self, sending: _Sending, state: SessionState) -> NoReturn:
        conversation, now = sending.delivery.conversation_id, self._clock()

        def unit(connection: Connection) -> None:
            if state is SessionState.QUEUE:
                kf_sessions.keep_quiet(connection, conversation)
            else:
                kf_sessions.hand_to_person(connection, conversation, agent="", now=now)

        await self._database.write(unit, key=conversation)
        raise _WithPerson(PEER, _ELSEWHERE[state])

    # Welcome -------------------------------------------------------------------------------

    async def _welcome(self, delivery: Delivery) -> None:
        """Done by somebody else, there is nothing more to do; too late, the next time it is."""
        payload = delivery.payload
        if self._clock() >= payload["until"]:
            raise PeerRejected(PEER, "欢迎语凭证已超过 20 秒，不再补发")
        msgid = part_msgid(delivery.message_id, delivery.created_at, 0)
        try:
            await self._client.send_on_event(payload["code"], payload["text"], msgid=msgid)
        except WxRejected as error:
            if error.errcode != errors.WELCOMED_ALREADY:
                raise
            log.info("the welcome of %s was not needed: %s", payload["to"], error)


def _is_of_person(delivery: Delivery) -> bool:
    """Said at our own desk."""
    return not delivery.turn_id and delivery.task_id is None


def _is_repeated(error: PeerRejected) -> bool:
    """Which errcode a msgid has that was used before is not documented; what it says names it. Ours
    are well-formed and nobody else's."""
    return "msgid" in error.reason
