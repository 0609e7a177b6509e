"""The human desk as agents use it. Rows and conditional updates decide, so that any number of
processes may serve it; every change and its event are one transaction."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal

from domain.desk import Agent, Mode, Presence
from domain.desk_hours import Hours
from domain.errors import InvalidInput
from domain.messages import Attachment
from engine.desk.views import (
    CannedView,
    ConversationView,
    NoteView,
    QueuePage,
    Said,
    Session,
    Standing,
    View,
)
from graphs.templates import Templates
from storage.database import Database
from storage.desk_events import DeskEventRow
from storage.tasks import TaskBook

Outcome = Literal["solved", "unsolved", ""]
DraftVerdict = Literal["approve", "edit", "discard"]


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
    """``channels``: those that deliver by themselves. ``pooled``: whose customers wait in the
    platform's own pool first. Durations in seconds."""

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


class Desk:
    """``on_queues`` is told of queues of the outbox that got something, ``on_conversations`` of
    conversations that want a turn (a decided draft), ``on_events`` that events were written."""

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
    ) -> None: ...

    # Who -----------------------------------------------------------------------------------------

    async def agent(self, agent_id: str) -> Agent | None: ...

    def local_admin(self) -> Agent:
        """Who the console is on loopback while there are no agents and no API key. No row."""
        ...

    async def has_agents(self) -> bool: ...

    async def sign_in(self, agent_id: str, password: str) -> Session:
        """Raises InvalidInput: 401 for a wrong login or password (not told which), 429 after
        several; `retry_after` then says how many seconds to wait."""
        ...

    async def session(self, token: str) -> Session | None:
        """Whose ``token`` it is, also a sign of life of theirs. None: signed out, run out, or the
        agent is disabled."""
        ...

    async def sign_out(self, token: str) -> None:
        """With the last session the agent is offline; what they had goes back to the queue."""
        ...

    async def presence(self, who: Agent, status: Presence) -> Agent:
        """Offline gives all their conversations back to the front of the queue."""
        ...

    async def heartbeat(self, who: Agent) -> None:
        """A sign of life, to be given at least every half DESK_AGENT_AWAY_S while the console is
        open (its event stream does). Cheap: written at most every few seconds."""
        ...

    # What ----------------------------------------------------------------------------------------

    async def queue(
        self,
        who: Agent,
        *,
        view: View = "waiting",
        search: str = "",
        channel: str = "",
        limit: int = 50,
        before: str | None = None,
    ) -> QueuePage:
        """``search``: in the customer's name and ids, the question, and the last message. Raises
        InvalidInput for a ``before`` that no page gave."""
        ...

    async def conversation(
        self, who: Agent, conversation: str, *, before: int | None = None, limit: int = 50
    ) -> ConversationView:
        """Raises NotFound, also for what is out of scope."""
        ...

    async def events(self, who: Agent, after: int, limit: int = 200) -> list[DeskEventRow]:
        """What ``who`` may see, after number ``after``, oldest first. From memory where the feed
        runs and still has it."""
        ...

    async def newest_event(self) -> int:
        """Where a live view starts that has just read its page."""
        ...

    async def news(self, after: int, timeout_s: float) -> int:
        """Wait until there is an event after number ``after``, at most ``timeout_s``; returns the
        newest number. All listeners of a process share one look at the rows."""
        ...

    async def standing(self, conversation: str = "") -> Standing:
        """For a customer's words: the place of ``conversation``, of a newcomer without one."""
        ...

    # Acts: NotFound out of scope, Forbidden (403) for viewers, Conflict (409) where another agent
    # has it -------------------------------------------------------------------------------------

    async def take(self, who: Agent, conversation: str) -> None:
        """From the queue, the bot, or (admin only, told as a transfer) another agent. Theirs
        already: nothing happens. Exactly one of several at once wins. A turn of the bot that is
        under way is dropped at its commit."""
        ...

    async def say(
        self,
        who: Agent,
        conversation: str,
        text: str,
        *,
        message_id: str,
        attachments: Sequence[Attachment] = (),
    ) -> Said:
        """To the customer, once per ``message_id``; takes a conversation that nobody has."""
        ...

    async def note(self, who: Agent, conversation: str, text: str) -> NoteView:
        """For colleagues; nobody needs to have the conversation."""
        ...

    async def transfer(
        self, who: Agent, conversation: str, *, to: str = "", skill: str = "", note: str = ""
    ) -> None:
        """To the agent ``to``, or back to the front of the queue for anybody with ``skill``."""
        ...

    async def resolve(
        self, who: Agent, conversation: str, *, outcome: Outcome = "solved", ask_rating: bool = True
    ) -> None:
        """It is the bot's again; the customer is asked for a rating where DESK_RATING says so."""
        ...

    async def reopen(self, who: Agent, conversation: str) -> None:
        """The last hand-over goes on, with ``who``. Conflict where one is open already."""
        ...

    async def set_mode(self, who: Agent, conversation: str, mode: Mode) -> None:
        """human and copilot: how ``who`` works on what is theirs (taken first where nobody has
        it). queued: back to the queue. bot: given back without a word about the outcome."""
        ...

    async def decide_draft(
        self, who: Agent, draft: int, verdict: DraftVerdict, text: str = ""
    ) -> None:
        """``text``: of an edit. Conflict for what is decided or stale."""
        ...

    # Canned replies and agents -------------------------------------------------------------------

    async def canned(self, who: Agent) -> list[CannedView]:
        """Those for ``who``'s skills first, then for everybody; by shortcut."""
        ...

    async def put_canned(
        self,
        who: Agent,
        *,
        shortcut: str,
        title: str,
        text: str,
        skill: str = "",
        canned: int | None = None,
    ) -> CannedView:
        """A new one, or instead of number ``canned``. Admins only. Conflict for a shortcut that
        another one has."""
        ...

    async def drop_canned(self, who: Agent, canned: int) -> None: ...

    async def agents(self, who: Agent) -> list[Agent]:
        """All of them, with their load; by id."""
        ...

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
        """A new agent (``password`` is needed then), or changes to one. Admins only. A new
        password, or disabling, ends all their sessions."""
        ...

    async def stats(self) -> dict[str, Any]:
        """Waiting, taken, agents by status: for metrics."""
        ...
