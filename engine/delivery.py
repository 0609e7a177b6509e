"""Delivering the outbox: in order per queue, with retry, backoff and dead letters."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from domain.decisions import Effect
from domain.errors import PeerRejected, PeerUnavailable
from domain.spans import Value, current
from engine.metrics import Metrics
from engine.policy import EnginePolicy
from engine.tracing import NO_TRACING, Tracing
from storage import outbox
from storage.database import Database
from storage.outbox import Delivery

log = logging.getLogger(__name__)
QUICK_ATTEMPTS = 2
"""Tries in a row before the delivery goes back to the outbox: most hiccups last milliseconds."""


class Channel(Protocol):
    async def deliver(self, delivery: Delivery) -> Sequence[Effect] | None:
        """Raises PeerUnavailable (try again) or PeerRejected (never again). Returns what is to
        follow, once and together with the note that it was delivered."""


class Settles(Protocol):
    """Told, in the transaction that settles a delivery, how it went (delivered, postponed, dead);
    returns queues of the outbox that got something."""

    def settled(
        self,
        connection: Connection,
        delivery: Delivery,
        *,
        outcome: str,
        error: str | None,
        now: float,
        follow_ups: Sequence[Effect] = (),
    ) -> tuple[str, ...]: ...


class Deliverer:
    """Works on a queue at a time per queue; different queues concurrently."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        metrics: Metrics,
        policy: EnginePolicy,
        *,
        owner: str,
        settles: Settles | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._channels = channels
        self._metrics = metrics
        self._policy = policy
        self._owner = owner
        self._settles = settles
        self._clock = clock
        self._active: dict[str, asyncio.Task[None]] = {}
        self._sending: set[int] = set()
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._slots = {name: asyncio.Semaphore(policy.deliveries_per_channel) for name in channels}
        self._stopping = False
        self.tracing: Tracing = NO_TRACING

    @property
    def sending(self) -> list[int]:
        """Deliveries that are under way or wait for a slot: their leases must not run out."""
        return list(self._sending)

    def wake(self, queue: str) -> None:
        if self._stopping:
            return
        if queue in self._active:
            self._again.add(queue)
            return
        self._active[queue] = asyncio.create_task(self._work(queue), name=f"deliver {queue}")

    async def stop(self, grace_s: float) -> None:
        """Finish what is being sent; what is not sent stays in the outbox."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        running = set(self._active.values())
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work(self, queue: str) -> None:
        try:
            while not self._stopping:
                self._again.discard(queue)
                delivery = await self._claim(queue)
                if delivery is not None:
                    await self._send_leased(delivery)
                    continue
                if queue not in self._again:
                    await self._come_back(queue)
                    return
        except Exception:
            log.exception("queue %s: delivery bookkeeping failed; the sweep retries", queue)
        finally:
            del self._active[queue]
            if queue in self._again:
                self._again.discard(queue)
                self.wake(queue)

    async def _claim(self, queue: str) -> Delivery | None:
        now, lease = self._clock(), self._policy.lease_s
        return await self._database.write(
            lambda c: outbox.claim_head(c, queue, owner=self._owner, now=now, lease_s=lease),
            key=queue,
        )

    async def _come_back(self, queue: str) -> None:
        """The head is not due yet, or somebody else has it: ring when its time has come."""
        at = await self._database.read(lambda c: outbox.next_attempt(c, queue))
        if at is None or self._stopping or queue in self._timers:
            return

        def ring() -> None:
            self._timers.pop(queue, None)
            self.wake(queue)

        delay = max(at - self._clock(), 0.05)
        self._timers[queue] = asyncio.get_running_loop().call_later(delay, ring)

    async def _send_leased(self, delivery: Delivery) -> None:
        self._sending.add(delivery.id)
        try:
            await self._send(delivery)
        finally:
            self._sending.discard(delivery.id)

    async def _send(self, delivery: Delivery) -> None:
        told: dict[str, Value] = {
            "messaging.operation.type": "send",
            "messaging.system": "kefu.outbox",
            "messaging.destination.name": delivery.channel,
            "messaging.message.id": delivery.message_id,
            "kefu.delivery.kind": delivery.kind,
            "kefu.delivery.attempt": delivery.attempts,
            "kefu.turn.id": delivery.turn_id,
        }
        name, of = f"send {delivery.channel}", delivery.turn_id
        with self.tracing.root(name, told, kind="producer", of=of) as seen:
            seen.note({"kefu.delivery.outcome": await self._sent(delivery)})

    async def _sent(self, delivery: Delivery) -> str:
        """How it went: delivered, postponed or dead."""
        channel = self._channels.get(delivery.channel)
        try:
            if channel is None:
                raise PeerRejected(delivery.channel, "this channel is not configured")
            async with self._slots[delivery.channel]:
                follow_ups = await self._try_quickly(channel, delivery)
        except PeerRejected as error:
            current.get().failed("PeerRejected")
            return await self._bury(delivery, str(error))
        except PeerUnavailable as error:
            current.get().failed("PeerUnavailable")
            return await self._postpone(delivery, str(error), error.retry_after)
        except Exception as error:
            log.exception("delivery %s failed in our own code", delivery.message_id)
            current.get().failed(type(error).__name__)
            return await self._postpone(delivery, f"{type(error).__name__}: {error}", None)
        else:
            now, owner = self._clock(), self._owner
            await self._settle(
                delivery,
                lambda c: outbox.delivered(c, delivery.id, owner=owner, now=now),
                "delivered",
                follow_ups=follow_ups or (),
            )
            return "delivered"

    async def _try_quickly(self, channel: Channel, delivery: Delivery) -> Sequence[Effect] | None:
        retrying = AsyncRetrying(
            retry=retry_if_exception(
                lambda e: isinstance(e, PeerUnavailable) and e.retry_after is None
            ),
            stop=stop_after_attempt(QUICK_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await channel.deliver(delivery)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _postpone(self, delivery: Delivery, error: str, retry_after: float | None) -> str:
        if self._gives_up(delivery):
            return await self._bury(delivery, error)
        delay = max(self._policy.redelivery_delay(delivery.attempts), retry_after or 0.0)
        retry_at, owner = self._clock() + delay, self._owner
        log.warning(
            "delivery %s to %s failed (attempt %d), next in %.1f s: %s",
            delivery.message_id,
            delivery.channel,
            delivery.attempts,
            delay,
            error,
        )
        await self._settle(
            delivery,
            lambda c: outbox.postpone(c, delivery.id, owner=owner, error=error, retry_at=retry_at),
            "postponed",
            error,
        )
        return "postponed"

    def _gives_up(self, delivery: Delivery) -> bool:
        patience = self._policy.patience_s.get(delivery.channel)
        if patience is not None and delivery.max_attempts is None:
            since = datetime.fromisoformat(delivery.created_at).timestamp()
            return self._clock() - since >= patience
        limit = delivery.max_attempts or self._policy.outbox_max_attempts
        return delivery.attempts >= limit

    async def _bury(self, delivery: Delivery, error: str) -> str:
        now, owner = self._clock(), self._owner
        log.error("delivery %s is a dead letter: %s", delivery.message_id, error)
        await self._settle(
            delivery,
            lambda c: outbox.dead(c, delivery.id, owner=owner, error=error, now=now),
            "dead",
            error,
        )
        return "dead"

    async def _settle(
        self,
        delivery: Delivery,
        unit: Callable[[Connection], bool],
        outcome: str,
        error: str | None = None,
        follow_ups: Sequence[Effect] = (),
    ) -> None:
        """Write how it went, and what follows from it, at once."""
        now = self._clock()

        def whole(connection: Connection) -> tuple[str, ...]:
            if not unit(connection) or self._settles is None:
                return ()
            return self._settles.settled(
                connection, delivery, outcome=outcome, error=error, now=now, follow_ups=follow_ups
            )

        for queue in await self._database.write(whole, key=delivery.queue):
            self.wake(queue)
        self._metrics.deliveries.labels(delivery.channel, outcome).inc()


async def sweep_outbox(database: Database, deliverer: Deliverer, *, now: float) -> None:
    """Wake every queue that has something due and that nobody was woken for."""
    for queue in await database.read(lambda c: outbox.due_queues(c, now=now)):
        deliverer.wake(queue)
