"""Answers in the response to a callback: waited for, taken from the outbox, and given once."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from engine.metrics import Metrics
from storage import inbox, passive
from storage.database import Database
from storage.passive import Ask, Offer
from storage.turns import TurnCommit
from tools.wechat.messages import CHANNEL
from tools.wx.envelope import MAX_TEXT_BYTES

_POLL_S = 0.3
"""Another process may run the turn: then nobody tells us that it was committed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. ``reply``: how long a callback waits for its answer; ``platform``: when the platform
    hangs up and delivers the same message again, ``deliveries`` times in all; ``margin`` before
    that nothing is put into a response any more, for it would perhaps not be received; ``grace``
    after it a response that nobody has confirmed is taken for lost."""

    reply: float = 4.5
    platform: float = 5.0
    deliveries: int = 3
    margin: float = 0.2
    grace: float = 1.0

    @property
    def last_moment(self) -> float:
        return self.platform - self.margin


@dataclass(frozen=True, slots=True)
class Callback:
    """One delivery of message ``message_id``. ``arrived``: seconds since the epoch; ``started``: of
    the event loop's clock. ``gone`` is set when the platform has hung up."""

    account: str
    message_id: str
    conversation_id: str
    arrived: float
    started: float
    gone: asyncio.Event


class PassiveReplies:
    """``retake``: there is no other way to the customer, so what was offered in a response that
    nobody confirmed is offered again."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        timing: Timing,
        retake: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._metrics = database, metrics
        self.timing, self._retake, self._clock = timing, retake, clock
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.on_given_back: Callable[[str], None] = lambda _queue: None

    def committed(self, commit: TurnCommit) -> None:
        """A turn of somebody's is over; returns at once."""
        for listener in self._listeners.get(commit.claim.conversation_id, ()):
            listener.set()

    async def offer(self, callback: Callback) -> Offer | None:
        """What the response is to carry; None where the answer takes another way, or there is none.

        Whoever gets one says `written` or `give_back`.
        """
        ends = callback.started + self.timing.reply
        with self._listening(callback) as told:
            while not callback.gone.is_set():
                told.clear()
                found = await self._look(callback)
                if isinstance(found, Offer):
                    return await self._in_time(callback, found)
                left = ends - asyncio.get_running_loop().time()
                if found == "over":
                    return None
                if left <= 0:
                    self._metrics.talk.passive_misses.labels(CHANNEL).inc()
                    return None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _POLL_S)):
                        await told.wait()
        return None

    async def written(self, callback: Callback, offer: Offer) -> None:
        now = self._clock()
        await self._database.write(
            lambda c: passive.written(c, offer, now=now), key=callback.conversation_id
        )
        self._metrics.deliveries.labels(CHANNEL, "passive").inc()
        self.on_given_back(callback.conversation_id)  # What stands behind it may go.

    async def give_back(self, callback: Callback, offer: Offer) -> None:
        await self._database.write(
            lambda c: passive.give_back(c, offer), key=callback.conversation_id
        )
        self.on_given_back(callback.conversation_id)

    async def _in_time(self, callback: Callback, offer: Offer) -> Offer | None:
        waited = asyncio.get_running_loop().time() - callback.started
        late = waited > self.timing.last_moment
        if not late and not callback.gone.is_set():
            return offer
        await self.give_back(callback, offer)
        return None

    async def _look(self, callback: Callback) -> Offer | Literal["wait", "over"]:
        account, message_id = callback.account, callback.message_id
        receipt = await self._database.read(lambda c: inbox.find(c, CHANNEL, account, message_id))
        if receipt is None or receipt.status == "unread":
            return "wait"
        ask, now = self._ask(callback), self._clock()
        offer = await self._database.write(
            lambda c: passive.take(c, ask, now=now), key=callback.conversation_id
        )
        if offer is not None:
            return offer
        waits = await self._database.read(lambda c: passive.waits(c, callback.conversation_id))
        return "wait" if waits else "over"

    def _ask(self, callback: Callback) -> Ask:
        timing, waited = self.timing, asyncio.get_running_loop().time() - callback.started
        return Ask(
            CHANNEL,
            callback.account,
            callback.message_id,
            callback.conversation_id,
            arrived=callback.arrived,
            until=self._clock() + max(0.0, timing.platform - waited) + timing.grace,
            max_bytes=MAX_TEXT_BYTES,
            again_after=timing.last_moment,
            retake=self._retake,
        )

    @contextlib.contextmanager
    def _listening(self, callback: Callback) -> Iterator[asyncio.Event]:
        told, conversation = asyncio.Event(), callback.conversation_id
        self._listeners[conversation].add(told)
        try:
            yield told
        finally:
            self._listeners[conversation].discard(told)
            if not self._listeners[conversation]:
                del self._listeners[conversation]
