"""The engine: messages in, answers out, each exactly once."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection

from domain.approvals import Verdict, edited, quote_of
from domain.decisions import Action, as_dict
from domain.desk import Mode
from domain.errors import InvalidInput, StorageError
from domain.messages import InboundMessage
from engine.answers import answer_for, bare_answer
from engine.delivery import Deliverer, sweep_outbox
from engine.desk_turns import heard
from engine.metrics import Metrics
from engine.policy import EnginePolicy
from engine.turns import Turns
from engine.waiting import MessageKey, Waiter, WaitingRoom, Watcher
from engine.wakeups import Wakeups
from graphs.templates import Templates
from storage import approvals, history, inbox, outbox, turns
from storage.database import Database
from storage.inbox import Claim, Receipt

log = logging.getLogger(__name__)
STOP_GRACE_S = 10.0
FIRST_POLL_S = 1.0
SESSION_SWEEP_EVERY = 30
"""Ended sessions are written out every so many sweeps."""
COMMIT_GRACE_S = 10.0


class Engine:
    """One process's share of the work; the rows are shared by all processes.

    ``alone``: this process is the only one on the database, so leases found at start are dead.
    ``wakeups``: to and from the others; where they say that this process does not work, it takes
    messages and waits for answers, and runs no turn but those whose caller watches it.
    """

    def __init__(
        self,
        database: Database,
        turns_: Turns,
        deliverer: Deliverer,
        waiting: WaitingRoom,
        templates: Templates,
        metrics: Metrics,
        policy: EnginePolicy,
        *,
        owner: str,
        alone: bool,
        wakeups: Wakeups,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.metrics = metrics
        self.policy = policy
        self._turns = turns_
        self._deliverer = deliverer
        self._waiting = waiting
        self._templates = templates
        self._owner = owner
        self._alone = alone
        self.wakeups, self._works = wakeups, wakeups.works
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._fetching: set[asyncio.Task[None]] = set()
        self._sweep_now = asyncio.Event()
        self.on_talk: Callable[[], None] = lambda: None
        """Told of a customer's word in a conversation that is not the bot's alone."""
        self.ready = False

    async def start(self) -> None:
        if self._alone:
            freed = await self.database.write(inbox.release_all_leases)
            if freed:
                log.info("%d conversations of an earlier process are taken over", freed)
        self._tasks = [asyncio.create_task(self._renew_forever(), name="renew leases")]
        if self._works:
            self._tasks.append(asyncio.create_task(self._sweep_forever(), name="sweep"))
        self._listen()
        self.ready = True

    def _listen(self) -> None:
        wakeups = self.wakeups
        wakeups.on_turn, wakeups.on_queue = self._turns.wake, self._deliverer.wake
        wakeups.on_answered, wakeups.on_connected = self._answered, self._sweep_now.set
        wakeups.start()

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Finish or safely abandon what runs; everything else is in the rows. The database stays
        its owner's to close."""
        self.ready = False
        self.wakeups.leave()
        await self._turns.stop(grace_s)
        await self._deliverer.stop(grace_s)
        await self.wakeups.stop()
        await asyncio.gather(*self._fetching, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.database.write(lambda c: inbox.give_back_leases(c, self._owner))
        except StorageError as error:
            log.warning("leases are not given back, they run out instead: %s", error)

    async def receive(
        self,
        message: InboundMessage,
        *,
        beside: Callable[[Connection, Receipt], None] | None = None,
        watched: bool = False,
    ) -> Receipt:
        """Store ``message`` once and see to it that it is answered; returns once it is stored.

        ``beside``: written in the same transaction; what it raises undoes both. ``watched``: its
        caller is shown the turn's progress, which only this process can. A caller that is cancelled
        meanwhile leaves no claim behind that nobody works on.
        """
        policy = self.policy
        here = self.ready and (self._works or watched)
        debounce = policy.debounce(message.channel, message.route)
        message = replace(message, received_at=self._clock())

        def unit(connection: Connection) -> Receipt:
            receipt = inbox.receive(
                connection,
                message,
                debounce=debounce,
                max_debounce=policy.debounce_max_s,
                claim_for=self._owner if debounce == 0 and here else None,
                lease_s=policy.lease_s,
                merge_limit=policy.merge_limit,
                merge_polled=policy.merge_polled,
            )
            heard(connection, message, receipt)
            if beside is not None:
                beside(connection, receipt)
            return receipt

        storing = self.database.write(unit, key=message.conversation)
        storing.add_done_callback(lambda stored: self._stored(message, stored))
        return await asyncio.shield(storing)

    def _stored(self, message: InboundMessage, storing: asyncio.Future[Receipt]) -> None:
        if storing.cancelled() or storing.exception() is not None:
            return
        self.taken(message, storing.result())

    def intake(self, connection: Connection, message: InboundMessage) -> Receipt:
        """Store ``message`` once, in a unit of somebody who stores more than it: to be followed by
        `taken` when that is committed. ``message.received_at`` is set."""
        policy = self.policy
        receipt = inbox.receive(
            connection,
            message,
            debounce=policy.debounce(message.channel, message.route),
            max_debounce=policy.debounce_max_s,
        )
        heard(connection, message, receipt)
        return receipt

    def taken(self, message: InboundMessage, receipt: Receipt) -> None:
        """What `intake` stored is committed: see to it that it is answered."""
        duplicate = "true" if receipt.duplicate else "false"
        self.metrics.messages.labels(message.channel, duplicate).inc()
        if not receipt.duplicate and receipt.mode != Mode.BOT:
            self.on_talk()
        if not receipt.duplicate and receipt.due_at is not None:
            self._wake(message.conversation, receipt.due_at, receipt.claim)

    def _wake(self, conversation: str, due_at: float, claim: Claim | None = None) -> None:
        if self._works or claim is not None:
            self._turns.wake(conversation, due_at, claim)
        else:
            self.wakeups.turn(conversation, due_at)

    def _answered(self, key: MessageKey) -> None:
        """Another process has committed the answer to a message; perhaps one of ours waits."""
        if self._waiting.awaits(key):
            fetching = asyncio.create_task(self._fetch(key), name="fetch an answer")
            self._fetching.add(fetching)
            fetching.add_done_callback(self._fetching.discard)

    async def _fetch(self, key: MessageKey) -> None:
        try:
            found = await self.answer_of(*key)
        except StorageError as error:
            log.debug("an answer is fetched later: %s", error)
            return
        if found is not None and found[1] is not None:
            self._waiting.answer(key, found[1])

    async def ask(
        self,
        message: InboundMessage,
        *,
        deadline_s: float | None = None,
        watcher: Watcher | None = None,
    ) -> dict[str, Any]:
        """Receive ``message`` and wait for its answer, at most ``deadline_s`` seconds.

        A duplicate gets the first delivery's answer. Past the deadline: action ``wait``; the
        answer then goes the message's own route (pushed, or fetched with the same message id).
        """
        deadline = deadline_s if deadline_s is not None else self.policy.sync_deadline_s
        key = (message.channel, message.account, message.channel_message_id)
        waiter = self._waiting.join(key, watcher)
        try:
            receipt = await self.receive(message, watched=watcher is not None)
            if receipt.result is not None:
                result = orjson.loads(receipt.result)
                return answer_for(result, message.channel_message_id, duplicate=True)
            answer = await self._wait(key, waiter, deadline, elsewhere=receipt.claim is None)
        finally:
            self._waiting.leave(key, waiter)
        if answer is None:
            self.metrics.deadline_misses.labels(message.channel).inc()
            answer = self.late_answer(receipt.conversation_id, message.channel_message_id)
        return answer | {"duplicate": receipt.duplicate}

    def late_answer(self, conversation: str, message_id: str) -> dict[str, Any]:
        content = self._templates.render("pending", seed=message_id)
        return bare_answer(Action.WAIT, content, conversation) | {"message_id": message_id}

    async def answer_of(
        self, channel: str, account: str, channel_message_id: str
    ) -> tuple[Receipt, dict[str, Any] | None] | None:
        """A received message's receipt and, once there is one, its answer; None if unknown."""
        receipt = await self.database.read(
            lambda c: inbox.find(c, channel, account, channel_message_id)
        )
        if receipt is None:
            return None
        if receipt.result is None:
            return receipt, None
        return receipt, answer_for(orjson.loads(receipt.result), channel_message_id)

    async def replay_dead_letter(self, dead_letter: int, *, actor: str) -> str:
        now = self._clock()
        conversation = await self.database.write(
            lambda c: turns.replay_dead_letter(c, dead_letter, now=now, actor=actor)
        )
        self._wake(conversation, now)
        return conversation

    async def resend(self, delivery: int, *, actor: str) -> None:
        now = self._clock()
        queue = await self.database.write(
            lambda c: outbox.resend(c, delivery, now=now, actor=actor)
        )
        self.wake_queues([queue])

    def wake_queues(self, queues: Sequence[str]) -> None:
        """Queues of the outbox that got something."""
        if not self._works:
            self.wakeups.queues(queues)
            return
        for queue in queues:
            self._deliverer.wake(queue)

    def look(self, conversation: str) -> None:
        """It wants a turn: somebody has put a word into its inbox."""
        self._wake(conversation, self._clock())

    async def decide_approval(
        self, approval: int, verdict: Verdict, *, by: str, note: str = "", total: int | None = None
    ) -> dict[str, Any]:
        """A person's word on a quote; the conversation goes on with it. ``total`` in fen.

        Raises NotFound, and InvalidInput for a total under the floor or what is decided already.
        """
        now = self._clock()

        def unit(connection: Connection) -> dict[str, Any]:
            quote = approvals.get(connection, approval)["quote"]
            if verdict is Verdict.EDITED:
                quote = as_dict(edited(quote_of(quote), total if total is not None else -1))
            approvals.decide(
                connection, approval, status=verdict.value, by=by, note=note, quote=quote, now=now
            )
            return approvals.get(connection, approval)

        decided = await self.database.write(unit)
        self._wake(decided["conversation_id"], now)
        return decided

    async def _expire_approvals(self, now: float) -> None:
        for approval in await self.database.read(lambda c: approvals.overdue(c, now=now)):
            try:
                await self.decide_approval(approval, Verdict.EXPIRED, by="timeout")
            except InvalidInput as error:
                log.debug("approval %d: %s", approval, error)

    async def backlog(self) -> dict[str, float]:
        """Counts of waiting rows; also sets the gauges."""
        now = self._clock()
        found = await self.database.read(lambda c: history.backlog(c, now=now))
        for kind, value in found.items():
            self.metrics.backlog.labels(kind).set(value)
        return found

    async def _wait(
        self, key: MessageKey, waiter: Waiter, deadline: float, *, elsewhere: bool
    ) -> dict[str, Any] | None:
        """``elsewhere``: another process may hold the turn, so the rows are asked now and then."""
        ends = self._clock() + deadline
        poll = FIRST_POLL_S
        while (left := ends - self._clock()) > 0:
            timeout = min(left, poll) if elsewhere else left
            done, _ = await asyncio.wait([waiter.future], timeout=timeout)
            if done:
                return waiter.future.result()
            if elsewhere and not waiter.answering:
                found = await self.answer_of(*key)
                if found is not None and found[1] is not None:
                    return found[1]
        if waiter.answering:
            done, _ = await asyncio.wait([waiter.future], timeout=COMMIT_GRACE_S)
            if done:
                return waiter.future.result()
        # Another process may have taken the turn over, or our commit's outcome was lost.
        found = await self.answer_of(*key)
        return found[1] if found is not None else None

    async def _sweep_forever(self) -> None:
        count = 0
        while True:
            try:
                await self._sweep(write_sessions=count % SESSION_SWEEP_EVERY == 0)
            except Exception:
                log.exception("sweep failed; the next one is in %.1f s", self.policy.sweep_s)
            count += 1
            self._sweep_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.policy.sweep_s):
                    await self._sweep_now.wait()

    async def _sweep(self, *, write_sessions: bool) -> None:
        now = self._clock()
        horizon = now + self.policy.sweep_s
        for conversation, due_at in await self.database.read(
            lambda c: inbox.due_conversations(c, now=now)
        ):
            if due_at <= horizon:
                self._turns.wake(conversation, due_at)
        await sweep_outbox(self.database, self._deliverer, now=now)
        await self._expire_approvals(now)
        if write_sessions:
            await self.database.write(lambda c: turns.close_expired_sessions(c, now=now))

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.policy.lease_s / 3)
            try:
                await self._renew(self._turns.active, self._deliverer.sending)
            except Exception:
                log.exception("renewing leases failed")

    async def _renew(self, conversations: list[str], deliveries: list[int]) -> None:
        if not conversations and not deliveries:
            return
        until = self._clock() + self.policy.lease_s

        def unit(connection: Connection) -> None:
            inbox.renew_leases(connection, self._owner, conversations, until=until)
            outbox.renew_leases(connection, self._owner, deliveries, until=until)

        await self.database.write(unit)
