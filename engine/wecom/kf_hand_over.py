"""A conversation that is handed to a person: its session goes to the pool, or to a servicer.

The open hand-over is a row, and so is the delivery that moves the session, once, behind the words
that told the customer. What the platform refuses leaves the conversation to our own desk.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from engine.wecom.kf_words import part_msgid, split, words_of
from storage import agents, kf_sessions, kf_windows, passive
from storage.database import Database
from storage.kf import CHANNEL
from storage.kf_sessions import HandOver
from storage.kf_windows import Whose
from storage.outbox import Delivery
from storage.turns import TurnCommit
from tools.wecom import errors
from tools.wecom.errors import PEER
from tools.wecom.kf import KfClient, KfSession, SessionState
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
SWEEP_S = 15.0
"""Hand-overs of other processes, and of those that died, are found by then."""
PATIENCE_S = 120.0
"""A customer who waits for a person is ours again where the platform does not answer so long."""
_WITH_PERSON = frozenset({SessionState.QUEUE, SessionState.HUMAN})
_NOT_SERVING = frozenset({errors.KF_NO_SERVICER, errors.KF_SERVICER_STOPPED})


class HandOvers:
    """Sees to it that open hand-overs are moved. ``on_queues`` is told which queues of the outbox
    got something. ``unless_agents``: they stay where they are once our own desk has an agent."""

    def __init__(
        self,
        database: Database,
        *,
        on_queues: Callable[[Sequence[str]], None],
        unless_agents: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._on_queues, self._clock = database, on_queues, clock
        self._unless_agents = unless_agents
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def committed(self, commit: TurnCommit) -> None:
        """A turn of somebody's is over; returns at once."""
        if commit.handoff is not None and commit.claim.channel == CHANNEL:
            self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hand over kf sessions")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def look(self) -> None:
        """Everything that is open now is on its way when this returns."""
        now = self._clock()
        for found in await self._database.read(lambda c: self._due(c, now)):
            if await self._begin(found, now):
                self._on_queues([found.conversation])

    def _due(self, connection: Connection, now: float) -> list[HandOver]:
        if self._unless_agents and agents.any_enabled(connection):
            return []
        return kf_sessions.due(connection, now=now)

    async def _begin(self, found: HandOver, now: float) -> bool:
        return await self._database.write(
            lambda c: kf_sessions.begin(c, found, now=now), key=found.conversation
        )

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception:
                log.exception("hand-overs of customer service are looked for again later")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._wake.wait()


@dataclass(frozen=True, slots=True)
class _Moved:
    """``code``: for one word that goes with it; empty where it was moved before."""

    session: KfSession
    code: str = ""


class SessionMoves:
    """Moves a session. ``servicers``: who gets it, the first of them who receives; else the pool
    does."""

    def __init__(
        self,
        client: KfClient,
        database: Database,
        *,
        servicers: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._database = client, database
        self._servicers, self._clock = tuple(servicers), clock

    async def deliver(self, delivery: Delivery) -> None:
        """Raises PeerUnavailable while the platform may still be waited for."""
        if delivery.payload.get("code"):
            await self._say(delivery)
            return
        handoff = delivery.payload["handoff"]
        status = await self._database.read(lambda c: kf_sessions.status_of(c, handoff))
        if status == "taken":
            return
        if status == "closed":
            await self._keep(delivery, "the hand-over is closed")
            return
        try:
            moved = await self._move(_whose(delivery))
        except PeerUnavailable as error:
            if not self._is_late(delivery):
                raise
            await self._keep(delivery, str(error))
        except PeerRejected as error:
            await self._keep(delivery, str(error))
        else:
            await self._note(delivery, moved)
            await self._say(delivery)

    def _is_late(self, delivery: Delivery) -> bool:
        asked = datetime.fromisoformat(delivery.created_at).timestamp()
        return delivery.attempts > 1 and self._clock() - asked >= PATIENCE_S

    # The session ---------------------------------------------------------------------------

    async def _move(self, whose: Whose) -> _Moved:
        session = await self._client.session(whose.account, whose.sender_id)
        if session.state in _WITH_PERSON:
            return _Moved(session)
        if session.state is SessionState.ENDED:
            raise PeerRejected(PEER, "会话已结束，需等客户再次来信")
        for servicer in self._servicers:
            try:
                return await self._change(whose, SessionState.HUMAN, servicer)
            except WxRejected as error:
                if error.errcode not in _NOT_SERVING:
                    raise
                log.warning("%s does not get the session: %s", servicer, error)
        return await self._change(whose, SessionState.QUEUE)

    async def _change(self, whose: Whose, state: SessionState, servicer: str = "") -> _Moved:
        code = await self._client.change_session(
            whose.account, whose.sender_id, state, servicer=servicer
        )
        return _Moved(KfSession(state, servicer), code)

    async def _note(self, delivery: Delivery, moved: _Moved) -> None:
        """The code is kept with the delivery: it is given out once."""
        conversation, session, now = delivery.conversation_id, moved.session, self._clock()

        def unit(connection: Connection) -> dict[str, Any]:
            kf_windows.set_state(connection, _whose(delivery), str(int(session.state)))
            if session.state is SessionState.HUMAN:
                kf_sessions.hand_to_person(
                    connection, conversation, agent=session.servicer, now=now
                )
            else:
                kf_sessions.queued(connection, conversation, now=now)
            word = self._word(connection, delivery) if moved.code else None
            if word is None:
                return {}
            kept = {"code": moved.code, "text": word[0], "says": word[1]}
            passive.note_progress(connection, delivery.id, delivery.payload | kept)
            return kept

        kept = await self._database.write(unit, key=delivery.queue)
        delivery.payload.update(kept)

    def _word(self, connection: Connection, delivery: Delivery) -> tuple[str, int] | None:
        """What told the customer, where the quota was spent before it."""
        found = kf_sessions.unsaid(connection, delivery.conversation_id, delivery.payload["at"])
        texts = split(words_of(found.payload)) if found is not None else []
        return (texts[0], found.delivery) if found is not None and texts else None

    async def _keep(self, delivery: Delivery, why: str) -> None:
        conversation, now = delivery.conversation_id, self._clock()
        since = datetime.fromisoformat(delivery.created_at).timestamp()
        log.warning("the session of %s stays with our own desk: %s", conversation, why)
        await self._database.write(
            lambda c: kf_sessions.keep(c, conversation, since=since, now=now), key=conversation
        )

    # Its word ------------------------------------------------------------------------------

    async def _say(self, delivery: Delivery) -> None:
        """By the code, which is beside the quota and good for two days."""
        payload = delivery.payload
        if not payload.get("code"):
            return
        msgid = part_msgid(delivery.message_id, delivery.created_at, 0)
        try:
            await self._client.send_on_event(payload["code"], payload["text"], msgid=msgid)
        except PeerError as error:
            if isinstance(error, PeerUnavailable) and not self._is_late(delivery):
                raise
            if not _is_used(error):
                log.warning("%s is not told of the hand-over: %s", payload["customer"], error)
                return
        now = self._clock()
        await self._database.write(
            lambda c: kf_sessions.said(c, payload["says"], now=now), key=delivery.queue
        )


def _whose(delivery: Delivery) -> Whose:
    return Whose(CHANNEL, delivery.account, delivery.payload["customer"])


def _is_used(error: PeerError) -> bool:
    """It was taken before, and the answer was lost."""
    return isinstance(error, WxRejected) and error.errcode == errors.WELCOMED_ALREADY
