"""Answers through WeChat customer service: five for each message of a customer, within 48 hours."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import Connection

from domain.decisions import Action
from domain.errors import PeerError, PeerRejected
from engine.wecom.kf_words import (
    WELCOME,
    part_msgid,
    split,
    undelivered_notice,
    words_of,
)
from storage import kf, kf_windows, outbox
from storage.clock import iso
from storage.database import Database
from storage.kf import CHANNEL
from storage.kf_windows import Grant, Whose
from storage.outbox import Delivery
from tools.wecom import errors
from tools.wecom.errors import PEER
from tools.wecom.kf import KfClient, SessionState
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
SPARE = 1
"""Kept for the word that a person takes over, and for people's own words."""
_TOO_LATE = "客户来信已超过 48 小时，需等客户再次来信"
_WITH_PERSON = frozenset({SessionState.QUEUE, SessionState.HUMAN})
_KNOWN_OPEN = str(int(SessionState.ASSISTANT))
_WINDOW_CODES = frozenset({errors.KF_WINDOW_CLOSED, 95031})


class _WithPerson(PeerRejected):
    """A person has the session; nothing has gone wrong."""


@dataclass(frozen=True, slots=True)
class _Sending:
    delivery: Delivery
    whose: Whose
    parts: tuple[str, ...]
    ids: tuple[str, ...]


