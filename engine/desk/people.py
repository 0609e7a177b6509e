"""Agents: signing in, presence, and who they are."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from domain.desk import Agent, AgentRole, Presence, covers, is_agent_id, is_scope, meets
from domain.errors import InvalidInput, NotFound
from domain.messages import MAX_NAME_CHARS
from domain.text import one_line
from engine.desk.parts import LOCAL, Conflict, DeskParts, Forbidden
from engine.desk.passwords import TooManyWait, check_new
from engine.desk.views import Session
from storage import agents, desk_talks

FREE_TRIES = 5
LOCKED_S = 30.0
"""After FREE_TRIES wrong passwords one may be tried so often."""
BUSY_S = 2.0
SEEN_EVERY_S = 10.0
MAX_LOAD, MAX_LISTED, MAX_SKILL_CHARS = 1_000, 50, 64
_WRONG = "账号或密码不正确"
_TOKEN_BYTES = 32


class SignInRefused(InvalidInput):
    """401, or 429 with ``retry_after`` seconds."""

    def __init__(self, reason: str, *, retry_after: float = 0.0, field: str = "password") -> None:
        self.retry_after = retry_after
        super().__init__(field, reason, status=429 if retry_after else 401)


class People(DeskParts):
    async def agent(self, agent_id: str) -> Agent | None:
        return await self.database.read(lambda c: agents.get(c, agent_id))

    def local_admin(self) -> Agent:
        """Who the console is on loopback while there are no agents and no API key. No row."""
        return LOCAL

    async def has_agents(self) -> bool:
        return await self.database.read(agents.any_enabled)

    async def sign_in(self, agent_id: str, password: str) -> Session:
        """Raises SignInRefused: 401 for a wrong login or password (not told which), 429 with
        ``retry_after`` after several, and while too many sign in at once."""
        agent_id = agent_id.strip().lower()
        try:
            async with self._passwords.trying():
                await self._try(agent_id, password)
        except TooManyWait:
            raise SignInRefused("登录的人太多，请稍后再试", retry_after=BUSY_S) from None
        return await self._signed_in(agent_id)

    async def _try(self, agent_id: str, password: str) -> None:
        found = await self.database.read(lambda c: agents.password_of(c, agent_id))
        now = self.clock()
        if found is not None and found[1] > now:
            raise SignInRefused("密码错误次数过多，请稍后再试", retry_after=found[1] - now)
        if not await self._passwords.matches(password, found[0] if found else None):
            await self.database.write(
                lambda c: agents.wrong_password(
                    c, agent_id, free=FREE_TRIES, wait_s=LOCKED_S, now=now
                )
            )
            raise SignInRefused(_WRONG)

    async def _signed_in(self, agent_id: str) -> Session:
        token, csrf = (secrets.token_urlsafe(_TOKEN_BYTES) for _ in range(2))
        now = self.clock()
        expires = now + self.policy.session_s
        agent = await self.database.write(
            lambda c: agents.sign_in(
                c, agent_id, token_hash=_hash(token), csrf=csrf, expires=expires, now=now
            )
        )
        if agent is None:
            raise SignInRefused(_WRONG)
        return Session(agent, csrf, expires, token)

    async def session(self, token: str) -> Session | None:
        """Whose ``token`` it is, also a sign of life of theirs. None: signed out, run out, or the
        agent is disabled."""
        if not token:
            return None
        now = self.clock()
        found = await self.database.read(lambda c: agents.session(c, _hash(token), now=now))
        if found is None:
            return None
        await self.heartbeat(found[0])
        return Session(*found)

    async def sign_out(self, token: str) -> None:
        """With the last session the agent is offline; what they had goes back to the queue."""
        now = self.clock()

        def unit(connection: Connection) -> None:
            found = agents.session(connection, _hash(token), now=now)
            agents.sign_out(connection, _hash(token))
            if found is not None and not agents.has_session(connection, found[0].id, now=now):
                self._go(connection, found[0], Presence.OFFLINE, now)

        await self.database.write(unit)
        self.told()

    async def presence(self, who: Agent, status: Presence) -> Agent:
        """Offline gives all their conversations back to the front of the queue."""
        now = self.clock()

        def unit(connection: Connection) -> Agent:
            self._go(connection, who, status, now)
            return agents.get(connection, who.id) or who

        found = await self.database.write(unit)
        self.told()
        return found

    def _go(self, connection: Connection, who: Agent, status: Presence, now: float) -> None:
        agents.set_presence(connection, who.id, status, now=now)
        if status is Presence.OFFLINE:
            self.give_all_back(connection, who.id, why="offline", by=who.id, now=now)

    def give_all_back(
        self, connection: Connection, agent: str, *, why: str, by: str, now: float
    ) -> int:
        """Everything that is with ``agent``; returns how many."""
        given = 0
        for conversation in agents.held_by(connection, agent):
            talk = desk_talks.hold(connection, conversation)
            if talk is not None and talk.taken and talk.agent == agent:
                given += desk_talks.release(connection, talk, by=by, why=why, now=now)
        return given

    async def heartbeat(self, who: Agent) -> None:
        """A sign of life, to be given at least every half DESK_AGENT_AWAY_S while the console is
        open (its event stream does). Cheap: written at most every few seconds."""
        now = self.clock()
        pause = min(SEEN_EVERY_S, self.policy.away_s / 4)
        if now - self._seen.get(who.id, 0.0) < pause or who.id == LOCAL.id:
            return
        self._seen[who.id] = now
        await self.database.write(lambda c: agents.seen(c, who.id, now=now))

    async def agents(self, who: Agent) -> list[Agent]:
        """Those who may have something in common with ``who``, with their load; by id."""
        found = await self.database.read(agents.listed)
        return [one for one in found if one.id == who.id or meets(who.scopes, one.scopes)]

    async def put_agent(
        self,
        who: Agent,
        agent_id: str,
        *,
        name: str | None = None,
        role: str | None = None,
        skills: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        max_load: int | None = None,
        enabled: bool | None = None,
        password: str | None = None,
    ) -> Agent:
        """A new agent (``password`` is needed then), or changes to one. Admins only, and none may
        make or change an agent who sees more than they do. A new password, or disabling, ends all
        their sessions."""
        if not who.rules:
            raise Forbidden("只有管理员可以管理坐席")
        given = {
            "name": name,
            "role": role,
            "skills": skills,
            "scopes": scopes,
            "max_load": max_load,
            "enabled": enabled,
        }
        changes = _checked({key: value for key, value in given.items() if value is not None})
        if password is not None:
            check_new(password)
            changes["password"] = await self._passwords.hashed(password)
        known = await self.agent(agent_id)
        if known is None:
            changes.setdefault("scopes", who.scopes)
        for scopes in (known.scopes if known else (), changes.get("scopes", ())):
            if not covers(who.scopes, scopes):
                raise Forbidden("该坐席的范围超出了您自己的范围")
        if known is None:
            return await self._add(who, agent_id, changes)
        return await self._change(who, known, changes)

    async def _add(self, who: Agent, agent_id: str, values: dict[str, Any]) -> Agent:
        if not is_agent_id(agent_id):
            raise InvalidInput("id", "账号只能用小写字母、数字和 _ . -，最长 64 个字符")
        stored = values.pop("password", "")
        if not stored:
            raise InvalidInput("password", "新坐席需要密码")
        defaults: dict[str, Any] = {
            "name": agent_id,
            "max_load": self.policy.max_load,
        }
        agent, now = Agent(id=agent_id, **defaults | values), self.clock()
        if not await self.database.write(
            lambda c: agents.add(c, agent, stored, by=who.id, now=now)
        ):
            raise Conflict(f"账号 {agent_id!r} 已存在", field="id")
        return await self._known(agent_id)

    async def _change(self, who: Agent, agent: Agent, changes: dict[str, Any]) -> Agent:
        if not changes:
            return agent
        if agent.id == who.id and (changes.get("enabled") is False or _loses_rule(changes)):
            raise Conflict("不能停用自己，也不能取消自己的管理员角色", field="id")
        now = self.clock()

        def unit(connection: Connection) -> None:
            agents.change(connection, agent.id, changes, by=who.id, now=now)
            if changes.get("enabled") is False:
                agents.leaves(connection, agent.id, before=now + 1, now=now)
                self.give_all_back(connection, agent.id, why="offline", by=who.id, now=now)
            if "password" in changes or changes.get("enabled") is False:
                agents.sign_out_all(connection, agent.id)

        await self.database.write(unit)
        self.told()
        return await self._known(agent.id)

    async def _known(self, agent_id: str) -> Agent:
        found = await self.agent(agent_id)
        if found is None:
            raise NotFound("id", agent_id)
        return found


def _loses_rule(changes: dict[str, Any]) -> bool:
    return bool(changes.get("role", AgentRole.ADMIN) != AgentRole.ADMIN)


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    """As columns and fields want them. Raises InvalidInput."""
    found = dict(changes)
    if "name" in found:
        found["name"] = one_line(str(found["name"]))[:MAX_NAME_CHARS]
        if not found["name"]:
            raise InvalidInput("name", "姓名不能为空")
    if "role" in found:
        if found["role"] not in set(AgentRole):
            raise InvalidInput("role", f"角色应为 {'、'.join(AgentRole)} 之一")
        found["role"] = AgentRole(found["role"])
    if "skills" in found:
        found["skills"] = _names("skills", found["skills"])
    if "scopes" in found:
        found["scopes"] = tuple(dict.fromkeys(found["scopes"]))
        if len(found["scopes"]) > MAX_LISTED or not all(map(is_scope, found["scopes"])):
            raise InvalidInput("scopes", "范围应为 *、渠道 或 渠道:账号")
    if not 1 <= found.get("max_load", 1) <= MAX_LOAD:
        raise InvalidInput("max_load", f"同时接待上限应为 1 到 {MAX_LOAD}")
    return found


def _names(field: str, given: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (one_line(one) for one in given))))
    if len(names) > MAX_LISTED or any(len(one) > MAX_SKILL_CHARS for one in names):
        raise InvalidInput(field, f"最多 {MAX_LISTED} 个，每个不超过 {MAX_SKILL_CHARS} 个字符")
    return names


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
