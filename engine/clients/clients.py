"""Clients: added, given keys, signing in; every act in the audit log."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.clients import Client, ClientKey, ClientRole, Throttle, neighbourhood
from domain.errors import InvalidInput, NotFound
from engine.clients import words
from engine.clients.keys import digest, new_key, shown
from engine.desk.people import SignInRefused
from engine.refusals import RefusalLimit
from storage import audit, clients, sign_ins
from storage.clients import Listed
from storage.clock import iso
from storage.database import Database

OF_CLIENT = Throttle(free=5, wait_s=30.0)
OF_ADDRESS = Throttle(free=30, wait_s=2.0)
"""Many clients may sit behind one address."""
REMEMBERED_S = 2.0
"""For so long another process goes by what it knows of a client."""
MAX_REMEMBERED = 1_024
Told = Callable[[Connection, Client, float], Sequence[str]]


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """``silence_s``: a client is offline after so long without a heartbeat. ``overlap_s``: how long
    the old keys go on beside a new one."""

    token_s: float = 86_400.0
    heartbeat_s: float = 30.0
    silence_s: float = 90.0
    overlap_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    client: Client
    key: ClientKey


@dataclass(frozen=True, slots=True)
class NewKey:
    """``text``: the key itself, which nobody is shown again."""

    client: Client
    id: int
    text: str


@dataclass(frozen=True, slots=True)
class _Known:
    at: float
    client: Client | None
    keys: tuple[ClientKey, ...]


class Clients:
    """``on_queues`` is told of notices to staff; ``back``: writes the one that a client is there
    again, and returns their queues."""

    def __init__(
        self,
        database: Database,
        policy: ClientPolicy,
        *,
        back: Told = lambda _connection, _client, _now: (),
        on_queues: Callable[[Sequence[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        remembered_s: float = REMEMBERED_S,
    ) -> None:
        self.policy = policy
        self.on_queues = on_queues
        self._database, self._back, self._clock = database, back, clock
        self._remembered_s = remembered_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refusals = RefusalLimit()

    # Signing in -------------------------------------------------------------------------------

    async def sign_in(self, agent_id: str, api_key: str, address: str) -> SignedIn:
        """Raises SignInRefused: 401 without saying what was wrong, 429 with ``retry_after``."""
        now, place = self._clock(), neighbourhood(address)
        found = await self._database.write(
            lambda c: _try(c, agent_id, digest(api_key), place, now), key=agent_id
        )
        if isinstance(found, SignedIn):
            return found
        if found:
            raise SignInRefused(words.TOO_MANY, retry_after=found, field="api_key")
        await self._note_refusal(agent_id, place, now)
        raise SignInRefused(words.WRONG_KEY, field="api_key")

    async def _note_refusal(self, agent_id: str, place: str, now: float) -> None:
        unwritten = self._refusals.take(place, now)
        if unwritten is None:
            return
        detail: dict[str, Any] = {"address": place} | (
            {"unwritten": unwritten} if unwritten else {}
        )
        await self._database.write(
            lambda c: audit.record(
                c,
                at=iso(now),
                actor="",
                action="client.refused",
                subject=agent_id,
                detail=detail,
            )
        )

    async def standing(self, agent_id: str, *, generation: int, key: int) -> Client | None:
        """Whether a token with those claims is still good: None where the client is disabled, its
        role was changed, or the key that it signed in with is over. At most `REMEMBERED_S` late."""
        known = await self._look_up(agent_id)
        client = known.client
        if client is None or not client.enabled or client.generation != generation:
            return None
        now = self._clock()
        return client if any(one.id == key and one.opens(now) for one in known.keys) else None

    async def _look_up(self, agent_id: str) -> _Known:
        now = time.monotonic()
        known = self._known.get(agent_id)
        if known is not None and now - known.at < self._remembered_s:
            return known
        client, keys = await self._database.read(
            lambda c: (clients.get(c, agent_id), clients.keys_of(c, agent_id))
        )
        known = self._known[agent_id] = _Known(now, client, keys)
        self._known.move_to_end(agent_id)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return known

    # Heartbeats -------------------------------------------------------------------------------

    async def heartbeat(self, agent_id: str, status: Mapping[str, Any]) -> bool:
        """False where there is no such client, of which nothing is kept."""
        client = (await self._look_up(agent_id)).client
        if client is None:
            return False
        known, now = client, self._clock()

        def unit(connection: Connection) -> Sequence[str]:
            if clients.beat(connection, agent_id, status, now=now):
                return self._back(connection, known, now)
            return ()

        self.on_queues(await self._database.write(unit, key=agent_id))
        return True

    # Who there is -----------------------------------------------------------------------------

    async def listed(
        self,
        *,
        search: str = "",
        role: ClientRole | None = None,
        enabled: bool | None = None,
        limit: int,
        offset: int,
    ) -> tuple[list[Listed], int]:
        return await self._database.read(
            lambda c: clients.listed(
                c, search=search, role=role, enabled=enabled, limit=limit, offset=offset
            )
        )

    async def find(self, agent_id: str) -> Listed:
        """Raises NotFound."""
        found = await self._database.read(lambda c: clients.one_listed(c, agent_id))
        if found is None:
            raise NotFound("agent_id", agent_id)
        return found

    # Changes ----------------------------------------------------------------------------------

    async def add(self, agent_id: str, *, name: str, role: ClientRole, by: str) -> NewKey:
        """Raises InvalidInput (409) where there is one of that id."""
        now, key = self._clock(), new_key()
        client = Client(agent_id, name or agent_id, role, True, 1, "", iso(now))

        def unit(connection: Connection) -> int | None:
            if not clients.add(connection, client, by=by, now=now):
                return None
            return _give_key(connection, agent_id, key, None, by, now)

        number = await self._database.write(unit)
        self._forget(agent_id)
        if number is None:
            raise InvalidInput("agent_id", f"客户端 {agent_id!r} 已存在", status=409)
        return NewKey(client, number, key)

    async def rotate(self, agent_id: str, *, by: str, overlap_s: float | None = None) -> NewKey:
        """A new key; the others go on for ``overlap_s``. Raises NotFound."""
        now, key = self._clock(), new_key()
        until = now + (self.policy.overlap_s if overlap_s is None else overlap_s)

        def unit(connection: Connection) -> tuple[Client, int]:
            client = _existing(connection, agent_id)
            return client, _give_key(connection, agent_id, key, until, by, now)

        client, number = await self._database.write(unit)
        self._forget(agent_id)
        return NewKey(client, number, key)

    async def revoke(self, agent_id: str, key: int | None, *, by: str) -> int:
        """One key, or all of them: nobody signs in with it, and its tokens end. Returns how many
        there were. Raises NotFound."""
        now = self._clock()

        def unit(connection: Connection) -> int:
            _existing(connection, agent_id)
            keys = [one.id for one in clients.keys_of(connection, agent_id) if one.opens(now)]
            wanted = keys if key is None else [one for one in keys if one == key]
            if key is not None and not wanted:
                raise NotFound("key_id", str(key))
            return clients.revoke(connection, agent_id, wanted, by=by, now=now)

        done = await self._database.write(unit)
        self._forget(agent_id)
        return done

    async def change(
        self,
        agent_id: str,
        *,
        by: str,
        name: str | None = None,
        role: ClientRole | None = None,
        enabled: bool | None = None,
    ) -> Listed:
        """Another role, or disabling, ends the tokens. Raises NotFound."""
        now = self._clock()
        given = {"name": name, "role": role.value if role is not None else None}

        def unit(connection: Connection) -> None:
            known = _existing(connection, agent_id)
            wanted = {**given, "enabled": enabled}
            changes = {
                column: value
                for column, value in wanted.items()
                if value is not None and value != getattr(known, column)
            }
            if changes:
                clients.change(connection, agent_id, changes, by=by, now=now)

        await self._database.write(unit)
        self._forget(agent_id)
        return await self.find(agent_id)

    def _forget(self, agent_id: str) -> None:
        self._known.pop(agent_id, None)


def _try(
    connection: Connection, agent_id: str, key_digest: str, place: str, now: float
) -> SignedIn | float:
    """Else the seconds to wait, 0: the key was wrong."""
    client = clients.get(connection, agent_id)
    limits = {f"address:{place}": OF_ADDRESS} if place else {}
    if client is None or not place or client.address != place:
        # Else whoever guesses elsewhere would lock out a client that is known at its place.
        limits[f"agent:{agent_id}"] = OF_CLIENT
    wait = sign_ins.attempt(connection, limits, now=now)
    if wait:
        return wait
    key = clients.key_that_opens(connection, agent_id, key_digest, now=now)
    if client is None or not client.enabled or key is None:
        return 0.0
    sign_ins.was_right(connection, list(limits))
    clients.signed_in(connection, key, address=place, now=now)
    return SignedIn(client, key)


def _existing(connection: Connection, agent_id: str) -> Client:
    found = clients.get(connection, agent_id)
    if found is None:
        raise NotFound("agent_id", agent_id)
    return found


def _give_key(
    connection: Connection, agent_id: str, key: str, until: float | None, by: str, now: float
) -> int:
    return clients.add_key(
        connection,
        agent_id,
        digest=digest(key),
        prefix=shown(key),
        others_until=until,
        by=by,
        now=now,
    )
