"""What agents see of the desk, as values: the console renders them, the API sends them as JSON."""

from dataclasses import dataclass
from typing import Any, Literal

from domain.desk import Agent

View = Literal["waiting", "mine", "open", "all", "closed"]
"""waiting: nobody's yet, in the order in which they are served. mine: with the agent. open: waiting
or with anybody. all: every conversation, also the bot's, the last active first. closed: hand-overs
that are done, the last first."""


@dataclass(frozen=True, slots=True)
class Session:
    """``token`` goes into the cookie; it is empty where a session is looked up, for only its hash
    is kept. ``csrf`` is to come with every unsafe request."""

    agent: Agent
    csrf: str
    expires_ts: float
    token: str = ""


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A conversation in a list. ``status``: open, taken, closed, or "" where none was handed over.
    ``unread``: the customer's messages since we last spoke. ``waiting_s``: since it joined the
    queue, while it waits. ``due_in_s``: until the next act is due, negative when overdue, None: the
    customer's turn. ``mood``: of the customer when it was handed over: "", negative or strong."""

    conversation_id: str
    handoff: int | None
    customer: str
    contact_id: str
    level: str
    channel: str
    account: str
    mode: str
    status: str
    priority: str
    reason: str
    skill: str
    question: str
    last_message: str
    last_role: str
    last_at: str
    unread: int
    agent: str
    agent_name: str
    waiting_s: float | None
    due_in_s: float | None
    outcome: str
    rating: int | None
    mood: str


@dataclass(frozen=True, slots=True)
class QueuePage:
    """``next``: what to pass as ``before`` for the next page, None on the last one. ``counts``:
    waiting, mine and open of what this agent may see, whatever the search."""

    items: tuple[QueueItem, ...]
    next: str | None
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class MessageView:
    """``role``: user, assistant (the bot) or staff; ``agent``: who of staff. ``attachments``: kind
    and url. ``delivery``: of ours, pending, delivered, dead, dropped, or "" where the customer
    fetches it. ``evidence_ids``: of the bot's answers."""

    id: int
    role: str
    text: str
    kind: str
    at: str
    status: str
    agent: str
    turn_id: str
    confidence: float | None
    attachments: tuple[dict[str, str], ...]
    evidence_ids: tuple[str, ...]
    delivery: str
    message_id: str


@dataclass(frozen=True, slots=True)
class NoteView:
    id: int
    agent: str
    agent_name: str
    text: str
    at: str


@dataclass(frozen=True, slots=True)
class DraftView:
    """``evidence``: knowledge entries as the turn's answer shows them."""

    id: int
    turn_id: str
    text: str
    evidence: tuple[dict[str, Any], ...]
    status: str
    agent: str
    created_at: str
    decided_at: str | None


@dataclass(frozen=True, slots=True)
class HandoffView:
    id: int
    status: str
    reason: str
    priority: str
    target: str
    skill: str
    question: str
    agent: str
    agent_name: str
    previous_agent: str
    moves: int
    created_at: str
    waiting_since_ts: float
    assigned_ts: float | None
    due_ts: float | None
    first_reply_ts: float | None
    resolved_ts: float | None
    outcome: str
    rating: int | None


@dataclass(frozen=True, slots=True)
class TurnView:
    """One run of the graph. ``nodes``: its path, in order; ``quote``: money in yuan; ``answer``:
    the whole answer as it was given, with timings, risk, model calls."""

    turn_id: str
    at_ts: float
    status: str
    action: str
    decision: str
    intent: str
    confidence: float
    content: str
    nodes: tuple[str, ...]
    evidence: tuple[dict[str, Any], ...]
    quote: dict[str, Any] | None
    error: str | None
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CustomerView:
    """``name``: what to call them, never empty. ``level``: white, gray or black."""

    contact_id: str
    sender_id: str
    name: str
    level: str
    score: int
    state: str
    total_messages: int
    remark: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationView:
    """``messages`` oldest first; ``before``: row id to pass for the page before them, None where
    there is none. ``handoff``: the one that is not closed, else the last; ``earlier``: those before
    it. ``turns``: those of the shown messages, the newest last. ``orders``: open and recent ones of
    this conversation. ``mine``: the agent who asks has it. ``may``: which acts would be taken from
    this agent now: take, say, note, transfer, resolve, reopen, mode, draft."""

    conversation_id: str
    channel: str
    account: str
    mode: str
    customer: CustomerView
    messages: tuple[MessageView, ...]
    before: int | None
    handoff: HandoffView | None
    earlier: tuple[HandoffView, ...]
    notes: tuple[NoteView, ...]
    draft: DraftView | None
    orders: tuple[dict[str, Any], ...]
    turns: tuple[TurnView, ...]
    mine: bool
    may: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CannedView:
    id: int
    shortcut: str
    title: str
    text: str
    skill: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Said:
    """``message_id``: of the first row that was written; ``duplicate``: it was said before.
    ``delivery``: push, or poll where the customer fetches it."""

    message_id: str
    delivery: Literal["push", "poll"]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """The queue as a customer in it, or about to join it, sees it. ``ahead``: who is served before
    them; ``waiting``: all who wait; ``open``: somebody should be there; ``opens_ts``: when somebody
    will be, None while open, or where that is never. ``online``: agents who are at the desk."""

    ahead: int
    waiting: int
    open: bool
    opens_ts: float | None
    online: int
