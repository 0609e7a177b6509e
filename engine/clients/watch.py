"""Clients that have gone silent: staff is told once, and once more when they are back. One process
at a time looks, by a lease; each word is a conditional update of its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from domain.clients import Client
from domain.decisions import Effect, EffectKind
from engine.clients import words
from engine.clients.clients import ClientPolicy
from storage import clients, sign_ins, watches
from storage.database import Database
from storage.effects import Cause, apply
from storage.tasks import TaskBook

log = logging.getLogger(__name__)
NAME = "clients"
LEASE_S = 30.0
_PRUNE_EVERY_S = 60.0
_FORGET_S = 3_600.0
_SOONEST_S, _LATEST_S = 0.1, 10.0


class ClientNotices:
    """What staff is told, written with what it tells of; returns the outbox's queues."""

    def __init__(self, book: TaskBook, channels: Collection[str], zone: tzinfo) -> None:
        self._book, self._channels, self._zone = book, frozenset(channels), zone

    def gone(
        self, connection: Connection, agent_id: str, name: str, seen_ts: float, now: float
    ) -> Sequence[str]:
        last = f"{datetime.fromtimestamp(seen_ts, self._zone):%m-%d %H:%M:%S}"
        told = {"agent_id": agent_id, "name": name, "last": last}
        told["seconds"] = str(round(now - seen_ts))
        notice = _notice(words.OFFLINE_TITLE, words.OFFLINE, told, "high")
        return self._tell(connection, notice, f"{agent_id}:offline:{round(now * 1_000)}", now)

    def back(self, connection: Connection, client: Client, now: float) -> Sequence[str]:
        told = {"agent_id": client.agent_id, "name": client.name}
        notice = _notice(words.BACK_TITLE, words.BACK, told, "normal")
        return self._tell(connection, notice, f"{client.agent_id}:back:{round(now * 1_000)}", now)

    def _tell(
        self, connection: Connection, notice: dict[str, str], key: str, now: float
    ) -> Sequence[str]:
        return apply(
            connection,
            [Effect(EffectKind.NOTICE, "notice", notice)],
            key=f"client:{key}",
            cause=Cause("clients"),
            now=now,
            book=self._book,
            channels=self._channels,
        ).queues


class ClientWatch:
    """``owner`` names this process; ``alone``: no other one works on this database."""

    def __init__(
        self,
        database: Database,
        policy: ClientPolicy,
        notices: ClientNotices,
        *,
        owner: str,
        alone: bool,
        on_queues: Callable[[Sequence[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_queues = on_queues
        self._database, self._policy, self._notices = database, policy, notices
        self._owner, self._alone, self._clock = owner, alone, clock
        self._since = self._pruned = 0.0
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._since = self._clock()
        self._loop = asyncio.create_task(self._run(), name="client watch")

    async def stop(self) -> None:
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None
        if not self._alone:
            await self._database.write(lambda c: watches.let_go(c, NAME, self._owner))

    async def _run(self) -> None:
        pause = min(max(self._policy.silence_s / 6, _SOONEST_S), _LATEST_S)
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("looking for silent clients failed; again in %.1f s", pause)
            await asyncio.sleep(pause)

    async def sweep(self) -> list[str]:
        """The clients of which staff is told now."""
        now = self._clock()
        if not await self._may_look(now):
            return []
        await self._prune(now)
        before = now - self._policy.silence_s
        if before < self._since:
            return []  # while nobody listened, nobody could be heard
        found = await self._database.read(lambda c: clients.silent(c, before=before))
        told = [one for one in found if await self._is_gone(*one, before=before, now=now)]
        return [agent_id for agent_id, _, _ in told]

    async def _is_gone(
        self, agent_id: str, name: str, seen_ts: float, *, before: float, now: float
    ) -> bool:
        def unit(connection: Connection) -> Sequence[str] | None:
            if not clients.is_gone(connection, agent_id, before=before, now=now):
                return None
            return self._notices.gone(connection, agent_id, name, seen_ts, now)

        queues = await self._database.write(unit)
        if queues is None:
            return False
        log.warning("client %r has been silent for %d s", agent_id, now - seen_ts)
        self.on_queues(queues)
        return True

    async def _may_look(self, now: float) -> bool:
        if self._alone:
            return True
        return await self._database.write(
            lambda c: watches.hold(c, NAME, self._owner, now=now, lease_s=LEASE_S)
        )

    async def _prune(self, now: float) -> None:
        if now - self._pruned >= _PRUNE_EVERY_S:
            self._pruned = now
            await self._database.write(lambda c: sign_ins.prune(c, before=now - _FORGET_S))


def _notice(title: str, said: str, told: dict[str, str], priority: str) -> dict[str, str]:
    return {
        "title": title.format_map(told),
        "text": said.format_map(told),
        "priority": priority,
        "reason": "client_offline" if priority == "high" else "client_back",
        "conversation_id": "",
    }
