"""A desk over a real database: its clock is the test's, and what it tells is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from domain.desk import Agent, AgentRole, Presence
from domain.messages import InboundMessage
from engine.desk.desk import Desk, DeskPolicy
from engine.desk.watch import DeskWatch
from engine.desk_turns import heard
from graphs.templates import Templates
from storage import agents, inbox
from storage.clock import iso
from storage.database import Database
from storage.handoffs import DESK, HandoffRow, open_handoff
from storage.tasks import TaskBook

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=ZONE).timestamp()  # a Wednesday
PUSHED = frozenset({"webhook", "wecom_kf", "staff"})
POLICY = DeskPolicy(channels=PUSHED, zone=ZONE)
TEMPLATES = Templates.parse(
    (resources.files("engine") / "defaults" / "templates.yaml").read_text("utf-8")
)
PASSWORD = "correct horse"
# Hashed once: a tenth of a second each.
STORED = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$cvKDSIR8vA/24EQVf1tBGSj9VimKoCjA7Ny1Asw1kK8="


@dataclass
class Told:
    queues: list[str] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)


class Bench:
    def __init__(self, database: Database, policy: DeskPolicy = POLICY) -> None:
        self.database, self.now, self.told = database, NOON, Told()
        self._numbers = iter(range(1, 10_000))
        self.desk, self.watch = self.process(policy)

    def process(
        self, policy: DeskPolicy = POLICY, name: str = "p1", database: Database | None = None
    ) -> tuple[Desk, DeskWatch]:
        """A further one of those that serve the desk. ``database``: with connections of its own."""
        book = TaskBook(ZONE, callbacks=False)
        desk = Desk(
            database or self.database,
            TEMPLATES,
            policy,
            book=book,
            on_queues=self._queues,
            on_conversations=self.told.conversations.append,
            clock=lambda: self.now,
        )
        watch = DeskWatch(desk, owner=name, alone=False)
        return desk, watch

    def _queues(self, queues: Sequence[str]) -> None:
        self.told.queues += queues

    async def agent(self, agent_id: str, **values: Any) -> Agent:
        """One who is online and sees everything, unless ``values`` say otherwise."""
        status = values.pop("status", Presence.ONLINE)
        made = replace(Agent(id=agent_id, name=f"{agent_id}的名字", scopes=("*",)), **values)
        await self.database.write(lambda c: agents.add(c, made, STORED, by="test", now=self.now))
        return await self.desk.presence(made, status)

    async def admin(self) -> Agent:
        return await self.agent("boss", role=AgentRole.ADMIN, status=Presence.AWAY)

    async def hears(
        self, user: str, said: str = "在吗", *, channel: str = "webhook", account: str = "shop"
    ) -> str:
        """Returns the conversation."""
        message = InboundMessage(
            channel=channel,
            account=account,
            channel_message_id=f"m{next(self._numbers)}",
            chat_id=user,
            sender_id=user,
            sender_name=f"客户{user}",
            text=said,
            sent_at=self.now,
            received_at=self.now,
            route="push",
        )

        def unit(connection: Connection) -> None:
            heard(connection, message, inbox.receive(connection, message))

        await self.database.write(unit)
        return message.conversation

    async def waits(
        self,
        user: str,
        said: str = "转人工",
        *,
        priority: str = "normal",
        skill: str = "",
        reason: str = "human_request",
        **where: str,
    ) -> str:
        """``user`` is handed over as a turn would do it; returns the conversation."""
        conversation = await self.hears(user, said, **where)
        row = HandoffRow(reason, priority, DESK, said, skill)
        await self.database.write(
            lambda c: open_handoff(
                c,
                row,
                conversation_id=conversation,
                contact_id=f"{where.get('channel', 'webhook')}:shop:{user}",
                turn_id="",
                at=iso(self.now),
            )
        )
        return conversation

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        return await self.database.read(
            lambda c: [dict(row) for row in c.execute(text(sql), params).mappings()]
        )

    async def stands(self, conversation: str) -> tuple[str, str, str]:
        """Mode, status and agent of the last hand-over."""
        (row,) = await self.rows(
            "SELECT c.mode, h.status, COALESCE(h.agent, '') AS agent FROM conversations c"
            " JOIN handoffs h ON h.conversation_id = c.id WHERE c.id = :id"
            " ORDER BY h.id DESC LIMIT 1",
            id=conversation,
        )
        return row["mode"], row["status"], row["agent"]

    async def kinds(self, conversation: str) -> list[str]:
        """Of the events of a conversation, in order; modes are told beside them."""
        found = await self.rows(
            "SELECT kind FROM desk_events WHERE conversation_id = :id AND kind <> 'mode'"
            " ORDER BY id",
            id=conversation,
        )
        return [row["kind"] for row in found]

    async def sent(self) -> list[str]:
        found = await self.rows("SELECT payload FROM outbox WHERE kind = 'message' ORDER BY id")
        return [str(row["payload"]) for row in found]
