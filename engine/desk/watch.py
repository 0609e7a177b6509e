"""The desk's clock: gives who waits to agents, passes on what is overdue, takes back what agents
had who are gone, ends what is over. One process at a time looks, by a lease; each act is a
conditional update of its own, so that a process that was paused does no harm."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind, as_dict
from domain.desk import Agent, Waiting, choose_agent, next_deadline, place_key
from domain.desk_talk import opening_words
from engine.desk import words
from engine.desk.desk import Desk
from storage import agents, desk_events, desk_talks, desk_views, desk_watch, effects
from storage.desk_talks import Talk
from storage.desk_watch import Overdue
from storage.effects import Applied, Cause

log = logging.getLogger(__name__)
SWEEP_S = 1.0
SOONEST_S = 0.1
"""Between two sweeps, however much happens at the desk."""
LEASE_S = 10.0
KEEP_EVENTS_S = 86_400.0
PRUNE_EVERY_S = 600.0


class DeskWatch:
    """``owner`` names this process; ``alone``: no other one works on this database."""

    def __init__(
        self,
        desk: Desk,
        *,
        owner: str,
        alone: bool,
    ) -> None:
        self._desk, self._policy = desk, desk.policy
        self._database, self._clock = desk.database, desk.clock
        self._owner, self._alone = owner, alone
        self._leased_until = self._pruned = 0.0
        self._told_closed: set[int] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="desk watch")

    async def stop(self) -> None:
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None
        if not self._alone:
            await self._database.write(lambda c: desk_watch.let_go(c, self._owner))

    async def _run(self) -> None:
        seen = self._desk.feed.newest
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("looking after the desk failed; again in %.1f s", SWEEP_S)
            await asyncio.sleep(SOONEST_S)
            if self._desk.feed.running:
                seen = await self._desk.feed.news(seen, SWEEP_S)
            else:
                await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """All that is due now."""
        now = self._clock()
        if not await self._may_look(now):
            return
        await self._prune(now)
        busy = await self._database.read(lambda c: desk_watch.is_busy(c))
        if not busy:
            return
        await self._miss_agents(now)
        is_open = self._policy.is_open(now)
        await self._count_down(now, is_open)
        if is_open:
            self._told_closed.clear()
            await self._assign(now)
        else:
            await self._tell_closed(now)
        await self._pass_overdue(now, is_open)
        await self._end_idle(now)

    async def _may_look(self, now: float) -> bool:
        if self._alone or now < self._leased_until - LEASE_S / 2:
            return True
        until = now + LEASE_S
        held = await self._database.write(
            lambda c: desk_watch.hold_watch(c, self._owner, now=now, lease_s=LEASE_S)
        )
        self._leased_until = until if held else 0.0
        return held

    async def _prune(self, now: float) -> None:
        if now - self._pruned < PRUNE_EVERY_S:
            return
        self._pruned = now

        def unit(connection: Connection) -> None:
            desk_events.prune(connection, before=now - KEEP_EVENTS_S)
            agents.prune_sessions(connection, now=now)

        await self._database.write(unit)

    # Agents who are gone ------------------------------------------------------------------------

    async def _miss_agents(self, now: float) -> None:
        before = now - self._policy.away_s
        for agent in await self._database.read(lambda c: agents.gone(c, before=before)):
            given = await self._database.write(self._missing(agent, before, now))
            log.warning("agent %s is gone; %d conversations wait again", agent, given)
            self._desk.feed.wake()

    def _missing(self, agent: str, before: float, now: float) -> Callable[[Connection], int]:
        def unit(connection: Connection) -> int:
            if not agents.leaves(connection, agent, before=before, now=now):
                return 0
            return self._desk.give_all_back(connection, agent, why="gone", by="", now=now)

        return unit

    # Who waits ----------------------------------------------------------------------------------

    async def _count_down(self, now: float, is_open: bool) -> None:
        wanted = await self._database.read(lambda c: desk_watch.uncounted(c, is_open=is_open))
        if not wanted:
            return
        policy = self._policy

        def unit(connection: Connection) -> None:
            desk_watch.count_down(
                connection,
                first_s=policy.first_reply_s,
                next_s=policy.reply_s,
                now=now,
                is_open=is_open,
            )

        await self._database.write(unit)

    async def _assign(self, now: float) -> None:
        if not self._policy.assigns:
            return

        def read(connection: Connection) -> tuple[list[Waiting], list[Agent]]:
            people = [a for a in agents.listed(connection) if a.enabled]
            if not any(a.status == "online" and a.load < a.max_load for a in people):
                return [], []
            return desk_watch.waiting(connection), people

        queue, people = await self._database.read(read)
        for one in sorted(queue, key=place_key):
            chosen = choose_agent(people, one)
            if chosen is not None and await self._give(one, chosen, now):
                at = people.index(chosen)
                people[at] = replace(chosen, load=chosen.load + 1)

    async def _give(self, one: Waiting, agent: Agent, now: float) -> bool:
        def unit(connection: Connection) -> bool:
            talk = desk_talks.hold(connection, one.conversation)
            if talk is None or talk.handoff != one.handoff:
                return False
            if desk_watch.in_pool(connection, one, channels=self._policy.pooled):
                return False
            sticky = agent.id == one.previous_agent
            due = self._policy.due(talk, now)
            return desk_talks.assign(connection, talk, agent.id, sticky=sticky, now=now, due=due)

        given = await self._database.write(unit, key=one.conversation)
        if given:
            self._desk.feed.wake()
        return given

    async def _tell_closed(self, now: float) -> None:
        """Who has waited since before the desk closed learns when it opens."""
        opens = self._policy.opens_at(now)
        if opens is None:
            return
        for one in await self._database.read(desk_watch.waiting):
            began = self._policy.opens_at(one.since_ts)
            if one.handoff in self._told_closed or began is None or began >= now:
                continue
            self._told_closed.add(one.handoff)
            await self._tell(one, opens, now)

    async def _tell(self, one: Waiting, opens: float, now: float) -> None:
        at, this = (datetime.fromtimestamp(ts, self._policy.zone) for ts in (opens, now))
        key = f"desk:{one.handoff}:closed:{at:%Y-%m-%d-%H%M}"
        said = self._desk.templates.render("queue_closed", seed=key, opens=opening_words(at, this))

        def unit(connection: Connection) -> Applied:
            talk = desk_talks.hold(connection, one.conversation)
            if talk is None or talk.status != "open":
                return Applied()
            if desk_watch.in_pool(connection, one, channels=self._policy.pooled):
                return Applied()
            payload = {"to": as_dict(talk.who), "type": "text", "text": said}
            effect = Effect(EffectKind.MESSAGE, "message", payload)
            return self._bring_about(connection, talk, [effect], key, now)

        done = await self._database.write(unit, key=one.conversation)
        self._desk.on_queues(done.queues)

    # Whose word is overdue ----------------------------------------------------------------------

    async def _pass_overdue(self, now: float, is_open: bool) -> None:
        for one in await self._database.read(lambda c: desk_watch.overdue(c, now=now)):
            if one.status == "open" and not is_open:
                continue
            done = await self._database.write(self._passing(one, now), key=one.conversation)
            self._desk.on_queues(done.queues)
            self._desk.feed.wake()

    def _passing(self, one: Overdue, now: float) -> Callable[[Connection], Applied]:
        def unit(connection: Connection) -> Applied:
            talk = desk_talks.hold(connection, one.conversation)
            if talk is None or talk.handoff != one.handoff:
                return Applied()
            limit = self._policy.limit(talk.first_reply_ts)
            due = next_deadline(now, limit, overdue=one.times + 1)
            if not desk_watch.put_off(connection, one, talk.agent, due=due, now=now):
                return Applied()
            return self._passed(connection, one, talk, now)

        return unit

    def _passed(self, connection: Connection, one: Overdue, talk: Talk, now: float) -> Applied:
        """To another agent where there is one; staff learns of it either way."""
        since = talk.asked_ts if talk.asked_ts is not None else now
        minutes = max(1, round((now - since) / 60))
        people = {a.id: a for a in agents.listed(connection)}
        told = {
            "customer": talk.who.name or talk.who.sender_id,
            "question": desk_views.question(connection, one.handoff) or words.NO_QUESTION,
            "conversation": talk.conversation,
            "minutes": str(minutes),
            "agent": people[talk.agent].name if talk.agent in people else talk.agent,
        }
        title, shown = words.OVERDUE_TITLE, words.OVERDUE_WAITING
        if talk.taken:
            other = choose_agent(list(people.values()), _waiting(talk), barred={talk.agent})
            shown = words.OVERDUE_TAKEN
            if other is not None:
                due = self._policy.due(talk, now)
                desk_talks.pass_on(
                    connection, talk, other.id, by="", why="overdue", now=now, due=due
                )
                told["to"], title, shown = other.name, words.MOVED_TITLE, words.MOVED
        notice = {
            "title": title.format_map(told),
            "text": shown.format_map(told),
            "priority": "high",
            "reason": "desk_overdue",
            "conversation_id": talk.conversation,
        }
        key = f"desk:{one.handoff}:overdue:{round(now * 1_000)}"
        effect = Effect(EffectKind.NOTICE, "notice", notice)
        return self._bring_about(connection, talk, [effect], key, now)

    # What is over -------------------------------------------------------------------------------

    async def _end_idle(self, now: float) -> None:
        before = now - self._policy.idle_s
        for conversation in await self._database.read(lambda c: desk_watch.idle(c, before=before)):
            if await self._database.write(self._ending(conversation, before, now)):
                self._desk.feed.wake()
                self._desk.on_conversations(conversation)

    def _ending(self, conversation: str, before: float, now: float) -> Callable[[Connection], bool]:
        def unit(connection: Connection) -> bool:
            talk = desk_talks.hold(connection, conversation)
            if talk is None or talk.handoff is None:
                return False
            if not desk_watch.is_idle(connection, talk.handoff, before=before):
                return False
            asks = self._policy.rating
            return desk_talks.close(connection, talk, by="", why="idle", asks=asks, now=now)

        return unit

    def _bring_about(
        self,
        connection: Connection,
        talk: Talk,
        wanted: Sequence[Effect],
        key: str,
        now: float,
    ) -> Applied:
        pushes = talk.who.channel in self._policy.channels
        cause = Cause(
            actor="desk",
            conversation_id=talk.conversation,
            contact_id=talk.who.contact_id,
            shown_in="" if pushes else talk.conversation,
        )
        return effects.apply(
            connection,
            wanted,
            key=key,
            cause=cause,
            now=now,
            book=self._desk.book,
            channels=self._policy.channels,
        )


def _waiting(talk: Talk) -> Waiting:
    """As if it waited: who else may have it."""
    return Waiting(
        talk.handoff or 0,
        talk.conversation,
        talk.who.channel,
        talk.who.account,
        skill=talk.skill,
    )
