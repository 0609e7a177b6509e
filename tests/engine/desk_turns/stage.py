"""Plays a situation at the human desk and writes down what everybody saw, step by step.

A situation is a YAML file: ``name``, ``desk`` (settings of `DeskPolicy`), ``agents`` (id: name, or
a mapping with ``skills``, ``max_load``, ``status``), ``steps`` and ``end``. A step has one act
(`_ACTS`) and ``then``, the transcript: who said what to whom, and what the desk told of it. Steps
go to the deployment's processes in turn, ``at`` names one.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection

from domain.desk import Agent, Presence
from domain.ids import conversation_id
from storage import agents as agent_rows
from storage import history
from storage.database import Database
from tests.engine.desk_turns.posts import Post, Values
from tests.engine.processes import ZONE
from tests.sandbox_server import SandboxServer

SITUATIONS = Path(__file__).parent / "situations"
MONDAY_10 = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE).timestamp()
STEP_S = 1.0
_NAMES = {"with": "with_"}
_SPOKEN = {"user": "{chat}", "assistant": "机器人→{chat}", "staff": "客服→{chat}"}


@dataclass(frozen=True, slots=True)
class Situation:
    file: Path
    name: str
    steps: tuple[Values, ...]
    end: Values
    desk: Values = field(default_factory=dict)
    agents: Mapping[str, Any] = field(default_factory=dict)


def situations() -> list[Situation]:
    return [_read(file) for file in sorted(SITUATIONS.glob("*.yaml"))]


def written(situation: Situation, shown: list[list[str]], end: Values) -> str:
    """The situation's file with what was shown as its transcript."""
    body = yaml.safe_load(situation.file.read_text("utf-8"))
    for step, lines in zip(body["steps"], shown, strict=True):
        step["then"] = lines
    body["end"] = end
    return yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=100)


def _read(file: Path) -> Situation:
    body = yaml.safe_load(file.read_text("utf-8"))
    steps = tuple(body.pop("steps"))
    return Situation(file=file, steps=steps, end=body.pop("end", {}), **body)