class KfChannel:
    """``notices``: staff can be told what did not reach a customer."""

    def __init__(
        self,
        client: KfClient,
        database: Database,
        *,
        notices: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._database = client, database
        self._notices, self._clock = notices, clock

    async def deliver(self, delivery: Delivery) -> None:
        """Raises PeerUnavailable, or PeerRejected where nobody has to try again before the
        customer writes again."""
        if delivery.payload.get("type") == WELCOME:
            await self._welcome(delivery)
            return
        sending = _sending(delivery)
        grant = await self._reserve(sending)
        if not grant.is_open:
            await self._refuse(sending, _TOO_LATE)
        if not grant.ids:
            await self._refuse(sending, "客户来信后的 5 条回复已用完，需等客户再次来信")
        await self._prepare(sending, grant)
        for number in range(len(grant.ids)):
            await self._part(sending, grant, number)
        if len(grant.ids) < len(sending.parts):
            missing = f"共 {len(sending.parts)} 段，额度只够前 {len(grant.ids)} 段"
            await self._refuse(sending, missing)

    # The quota -----------------------------------------------------------------------------

    async def _reserve(self, sending: _Sending) -> Grant:
        now = self._clock()

        def unit(connection: Connection) -> Grant:
            spare = 0 if _is_urgent(connection, sending.delivery) else SPARE
            return kf_windows.reserve(connection, sending.whose, sending.ids, now=now, spare=spare)

        return await self._database.write(unit, key=sending.delivery.queue)

    async def _refuse(self, sending: _Sending, reason: str) -> NoReturn:
        """Raises PeerRejected; staff is told."""
        delivery, now = sending.delivery, self._clock()
        if self._notices:
            notice = undelivered_notice(delivery.message_id, delivery.conversation_id, reason)
            await self._database.write(lambda c: outbox.add(c, [notice], iso(now)))
        raise PeerRejected(PEER, reason)

    # Sending -------------------------------------------------------------------------------

    async def _part(self, sending: _Sending, grant: Grant, number: int) -> None:
        try:
            await self._send(sending, number)
        except WxRejected as error:
            if _is_repeated(error):
                # It was taken before, and the answer was lost: it costs nothing again.
                await self._release(sending, {sending.ids[number]} & set(grant.fresh))
                return
            left = set(grant.ids[number:]) & set(grant.fresh)
            await self._rejected(sending, error, left)
        except PeerRejected as error:
            await self._release(sending, set(grant.ids[number:]) & set(grant.fresh))
            if isinstance(error, _WithPerson):
                raise
            await self._refuse(sending, error.reason)

    async def _send(self, sending: _Sending, number: int) -> None:
        try:
            await self._send_once(sending, number)
        except WxRejected as error:
            if error.errcode != errors.KF_BAD_STATE or not await self._may_again(sending):
                raise
            await self._send_once(sending, number)

    async def _send_once(self, sending: _Sending, number: int) -> None:
        whose = sending.whose
        await self._client.send_text(
            whose.account, whose.sender_id, sending.parts[number], msgid=sending.ids[number]
        )

    async def _rejected(self, sending: _Sending, error: WxRejected, left: set[str]) -> NoReturn:
        """Raises PeerRejected. What the platform says of the window is true, whatever we kept."""
        whose, now = sending.whose, self._clock()

        def unit(connection: Connection) -> None:
            kf_windows.release(connection, whose, left)
            if error.errcode == errors.KF_QUOTA_SPENT:
                kf_windows.exhaust(connection, whose)
            elif error.errcode in _WINDOW_CODES:
                kf_windows.close(connection, whose, now=now)

        await self._database.write(unit, key=sending.delivery.queue)
        await self._refuse(sending, error.reason)

    async def _release(self, sending: _Sending, ids: set[str]) -> None:
        if ids:
            await self._database.write(lambda c: kf_windows.release(c, sending.whose, ids))

    # The session ---------------------------------------------------------------------------

    async def _prepare(self, sending: _Sending, grant: Grant) -> None:
        """The session becomes the assistant's before its first answer: one that stays new looks
        to servicers as if nobody had answered. An answer does not wait for that to succeed."""
        if grant.state == _KNOWN_OPEN:
            return
        try:
            state = await self._take_session(sending)
        except PeerError as error:
            log.warning("the session of %s stays as it is: %s", sending.whose.sender_id, error)
            return
        if state in _WITH_PERSON:
            await self._release(sending, set(grant.fresh))
            await self._give_to_person(sending)

    async def _may_again(self, sending: _Sending) -> bool:
        """Whether a session that refused a message takes it now."""
        state = await self._take_session(sending)
        if state in _WITH_PERSON:
            await self._give_to_person(sending)
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

    async def _give_to_person(self, sending: _Sending) -> NoReturn:
        conversation, now = sending.delivery.conversation_id, self._clock()
        await self._database.write(
            lambda c: kf.hand_to_person(c, conversation, agent="", now=now), key=conversation
        )
        raise _WithPerson(PEER, "会话正由人工接待，不再自动回复")

    # Welcome -------------------------------------------------------------------------------

    async def _welcome(self, delivery: Delivery) -> None:
        """Too late, or done by somebody else: then there is nothing more to do."""
        payload = delivery.payload
        if self._clock() >= payload["until"]:
            log.warning("the welcome of %s is too late", payload["to"])
            return
        msgid = part_msgid(delivery.message_id, 0)
        try:
            await self._client.send_on_event(payload["code"], payload["text"], msgid=msgid)
        except WxRejected as error:
            if error.errcode not in (errors.BAD_WELCOME_CODE, errors.WELCOMED_ALREADY):
                raise
            log.info("the welcome of %s was not needed: %s", payload["to"], error)


def _sending(delivery: Delivery) -> _Sending:
    parts = split(words_of(delivery.payload))
    if not parts:
        raise PeerRejected(PEER, "消息内容为空")
    ids = tuple(part_msgid(delivery.message_id, number) for number in range(len(parts)))
    whose = Whose(CHANNEL, delivery.account, delivery.payload["to"])
    return _Sending(delivery, whose, tuple(parts), ids)


def _is_urgent(connection: Connection, delivery: Delivery) -> bool:
    """The word that a person takes over, or a person's word: what some of the quota is kept for."""
    if not delivery.turn_id:
        return delivery.task_id is None
    return kf.action_of(connection, delivery.turn_id) == Action.ESCALATE.value


def _is_repeated(error: WxRejected) -> bool:
    """Which errcode a msgid has that was used before is not documented; what it says names it. Ours
    are well-formed and nobody else's."""
    return "msgid" in error.reason
