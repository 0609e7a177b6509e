"""SQLModel tables. Columns that seed 003 names keep its names (messages, sessions, customers).

Instants that people read are ISO 8601 text in UTC; instants that the engine computes with
(`*_ts`, `due_at`, `lease_until`) are seconds since the epoch.
"""

from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers only INTEGER keys itself


class Row(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


class Message(Row, table=True):
    """Inbox and history in one: a customer's message (role user), our reply (assistant) or what a
    person said (staff).

    ``status`` of a user row: unread, handled, dead, recalled; of the others: sent.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("channel", "account", "channel_message_id"),
        Index("idx_messages_session", "session_key"),
        Index("idx_messages_time", "received_at"),
        Index("ix_messages_conversation_id_id", "conversation_id", "id"),
        Index(
            "ix_messages_unread",
            "conversation_id",
            "id",
            sqlite_where=text("status = 'unread'"),
            postgresql_where=text("status = 'unread'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    session_key: str | None = None
    contact_id: str
    content: str = Field(sa_type=Text)
    role: str
    confidence: float | None = None
    tokens_total: int | None = None
    latency_ms: int | None = None
    rag_evidence_ids: str | None = None
    received_at: str
    channel: str
    account: str
    channel_message_id: str
    conversation_id: str
    kind: str = "text"
    event: str = ""
    attachments: str | None = Field(default=None, sa_type=Text)
    sent_ts: float = 0.0
    received_ts: float = 0.0
    route: str = "poll"
    status: str = "unread"
    turn_id: str | None = None


class Conversation(Row, table=True):
    """One thread: its lease, what is due, and the session it is in. ``mode``: bot, queued (waits
    for a person), human (a person answers), copilot (the bot drafts, a person sends).

    ``due_at`` is null when nothing is unread; ``received`` counts the customer's messages, so
    that a commit knows whether others came after its claim. ``fence`` grows with each claim; a
    commit names the fence that it was claimed with and fails if another claim came later.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index(
            "ix_conversations_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index("ix_conversations_last_active_at_id", "last_active_at", "id"),
    )

    id: str = Field(primary_key=True)
    channel: str
    account: str
    chat_id: str
    sender_id: str = Field(index=True)
    contact_id: str = Field(index=True)
    customer_name: str = ""
    name_index: str = Field(default="", sa_type=Text)
    mode: str = "bot"
    session_no: int = 0
    session_last_ts: float = 0.0
    due_at: float | None = None
    first_unread_ts: float | None = None
    received: int = 0
    lease_owner: str | None = None
    lease_until: float = 0.0
    fence: int = 0
    attempts: int = 0
    failures: int = 0
    last_error: str | None = Field(default=None, sa_type=Text)
    created_at: str
    last_active_at: str


class Session(Row, table=True):
    """A stretch of talk without a pause of 30 minutes.

    ``conversation_thread`` (the dialogue as JSON) is written once, when the session has ended, so
    that a message never costs more because the talk before it was long.
    """

    __tablename__ = "sessions"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    session_key: str = Field(unique=True)
    contact_id: str = Field(index=True)
    customer_name: str = ""
    conversation_thread: str | None = Field(default=None, sa_type=Text)
    conversation_outcome: str = "unsolved"
    satisfaction_score: int | None = None
    turn_count: int = 0
    total_tokens: int = 0
    created_at: str
    last_active_at: str = Field(index=True)
    conversation_id: str = Field(index=True)


class Customer(Row, table=True):
    """A contact, and how the person behind it stands. Several contacts may be one person:
    ``person_id`` is the contact that speaks for all, empty where that is this one, which has
    ``aliases`` others. Counters are each contact's own; level, score, state, ``pinned`` and tags
    are the person's, the same in each of their rows.

    ``level``: white, gray or black; ``pinned``: one that a person decided on; ``state``: a
    `domain.customers.State`, or ``unsubscribed``; ``state_before``: to come back to; ``tags``: JSON
    list, read from `customer_tags`. ``recent_messages``: of the last 30 days; ``positive`` of
    ``judged`` talks; ``paid`` in fen over ``deals``. ``version`` grows with each change.
    ``due_at``: when age alone may change something; null: never.
    """

    __tablename__ = "customers"
    __table_args__ = (
        Index("idx_customers_level", "level", "score"),
        Index("ix_customers_person_id", "person_id"),
        Index("ix_customers_phone_digest", "phone_digest"),
        Index("ix_customers_last_active_at_id", "last_active_at", "id"),
        Index(
            "ix_customers_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    contact_id: str = Field(unique=True)
    name: str = ""
    level: str = "gray"
    score: int = 60
    state: str = "new"
    total_messages: int = 0
    satisfaction_avg: float | None = None
    last_active_at: str
    remark: str = Field(default="", sa_type=Text)
    phone: str = Field(default="", sa_type=Text)
    address: str = Field(default="", sa_type=Text)
    name_index: str = Field(default="", sa_type=Text)
    phone_digest: str = Field(default="", sa_type=Text)
    tags: str = Field(default="[]", sa_type=Text)
    pinned: str = ""
    person_id: str = ""
    aliases: int = 0
    state_before: str = ""
    recent_messages: int = 0
    positive: int = 0
    judged: int = 0
    rated: int = 0
    rating_sum: int = 0
    paid: int = Field(default=0, sa_type=ROW_ID)
    deals: int = 0
    version: int = 1
    due_at: float | None = Field(default=0.0, sa_type=Float)


class Turn(Row, table=True):
    """A committed turn. ``result`` is the whole answer as JSON: duplicates are answered from it."""

    __tablename__ = "turns"

    turn_id: str = Field(primary_key=True)
    conversation_id: str = Field(index=True)
    status: str
    action: str
    intent: str = ""
    message_ids: str
    result: str = Field(sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)
    started_ts: float
    ended_ts: float


class OutboxMessage(Row, table=True):
    """Something to deliver. ``message_id`` is stable over every retry, so peers can dedupe.

    ``status``: pending, delivered, dead, dropped. ``queue`` orders deliveries: one conversation's
    messages share a queue, notices have one of their own each. ``task_id`` and ``task_run``: the
    firing of a task that ends with this delivery. ``max_attempts``: instead of the channel's.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_pending",
            "queue",
            "id",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_outbox_status_id", "status", "id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    message_id: str = Field(unique=True)
    queue: str
    kind: str
    channel: str
    account: str
    conversation_id: str
    turn_id: str
    payload: str = Field(sa_type=Text)
    status: str = "pending"
    attempts: int = 0
    next_attempt_at: float = 0.0
    lease_owner: str | None = None
    lease_until: float = 0.0
    last_error: str | None = Field(default=None, sa_type=Text)
    created_at: str
    delivered_at: str | None = None
    task_id: str | None = Field(default=None, index=True)
    task_run: int = 0
    max_attempts: int | None = None


class EffectRow(Row, table=True):
    """Effects that have been committed, by idempotency key (turn and effect name)."""

    __tablename__ = "effects"

    key: str = Field(primary_key=True)
    turn_id: str = Field(index=True)
    conversation_id: str
    kind: str
    payload: str = Field(sa_type=Text)
    created_at: str


class Handoff(Row, table=True):
    """A conversation waiting for, or with, a person. ``status``: open, taken, closed.

    ``skill``: whom it waits for, empty: anybody. ``waiting_since_ts``: the place in the queue, kept
    when it comes back from an agent (``moves`` counts that). ``asked_ts``: since when the customer
    waits for a person's word, null: it is the customer's turn; ``due_ts``: when that word is due,
    null: nobody has counted yet; ``overdue``: how often that passed since. ``active_ts``: the last
    word of either. ``outcome``: solved, unsolved or empty. ``rating``: the customer's, 1 to 5.
    ``mood``: of the customer when it was handed over: empty, negative or strong.
    """

    __tablename__ = "handoffs"
    __table_args__ = (
        Index(
            "uq_handoffs_active",
            "conversation_id",
            unique=True,
            sqlite_where=text("status <> 'closed'"),
            postgresql_where=text("status <> 'closed'"),
        ),
        Index("ix_handoffs_status_id", "status", "id"),
        Index("ix_handoffs_conversation_id_id", "conversation_id", "id"),
        Index(
            "ix_handoffs_taken",
            "agent",
            sqlite_where=text("status = 'taken'"),
            postgresql_where=text("status = 'taken'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    conversation_id: str
    contact_id: str
    turn_id: str
    reason: str
    priority: str = "normal"
    target: str = "desk"
    question: str = Field(default="", sa_type=Text)
    status: str = "open"
    agent: str | None = None
    created_at: str
    updated_at: str
    skill: str = ""
    waiting_since_ts: float = Field(default=0.0, sa_type=Float)
    assigned_ts: float | None = Field(default=None, sa_type=Float)
    asked_ts: float | None = Field(default=None, sa_type=Float)
    due_ts: float | None = Field(default=None, sa_type=Float)
    overdue: int = 0
    active_ts: float = Field(default=0.0, sa_type=Float)
    first_reply_ts: float | None = Field(default=None, sa_type=Float)
    moves: int = 0
    previous_agent: str = ""
    resolved_ts: float | None = Field(default=None, sa_type=Float)
    outcome: str = ""
    rating: int | None = None
    rating_asked_ts: float | None = Field(default=None, sa_type=Float)
    mood: str = ""


class UnknownQuestion(Row, table=True):
    """Seed 004: what nobody could answer yet.

    ``cluster_id``: questions of the same meaning (`storage.learning_tables`); null until the sweep
    has seen it. ``moved_from``: the cluster that a person moved or merged it out of.
    """

    __tablename__ = "unknown_questions"
    __table_args__ = (
        Index("ix_unknown_questions_cluster_id_contact_id", "cluster_id", "contact_id"),
        Index("ix_unknown_questions_conversation_id", "conversation_id"),
        Index(
            "ix_unknown_questions_unassigned",
            "id",
            sqlite_where=text("cluster_id IS NULL"),
            postgresql_where=text("cluster_id IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    content: str = Field(sa_type=Text)
    contact_id: str
    conversation_id: str
    confidence: float
    created_at: str
    cluster_id: int | None = Field(default=None, sa_type=ROW_ID)
    moved_from: int | None = Field(default=None, sa_type=ROW_ID)


class ModelCallRow(Row, table=True):
    __tablename__ = "model_calls"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    turn_id: str = Field(index=True)
    provider: str
    model: str
    purpose: str
    outcome: str
    status: int | None = None
    attempt: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_estimated: bool = False
    latency_ms: int = 0
    cost: float | None = None
    currency: str = ""
    error: str | None = None
    created_at: str = Field(index=True)


class DeadLetter(Row, table=True):
    """Messages whose turn kept failing. ``status``: parked, replayed."""

    __tablename__ = "dead_letters"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    conversation_id: str = Field(index=True)
    message_ids: str
    error: str = Field(sa_type=Text)
    attempts: int
    status: str = "parked"
    created_at: str
    replayed_at: str | None = None


class AuditEntry(Row, table=True):
    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_actor_id", "actor", "id"),
        Index("ix_audit_action_id", "action", "id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    at: str = Field(index=True)
    actor: str
    action: str
    subject: str = Field(index=True)
    detail: str = Field(default="{}", sa_type=Text)


class CheckpointRow(Row, table=True):
    """A LangGraph checkpoint, stored whole: state is small and bounded."""

    __tablename__ = "checkpoints"

    thread_id: str = Field(primary_key=True)
    checkpoint_ns: str = Field(primary_key=True)
    checkpoint_id: str = Field(primary_key=True)
    parent_id: str | None = None
    kind: str
    body: bytes = Field(sa_type=LargeBinary)
    meta: bytes = Field(sa_type=LargeBinary)
    writes: int = 0


class CheckpointWriteRow(Row, table=True):
    __tablename__ = "checkpoint_writes"

    thread_id: str = Field(primary_key=True)
    checkpoint_ns: str = Field(primary_key=True)
    checkpoint_id: str = Field(primary_key=True)
    task_id: str = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    channel: str
    kind: str
    value: bytes = Field(sa_type=LargeBinary)
    task_path: str = ""