class Stage:
    """``posts``: the deployment's processes; ``restart`` ends one and begins it anew, at a time."""

    def __init__(
        self,
        situation: Situation,
        database: Database,
        sandbox: SandboxServer,
        posts: Sequence[Post],
        restart: Callable[[int, float], Any],
    ) -> None:
        self.situation, self._database, self._sandbox = situation, database, sandbox
        self._posts, self._restart = posts, restart
        self._now = MONDAY_10
        self._numbers = itertools.count(1)
        self._told = self._said = 0
        self._chats: dict[str, str] = {}
        self._answered: list[str] = []
        self._rivals: list[str] = []

    async def play(self) -> tuple[list[list[str]], Values]:
        """What each step showed, and how it ended."""
        await self._database.write(self._employ)
        await self._new_lines()
        shown = [await self._step(number, dict(step)) for number, step in self._numbered()]
        await self._check_whole()
        return shown, await self._ended()

    def _numbered(self) -> Iterator[tuple[int, Values]]:
        return enumerate(self.situation.steps)

    def _employ(self, connection: Connection) -> None:
        for name, about in self.situation.agents.items():
            given = {"name": about} if isinstance(about, str) else dict(about)
            status = Presence(given.pop("status", "online"))
            given["skills"] = tuple(given.get("skills", ()))
            agent = Agent(name, scopes=("*",), **given)
            agent_rows.add(connection, agent, "-", by="test", now=self._now)
            agent_rows.set_presence(connection, name, status, now=self._now)

    async def _step(self, number: int, step: Values) -> list[str]:
        step.pop("then", None)
        post, held = step.pop("at", None), step.pop("during", False)
        self._now += step.pop("after_s", STEP_S)
        act = next(name for name in _ACTS if name in step)
        step = {_NAMES.get(name, name): value for name, value in step.items()}
        at = (number if post is None else post) % len(self._posts)
        done = await _ACTS[act](self, at, **step)
        if not held:
            await self._quiet()
        refused = [f"✗ {one['refused']}" for one in done if one.get("refused")]
        answers = [
            f"应答→ {one['action']} {one['answer']}".rstrip() for one in done if "answer" in one
        ]
        return [*await self._new_lines(), *answers, *refused]

    async def _do(self, at: int, what: str, **values: Any) -> Values:
        return await self._posts[at].do(what, now=self._now, **values)

    # Acts ---------------------------------------------------------------------------------------

    async def customer(
        self, at: int, customer: str, says: Any = "", picture: str = "", waits: bool = False
    ) -> list[Values]:
        lines = says if isinstance(says, list) else [says]
        done = [
            await self._do(
                at,
                "receive",
                chat=self._chat(customer),
                text=line,
                message_id=f"{self.situation.file.stem}-{next(self._numbers)}",
                picture=picture,
                wait=waits,
            )
            for line in lines
        ]
        self._answered += [one["answer"] for one in done if one.get("answer")]
        return done

    async def agent(self, at: int, agent: str, does: str, with_: str = "甲", **more: Any) -> Any:
        return [await self._act(at, agent, does, with_, more)]

    async def _act(self, at: int, agent: str, does: str, chat: str, more: Values) -> Values:
        if does in {"presence", "heartbeat"}:
            return await self._do(at, does, agent=agent, **more)
        conversation = self._conversation(chat)
        if does == "draft":
            more["draft"] = await self._draft_of(conversation)
            return await self._do(at, "draft", agent=agent, **more)
        if does == "say":
            more["message_id"] = f"s{next(self._numbers)}"
        return await self._do(at, does, agent=agent, conversation=conversation, **more)

    async def together(self, at: int, together: Sequence[Values]) -> list[Values]:
        """At once, on as many processes as there are."""
        acts = [dict(one) for one in together]
        posts = [(at + number) % len(self._posts) for number in range(len(acts))]
        done = await asyncio.gather(
            *(
                self._act(post, one.pop("agent"), one.pop("does"), one.pop("with", "甲"), one)
                for post, one in zip(posts, acts, strict=True)
            )
        )
        # Who wins is chance; that one does is not.
        self._rivals = [one["agent"] for one in together]
        return [{"refused": "该会话已由另一位客服接待"} for one in done if one.get("refused")]

    async def hold(self, at: int, hold: str) -> list[Values]:
        for post in range(len(self._posts)):
            await self._do(post, "hold", marker=hold)
        return []

    async def reached(self, at: int, reached: str) -> list[Values]:
        tries = [
            asyncio.create_task(self._do(post, "reached", marker=reached))
            for post in range(len(self._posts))
        ]
        _, pending = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return []

    async def let_go(self, at: int, let_go: str) -> list[Values]:
        for post in range(len(self._posts)):
            await self._do(post, "let_go", marker=let_go)
        return []

    async def watch(self, at: int, watch: bool) -> list[Values]:
        """By the first process: it holds the lease for longer than a situation lasts."""
        return [await self._do(0, "watch")]

    async def restart(self, at: int, restart: Any) -> list[Values]:
        which = range(len(self._posts)) if restart == "all" else [at]
        for post in which:
            await self._restart(post, self._now)
        return []

    async def nothing(self, at: int, nothing: bool) -> list[Values]:
        return []

    # What everybody saw -------------------------------------------------------------------------

    def _chat(self, name: str) -> str:
        chat = f"{self.situation.file.stem}-{name}"
        self._chats[self._conversation(name)] = name
        return chat

    def _conversation(self, name: str) -> str:
        chat = f"{self.situation.file.stem}-{name}"
        return str(conversation_id("webhook", "shop", chat, chat))

    async def _rows(self, sql: str, **params: Any) -> list[Values]:
        return await self._database.read(lambda c: history.rows(c, sql, **params))

    async def _draft_of(self, conversation: str) -> int:
        sql = "SELECT MAX(id) AS id FROM desk_drafts WHERE conversation_id = :id"
        return int((await self._rows(sql, id=conversation))[0]["id"])

    async def _new_lines(self) -> list[str]:
        said = await self._rows(
            "SELECT id, conversation_id, role, content, kind FROM messages"
            " WHERE id > :last AND kind <> 'event' ORDER BY id",
            last=self._said,
        )
        told = await self._rows(
            "SELECT id, kind, conversation_id, agent, data FROM desk_events"
            " WHERE id > :last AND kind <> 'message' ORDER BY id",
            last=self._told,
        )
        self._said = max([self._said, *(row["id"] for row in said)])
        self._told = max([self._told, *(row["id"] for row in told)])
        drafts = await self._rows("SELECT id, text FROM desk_drafts")
        texts = {row["id"]: row["text"] for row in drafts}
        return [*map(self._message, said), *(self._event(row, texts) for row in told)]

    def _message(self, row: Values) -> str:
        chat = self._chats.get(row["conversation_id"], "?")
        content = row["content"] or f"[{row['kind']}]"
        return f"{_SPOKEN[row['role']].format(chat=chat)}: {content}"

    def _event(self, row: Values, drafts: Mapping[int, str]) -> str:
        data = json.loads(row["data"])
        for aside in ("handoff", "question", "scopes"):
            data.pop(aside, None)
        if "draft" in data:
            data["draft"] = drafts[data["draft"]]
        chat = self._chats.get(row["conversation_id"], "")
        about = " ".join(
            f"{name}={value}" for name, value in data.items() if value not in ("", None)
        )
        return _words(["·", row["kind"], chat, self._who(row["agent"]), about])

    def _who(self, agent: str) -> str:
        return "其中一位" if agent in self._rivals else agent

    async def _ended(self) -> Values:
        talks = await self._rows("SELECT id, mode FROM conversations ORDER BY created_at, id")
        handoffs = await self._rows(
            "SELECT conversation_id, status, reason, priority, COALESCE(agent, '') AS agent,"
            " outcome, COALESCE(CAST(rating AS TEXT), '') AS rating FROM handoffs ORDER BY id"
        )
        modes = {self._chats[row["id"]]: row["mode"] for row in talks if row["id"] in self._chats}
        shown = []
        for row in handoffs:
            chat = self._chats[row.pop("conversation_id")]
            row["agent"] = self._who(row["agent"])
            shown.append(_words([chat, *row.values()]))
        return {"modes": dict(sorted(modes.items())), "handoffs": shown}

    async def _quiet(self) -> None:
        """No unread message, no turn, and nothing on its way."""
        busy = (
            "SELECT 1 FROM conversations WHERE due_at IS NOT NULL OR lease_owner IS NOT NULL"
            " UNION ALL SELECT 1 FROM outbox WHERE status = 'pending'"
        )
        async with asyncio.timeout(60):
            while await self._rows(busy):  # noqa: ASYNC110 - rows tell nobody that they changed
                await asyncio.sleep(0.005)

    async def _check_whole(self) -> None:
        """Nothing that a customer wrote is lost, everything that is said reached them once and in
        order."""
        assert not await self._rows("SELECT 1 FROM messages WHERE status IN ('unread', 'dead')")
        for conversation, name in self._chats.items():
            said = await self._rows(
                "SELECT content FROM messages WHERE conversation_id = :id AND role <> 'user'"
                " ORDER BY id",
                id=conversation,
            )
            seen = await asyncio.to_thread(self._sandbox.chat, self._chat(name))
            told = [row["content"] for row in said if row["content"] not in self._answered]
            assert [one["text"] for one in seen] == told


def _says(value: Any) -> bool:
    return value not in ("", None)


def _words(parts: Iterable[str]) -> str:
    return " ".join(filter(None, parts))


_ACTS: dict[str, Callable[..., Any]] = {
    "customer": Stage.customer,
    "agent": Stage.agent,
    "together": Stage.together,
    "hold": Stage.hold,
    "reached": Stage.reached,
    "let_go": Stage.let_go,
    "watch": Stage.watch,
    "restart": Stage.restart,
    "nothing": Stage.nothing,
}
