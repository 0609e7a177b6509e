"""Turns: who works on which conversation, and what one turn does from claim to commit."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from sqlalchemy import Connection

from domain.decisions import Action, EffectKind
from domain.desk import Mode
from domain.errors import StaleTurn, TaskTaken
from domain.ids import TurnId, effect_key
from domain.messages import MessageKind
from domain.spans import current
from engine.answers import answer_for, bare_answer, build_answer, default_answer
from engine.desk_turns import TurnDesk
from engine.metrics import Metrics
from engine.model_calls import call_row
from engine.orders.turns import TurnOrders
from engine.policy import EnginePolicy
from engine.reviews.records import RecordTurn
from engine.rules.turns import NO_RULES, RuleWork, TurnRules, work_of
from engine.tasks.turns import TurnTasks
from engine.turn_counts import count_turn
from engine.turn_rows import (
    NOTHING_SAID,
    effect_records,
    handoff_in,
    keys_of,
    message_delivery,
    notice_delivery,
    outcome_of,
    reply_row,
    said_in,
    settles,
    turn_of,
    unknown_in,
)
from engine.turn_stops import Stop, keep, spoken, stopped
from engine.turn_traces import TurnTraces, note_commit
from engine.waiting import MessageKey, WaitingRoom
from graphs.context import FiredTask, Services, TurnContext
from graphs.conversation import Graph
from graphs.nodes.act import act_on
from graphs.state import ConversationState
from storage import inbox, turns
from storage.checkpoints import RowCheckpointSaver
from storage.database import Database
from storage.inbox import Claim
from storage.outbox import NewDelivery
from storage.turns import Committed, ReplyRow, TurnCommit
from tools.models.calls import ModelCall
from tools.perform import Act

log = logging.getLogger(__name__)
_Acts = tuple[tuple[FiredTask, Act], ...]
Heard = Callable[[Connection, Claim, float], None]


@dataclass(frozen=True, slots=True)
class _Ran:
    """A run that succeeded: what to commit, and what to tell the callers.

    ``acts``: of the tasks that it fired; ``ordered``: its ORDER effects, ``at_desk``: payloads of
    its DESK effects; ``shown_in``: the conversation, where its caller gets everything in the
    response; ``stop``: where it waits for a person's word.
    """

    commit: TurnCommit
    answer: dict[str, Any]
    acts: _Acts = ()
    shown_in: str = ""
    ordered: tuple[dict[str, Any], ...] = ()
    at_desk: tuple[dict[str, Any], ...] = ()
    stop: Stop | None = None
    rules: RuleWork = NO_RULES


class Turns:
    """Runs turns, one at a time a conversation, many conversations at once.

    ``on_deliveries`` is told the queues that got something to deliver, ``on_commit`` what was
    committed, ``on_answered`` of messages whose callers do not wait in this process; none may
    block. ``record``: what is kept of a run for who opens it later; None:
    nothing. ``heard``: takes note of what was said, whoever answers, in the commit.
    """

    def __init__(
        self,
        database: Database,
        graph: Graph,
        saver: RowCheckpointSaver,
        services: Services,
        waiting: WaitingRoom,
        metrics: Metrics,
        policy: EnginePolicy,
        *,
        owner: str,
        notices: bool,
        on_deliveries: Callable[[list[str]], None],
        on_commit: Callable[[TurnCommit], None] | None = None,
        on_answered: Callable[[MessageKey], None] = lambda _key: None,
        tasks: TurnTasks | None = None,
        orders: TurnOrders | None = None,
        desk: TurnDesk | None = None,
        record: RecordTurn | None = None,
        rules: TurnRules | None = None,
        heard: Heard | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tasks, self._orders, self._record = tasks, orders, record
        self._desk, self._heard, self._rules = desk, heard, rules
        self._database = database
        self._graph = graph
        self._saver = saver
        self._services = services
        self._waiting = waiting
        self._metrics = metrics
        self._policy = policy
        self._owner = owner
        self._notices = notices
        self._on_deliveries = on_deliveries
        self._on_commit, self._on_answered = on_commit, on_answered
        self._clock = clock
        self._active: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._handed: dict[str, Claim] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._slots = asyncio.Semaphore(policy.concurrent_turns)
        self._stopping = False
        self.traces = TurnTraces()

    def use(self, services: Services) -> None:
        """From the next turn on; a turn that runs keeps those that it began with."""
        self._services = services

    @property
    def active(self) -> list[str]:
        return list(self._active)

    def wake(self, conversation: str, due_at: float, claim: Claim | None = None) -> None:
        """Look at ``conversation`` at ``due_at``. May be said twice, and does no harm."""
        if self._stopping:
            return
        self.traces.asked(claim)
        if conversation in self._active:
            # A claim that intake made between a commit and the next claim of the running task:
            # it is that task's now, else nobody would work on it before the lease ends.
            if claim is not None:
                self._handed[conversation] = claim
            self._again.add(conversation)
            return
        delay = due_at - self._clock()
        if claim is None and delay > 0:
            self._wake_later(conversation, due_at, delay)
            return
        timer = self._timers.pop(conversation, None)
        if timer is not None:
            timer.cancel()
        self._active[conversation] = asyncio.create_task(
            self._work(conversation, claim), name=f"turn {conversation}"
        )
        self._metrics.active_turns.set(len(self._active))

    def _wake_later(self, conversation: str, due_at: float, delay: float) -> None:
        old = self._timers.pop(conversation, None)
        if old is not None:
            old.cancel()

        def ring() -> None:
            self._timers.pop(conversation, None)
            self.wake(conversation, due_at)

        loop = asyncio.get_running_loop()
        self._timers[conversation] = loop.call_later(delay, ring)

    async def stop(self, grace_s: float) -> None:
        """Let what runs finish for ``grace_s``, then abandon it: its lease is given back."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        running = set(self._active.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _work(self, conversation: str, claim: Claim | None) -> None:
        due: float | None = None
        self.traces.apart()
        try:
            async with self._slots:
                due = await self._work_through(conversation, claim)
        except asyncio.CancelledError:
            raise
        except Exception:
            # The rows are untouched and due; the sweep comes back to them.
            log.exception("conversation %s: turn bookkeeping failed", conversation)
        finally:
            del self._active[conversation]
            self._metrics.active_turns.set(len(self._active))
            again = conversation in self._again
            self._again.discard(conversation)
            if again:
                handed = self._handed.pop(conversation, None)
                self.wake(conversation, self._clock(), handed)
            elif due is not None:
                self.wake(conversation, due)

    async def _work_through(self, conversation: str, claim: Claim | None) -> float | None:
        """Turn after turn until nothing is due; returns when to come back, if ever."""
        rebuilds = 0
        calls: list[ModelCall] = []
        while not self._stopping or claim is not None:
            if claim is None:
                self._again.discard(conversation)
                claim = self._handed.pop(conversation, None) or await self._claim(conversation)
            if claim is None:
                return await self._next_due(conversation)
            may_rebuild = rebuilds < self._policy.rebuild_limit
            with self.traces.turn(claim):
                committed = await self._one_turn(claim, calls, may_rebuild=may_rebuild)
            if isinstance(committed, float):
                return committed
            rebuilds = rebuilds + 1 if committed is None else 0
            calls = calls if committed is None else []
            claim = None
            if committed is not None and committed.due_at is None:
                return None
        return None

    async def _claim(self, conversation: str) -> Claim | None:
        policy, now = self._policy, self._clock()
        return await self._database.write(
            lambda c: inbox.claim(
                c,
                conversation,
                owner=self._owner,
                now=now,
                lease_s=policy.lease_s,
                merge_limit=policy.merge_limit,
                merge_polled=policy.merge_polled,
            ),
            key=conversation,
        )

    async def _next_due(self, conversation: str) -> float | None:
        """When to come back to what could not be claimed; a lease's end is the sweep's affair."""
        return await self._database.read(lambda c: inbox.due_at(c, conversation))

    async def _one_turn(
        self, claim: Claim, calls: list[ModelCall], *, may_rebuild: bool
    ) -> Committed | float | None:
        """Committed; or when to retry after a failure; or None where new messages made it stale."""
        started = self._clock()
        keys = keys_of(claim)
        try:
            ran = await self._run(claim, calls, started)
            committed = await self._commit(claim, ran, may_rebuild=may_rebuild)
        except asyncio.CancelledError:
            await self._release(claim, retry_at=self._clock())
            raise
        except StaleTurn as error:
            log.warning("%s", error)
            self._waiting.give_back(keys)
            if isinstance(error, TaskTaken) and self._tasks is not None:
                self._tasks.forget([error.task_id])
            # Ours still if a person took the conversation: the next claim sees that.
            await self._release(claim, retry_at=self._clock())
            return self._clock()
        except Exception as error:
            current.get().failed(type(error).__name__)
            self._waiting.give_back(keys)
            return await self._failed(claim, error)
        finally:
            self._saver.discard(claim.conversation_id)
        if committed is None:
            self._waiting.give_back(keys)
            await self._release(claim, retry_at=self._clock())
            return None
        self._finish(claim, ran, started)
        return committed

    async def _run(self, claim: Claim, calls: list[ModelCall], started: float) -> _Ran:
        if (
            claim.failures >= self._policy.failure_limit
            or claim.attempts > self._policy.crash_limit
        ):
            return self._parked(claim, started, *await self._last_acts(claim, calls, started))
        context = await self._context(claim, calls, started)
        if _with_person(claim):
            return await self._silent(claim, context)
        if context.desk is not None and context.desk.returned is not None:
            return await self._run_graph(claim, context, NOTHING_SAID)
        if all(message.kind == MessageKind.EVENT for message in claim.messages):
            word = await self._database.read(lambda c: spoken(c, claim))
            if word is None:
                return await self._silent(claim, context)
            return await self._run_graph(claim, context, Command(resume=word))
        return await self._run_graph(claim, context, said_in(claim))

    async def _context(self, claim: Claim, calls: list[ModelCall], started: float) -> TurnContext:
        keys = keys_of(claim)
        context = TurnContext(
            services=self._services,
            turn_id=turn_of(claim),
            conversation_id=claim.conversation_id,
            channel=claim.channel,
            account=claim.account,
            customer=claim.customer,
            session=turns.session_of(claim, started)[0],
            attachments=tuple(a for m in claim.messages for a in m.attachments),
            now=started,
            streams=self._waiting.watched(keys),
            calls=calls,
        )
        if context.streams:
            context.emit = lambda event, data: self._waiting.tell(keys, event, data)
        if self._tasks is not None:
            context.fired, context.asks = await self._tasks.fired_by(claim, started)
        if self._rules is not None:
            context.rule_call = self._rules.caller(claim, context.turn_id, started)
        if self._orders is not None:
            context.orders = await self._orders.in_talk(claim, context.services.price_book)
        if self._desk is not None and claim.mode != Mode.HUMAN:
            if claim.mode != Mode.BOT or claim.messages[-1].event:
                context.desk = await self._desk.in_talk(claim, started)
            context.stand = self._desk.stand(claim, started)
        return context

    async def _run_graph(
        self, claim: Claim, context: TurnContext, given: ConversationState | Command[Any]
    ) -> _Ran:
        config: RunnableConfig = {"configurable": {"thread_id": claim.conversation_id}}
        self._saver.stage(claim.conversation_id, claim.checkpoint)
        async with asyncio.timeout(self._policy.turn_timeout_s):
            state = await self._graph.ainvoke(given, config, context=context, durability="exit")
        run = self._saver.collect(claim.conversation_id)
        ended = self._clock()
        stop = stopped(state, context, approval_s=self._policy.approval_s, now=ended)
        if stop is not None:
            state |= stop.shows
        answer = build_answer(state, context, latency_ms=round((ended - context.now) * 1000))
        commit = self._as_commit(claim, context, state, answer, ended)
        shown_in = self._shown_in(claim)
        effects = state["effects"]
        ordered = tuple(one for one in effects if one["kind"] == EffectKind.ORDER)
        at_desk = tuple(one["payload"] for one in effects if one["kind"] == EffectKind.DESK)
        record = None
        if self._record is not None and given != NOTHING_SAID:
            record = self._record(claim, context, given, ended=ended)
        commit = replace(commit, run=run, record=record)
        rules = work_of(state["classification"], context.rule_acts)
        return _Ran(commit, answer, tuple(context.acts), shown_in, ordered, at_desk, stop, rules)

    def _shown_in(self, claim: Claim) -> str:
        return "" if self._is_pushed(claim) else claim.conversation_id

    def _as_commit(
        self,
        claim: Claim,
        context: TurnContext,
        state: dict[str, Any],
        answer: dict[str, Any],
        ended: float,
    ) -> TurnCommit:
        answer["answers"] = claim.messages[-1].channel_message_id
        decision = state["decision"]
        tokens = sum(call.tokens_in + call.tokens_out for call in context.calls)
        handoff, unknown = handoff_in(state), unknown_in(state)
        return TurnCommit(
            claim=claim,
            turn_id=context.turn_id,
            status="done",
            action=decision["action"],
            intent=state["classification"]["intent"],
            result=orjson.dumps(answer).decode(),
            started=context.now,
            ended=ended,
            outcome=outcome_of(decision, handed=handoff is not None),
            reply=reply_row(context, decision, tokens, answer["latency_ms"]),
            effects=effect_records(context.turn_id, state["effects"]),
            handoff=handoff,
            unknown_question=unknown,
            deliveries=self._deliveries(claim, context.turn_id, state["effects"], ended),
            model_calls=tuple(call_row(call) for call in context.calls),
            keep_checkpoints=self._policy.checkpoints_per_thread,
            sentiment=state["classification"]["sentiment"],
            settles=settles(decision, handed=handoff is not None),
        )

    def _deliveries(
        self, claim: Claim, turn_id: str, effects: list[dict[str, Any]], now: float
    ) -> tuple[NewDelivery, ...]:
        found = []
        for effect in effects:
            kind, key = effect["kind"], effect_key(TurnId(turn_id), effect["name"])
            if kind == EffectKind.MESSAGE and self._is_pushed(claim):
                made = message_delivery(claim, turn_id, key, effect["payload"], now)
                found.append(replace(made, not_before=self._not_before(claim)))
            elif kind == EffectKind.NOTICE and self._notices:
                found.append(notice_delivery(claim, turn_id, key, effect["payload"]))
        return tuple(found)

    def _not_before(self, claim: Claim) -> float:
        """Until then the response to the message's own callback may carry the answer."""
        held = self._policy.passive_s.get(claim.channel)
        return claim.messages[-1].received_ts + held if held else 0.0

    def _is_pushed(self, claim: Claim) -> bool:
        """A caller that still waits gets the answer in its response, and only there."""
        last = claim.messages[-1]
        if last.route != "push":
            return False
        return not self._waiting.take((claim.channel, claim.account, last.channel_message_id))

    async def _commit(self, claim: Claim, ran: _Ran, *, may_rebuild: bool) -> Committed | None:
        rebuildable = may_rebuild and claim.messages[-1].route == "push"
        for key in keys_of(claim):
            self._waiting.take(key)

        def unit(connection: Connection) -> tuple[Committed | None, list[str]]:
            if rebuildable and turns.is_stale(connection, claim):
                return None, []
            queues: list[str] = []

            def acts(within: Connection) -> None:
                queues.extend(self._fire(within, claim, ran))
                if self._rules is not None:
                    queues.extend(
                        self._rules.commit(within, claim, ran.commit, ran.rules, ran.shown_in)
                    )
                queues.extend(self._order(within, claim, ran))

            committed = turns.commit(connection, ran.commit, first=acts)
            keep(connection, claim, ran.commit, ran.stop)
            if self._desk is not None:
                self._desk.commit(connection, claim, ran.commit, ran.at_desk)
            if self._heard is not None:
                self._heard(connection, claim, ran.commit.ended)
            return committed, queues

        committed, queues = await self._database.write(unit, key=claim.conversation_id)
        if committed is not None:
            self._committed(ran, queues)
        return committed

    def _committed(self, ran: _Ran, queues: list[str]) -> None:
        if ran.acts and self._tasks is not None:
            self._tasks.fired(ran.acts)
        if ran.ordered and self._orders is not None:
            self._orders.committed()
        if self._rules is not None:
            self._rules.committed(ran.rules)
        if queues:
            self._on_deliveries(queues)

    def _order(self, connection: Connection, claim: Claim, ran: _Ran) -> tuple[str, ...]:
        if self._orders is None or not ran.ordered:
            return ()
        turn, now = ran.commit.turn_id, ran.commit.ended
        return self._orders.commit(connection, claim, turn, ran.ordered, now)

    def _fire(self, connection: Connection, claim: Claim, ran: _Ran) -> list[str]:
        """What tasks said stands in the outbox before the turn's own reply."""
        queues: list[str] = []
        for fired, act in ran.acts:
            assert self._tasks is not None
            queues += self._tasks.acting.commit_firing(
                connection,
                fired,
                act,
                now=ran.commit.ended,
                conversation=claim.conversation_id,
                turn_id=ran.commit.turn_id,
                shown_in=ran.shown_in,
            )
        return queues

    def _finish(self, claim: Claim, ran: _Ran, started: float) -> None:
        for message in claim.messages:
            key = (claim.channel, claim.account, message.channel_message_id)
            answer = answer_for(ran.answer, message.channel_message_id)
            if not self._waiting.answer(key, answer) and message.route == "poll":
                self._on_answered(key)
        if ran.commit.deliveries:
            self._on_deliveries([d.queue for d in ran.commit.deliveries])
        if self._on_commit is not None:
            self._on_commit(ran.commit)
        note_commit(ran.commit, ran.answer)
        count_turn(self._metrics, ran.commit, ran.answer, self._clock() - started)

    async def _release(self, claim: Claim, *, retry_at: float, error: str | None = None) -> None:
        await self._database.write(
            lambda c: turns.release(c, claim, retry_at=retry_at, error=error),
            key=claim.conversation_id,
        )

    async def _failed(self, claim: Claim, error: Exception) -> float:
        self._metrics.turn_failures.inc()
        log.exception(
            "conversation %s: turn failed (%d of %d)",
            claim.conversation_id,
            claim.failures + 1,
            self._policy.failure_limit,
        )
        retry_at = self._clock() + self._policy.retry_delay(claim.failures)
        await self._release(claim, retry_at=retry_at, error=f"{type(error).__name__}: {error}")
        return retry_at

    async def _last_acts(
        self, claim: Claim, calls: list[ModelCall], started: float
    ) -> tuple[list[str], _Acts]:
        """Tasks act also where their messages cannot be answered: nobody will say it again."""
        try:
            context = await self._context(claim, calls, started)
            lines = await _act_on_all(context)
        except Exception:
            log.exception("conversation %s: nor can its tasks act", claim.conversation_id)
            return [], ()
        return lines, tuple(context.acts)

    def _parked(self, claim: Claim, started: float, lines: list[str], acts: _Acts) -> _Ran:
        """Give up on these messages: dead letter, default sentence, word to the staff. ``lines``:
        what tasks said all the same."""
        turn = turn_of(claim)
        error = claim.last_error or f"the process died {claim.attempts - 1} times in this turn"
        content = self._services.templates.render("default_sentence", seed=turn)
        whole = "\n".join([*lines, content])
        answer = default_answer(whole, turn, claim.conversation_id, error)
        answer["answers"] = claim.messages[-1].channel_message_id
        notice = {
            "title": "消息处理失败",
            "text": f"会话 {claim.conversation_id} 的消息多次处理失败,已转入死信:{error[:300]}",
            "priority": "high",
            "reason": "turn_failed",
        }
        effects = [
            {"kind": "message", "name": "reply", "payload": {"text": content}},
            {"kind": "notice", "name": "notice", "payload": notice},
        ]
        now = self._clock()
        commit = TurnCommit(
            claim=claim,
            turn_id=turn,
            status="failed",
            action=Action.REPLY.value,
            intent="",
            result=orjson.dumps(answer).decode(),
            started=started,
            ended=now,
            outcome="unsolved",
            reply=ReplyRow(effect_key(turn, "reply"), content, 0.0, (), 0, 0),
            error=error,
            effects=effect_records(turn, effects),
            deliveries=self._deliveries(claim, turn, effects, now),
        )
        log.error("conversation %s: messages parked: %s", claim.conversation_id, error)
        return _Ran(commit, answer, acts, self._shown_in(claim))

    async def _silent(self, claim: Claim, context: TurnContext) -> _Ran:
        """A person has the conversation, or nothing was said (an event): what came is history, and
        tasks that it fires act, but we do not answer."""
        lines = await _act_on_all(context)
        action = Action.REPLY if lines else Action.NONE
        answer = bare_answer(action, "\n".join(lines), claim.conversation_id)
        answer |= {"turn_id": context.turn_id, "answers": claim.messages[-1].channel_message_id}
        commit = TurnCommit(
            claim=claim,
            turn_id=context.turn_id,
            status="done",
            action=action.value,
            intent="",
            result=orjson.dumps(answer).decode(),
            started=context.now,
            ended=self._clock(),
            outcome="transferred" if _with_person(claim) else "unsolved",
        )
        return _Ran(commit, answer, tuple(context.acts), self._shown_in(claim))


def _with_person(claim: Claim) -> bool:
    return claim.mode == Mode.HUMAN or claim.to_person


async def _act_on_all(context: TurnContext) -> list[str]:
    """What they said, in order."""
    return [line for fired in context.fired for line in (await act_on(fired, context))["said"]]
