"""What the desk's parts share: policy, refusals, the database, and the questions every act asks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from sqlalchemy import Connection

from domain.desk import Agent, AgentRole, Waiting, in_scope, next_deadline
from domain.desk_hours import Hours
from domain.errors import InvalidInput, NotFound
from engine.desk.feed import Feed
from engine.desk.passwords import Passwords
from engine.desk.sharing import SharedReads
from engine.desk.views import QueueItem
from graphs.templates import Templates
from storage import agents, desk_talks
from storage.database import Database
from storage.desk_talks import Talk
from storage.desk_views import Wanted
from storage.tasks import TaskBook

Page = tuple[tuple[QueueItem, ...], str | None]
"""Of a list: what is shown, and where it goes on."""
LOCAL = Agent(id="local", name="本机管理员", role=AgentRole.ADMIN, scopes=("*",), max_load=1_000)


class Conflict(InvalidInput):
    """Somebody else was first: ``holder`` (their name is in the reason). Status 409."""

    def __init__(self, reason: str, *, holder: str = "", field: str = "conversation_id") -> None:
        self.holder = holder
        super().__init__(field, reason, status=409)


class Forbidden(InvalidInput):
    """This role may not do that. Status 403."""

    def __init__(self, reason: str) -> None:
        super().__init__("", reason, status=403)


@dataclass(frozen=True, slots=True)
class DeskPolicy:
    """``channels``: those that deliver by themselves. ``online``: whether there is anybody at all.
    ``pooled``: whose customers wait in the platform's own pool first. Durations in seconds."""

    channels: frozenset[str] = frozenset()
    zone: tzinfo = UTC
    hours: Hours = field(default_factory=Hours)
    online: bool = True
    max_waiting: int = 10
    max_load: int = 8
    session_s: float = 12 * 3_600.0
    first_reply_s: float = 60.0
    reply_s: float = 180.0
    away_s: float = 90.0
    idle_s: float = 1_800.0
    rating: bool = True
    assigns: bool = True
    pooled: frozenset[str] = frozenset()

    def is_open(self, now: float) -> bool:
        return self.online and self.hours.is_open(datetime.fromtimestamp(now, self.zone))

    def opens_at(self, now: float) -> float | None:
        """``now`` where it is open; None: nobody knows."""
        if not self.online:
            return None
        opening = self.hours.next_opening(datetime.fromtimestamp(now, self.zone))
        return opening.timestamp() if opening is not None else None

    def limit(self, first_reply_ts: float | None) -> float:
        """Seconds in which the next word is due."""
        return self.first_reply_s if first_reply_ts is None else self.reply_s

    def due(self, talk: Talk, now: float) -> float | None:
        """When a new agent's word in ``talk`` is due; None: it is the customer's turn."""
        if talk.first_reply_ts is not None and talk.asked_ts is None:
            return None
        return next_deadline(now, self.limit(talk.first_reply_ts))


class DeskParts:
    """``on_queues`` is told of queues of the outbox that got something, ``on_conversations`` of
    conversations that want a turn: a decided draft, a conversation that was given back."""

    def __init__(
        self,
        database: Database,
        templates: Templates,
        policy: DeskPolicy,
        *,
        book: TaskBook,
        on_queues: Callable[[Sequence[str]], None],
        on_conversations: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self.feed = Feed(database, clock=clock)
        self.database, self.templates, self.book = database, templates, book
        self.on_queues, self.on_conversations = on_queues, on_conversations
        self.clock = clock
        self._passwords = Passwords()
        self.pages: SharedReads[Wanted, Page] = SharedReads()
        self._seen: dict[str, float] = {}
        self._crowd: list[Waiting] | None = None
        self._crowd_until = 0.0

    def told(self, conversation: str = "") -> None:
        """Something has changed: whoever looks on learns of it at once."""
        self.feed.wake()
        if conversation:
            self.on_conversations(conversation)


def hold(connection: Connection, who: Agent, conversation: str) -> Talk:
    """For an act of ``who``. Raises Forbidden, and NotFound out of scope."""
    if not who.acts:
        raise Forbidden("当前角色只能查看")
    talk = desk_talks.hold(connection, conversation)
    if talk is None or not in_scope(who.scopes, talk.who.channel, talk.who.account):
        raise NotFound("conversation_id", conversation)
    return talk


def own(connection: Connection, who: Agent, conversation: str) -> Talk:
    """One that ``who`` has, or (for admins) anybody. Raises Conflict."""
    talk = hold(connection, who, conversation)
    if not talk.taken:
        raise Conflict("该会话目前没有人接待，请先接入")
    if talk.agent != who.id and not who.rules:
        raise held(connection, talk)
    return talk


def held(connection: Connection, talk: Talk) -> Conflict:
    """That another agent has it, and who."""
    if not talk.agent:
        return Conflict("该会话已有人接待")
    name = name_of(connection, talk.agent)
    return Conflict(f"该会话已由 {name} 接待", holder=talk.agent)


def name_of(connection: Connection, agent: str) -> str:
    found = agents.get(connection, agent)
    return found.name if found is not None else agent
