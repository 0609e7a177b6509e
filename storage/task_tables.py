"""Tables of tasks and of what tools leave behind."""

from sqlalchemy import Float, Index, Text, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class Task(Row, table=True):
    """Seed 000's table and its columns, then ours. Its ``*_at`` are local times without a zone, as
    the seed prints them; ``*_ts`` and ``due_at`` are seconds since the epoch.

    ``due_at``: when this task wants something by itself (its time, its expiry, the next attempt);
    null when it has ended or waits for a delivery. ``watch_no``: numbers what messages may fire, in
    the order in which it became visible; 0 for what no message fires. ``run_no`` grows with each
    firing, ``event_no`` with each callback. ``waiting``: deliveries of this run that are under way.
    ``body``: the order as it was received (JSON); ``cause``: what fired it (JSON).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "ix_tasks_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_tasks_watched",
            "watch_no",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_tasks_adrift",
            "task_id",
            sqlite_where=text("status = 'pending' AND due_at IS NULL"),
            postgresql_where=text("status = 'pending' AND due_at IS NULL"),
        ),
        Index("ix_tasks_created_ts", "created_ts", "task_id"),
        Index("ix_tasks_status_created_ts", "status", "created_ts", "task_id"),
        Index("ix_tasks_customer_id_created_ts", "customer_id", "created_ts", "task_id"),
    )

    task_id: str = Field(primary_key=True)
    specified_customer_id: str | None = None
    specified_customer_name: str | None = None
    type: str
    customer_name: str | None = None
    customer_id: str | None = None
    trigger_type: str | None = None
    trigger_keyword: str | None = None
    trigger_keywords: str | None = Field(default=None, sa_type=Text)
    action_type: str | None = None
    action_file_url: str | None = None
    action_message: str | None = Field(default=None, sa_type=Text)
    priority: str = "normal"
    timeout_hours: float = Field(default=24, sa_type=Float)
    status: str = "pending"
    retry_count: int = 0
    max_retry: int = 3
    created_at: str | None = None
    created_by: str | None = None
    triggered_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)
    result: str | None = Field(default=None, sa_type=Text)
    body: str = Field(sa_type=Text)
    source: str = "tianwang"
    created_ts: float = Field(sa_type=Float)
    due_at: float | None = Field(default=None, sa_type=Float)
    watch_no: int = Field(default=0, sa_type=ROW_ID)
    run_no: int = 0
    event_no: int = 0
    waiting: int = 0
    cause: str | None = Field(default=None, sa_type=Text)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)


class Counter(Row, table=True):
    """Numbers that grow in the order of commits: who takes one holds the row until it commits."""

    __tablename__ = "counters"

    name: str = Field(primary_key=True)
    value: int = Field(default=0, sa_type=ROW_ID)


class ToolCallRow(Row, table=True):
    """Calls of tools from outside that brought a key of their own, and what they were answered."""

    __tablename__ = "tool_calls"

    key: str = Field(primary_key=True)
    tool: str
    caller: str
    arguments_hash: str
    answer: str = Field(sa_type=Text)
    created_at: str = Field(index=True)


class CustomerTag(Row, table=True):
    __tablename__ = "customer_tags"

    contact_id: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    added_by: str
    created_at: str


OPEN_ORDER = "status NOT IN ('accepted', 'cancelled', 'declined')"
"""A query that says the same words uses the index of open orders."""


class ImageTask(Row, table=True):
    """An order for work on pictures. ``status``: a `domain.orders.OrderStatus`, ``workflow`` a
    `domain.orders.Workflow`; ``images``: addresses as a JSON list, ``pictures``: their sha256;
    ``quote``: a Quote as JSON; ``tried``: what was tried before a designer got it;
    ``deliverables``: sha256 or addresses. ``version`` grows with each change. ``due_at``: when the
    runner has to look.
    """

    __tablename__ = "image_tasks"
    __table_args__ = (
        Index("ix_image_tasks_contact_id_id", "contact_id", "id"),
        Index("ix_image_tasks_conversation_id_id", "conversation_id", "id"),
        Index("ix_image_tasks_status_id", "status", "id"),
        Index(
            "ix_image_tasks_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_image_tasks_open",
            "conversation_id",
            sqlite_where=text(OPEN_ORDER),
            postgresql_where=text(OPEN_ORDER),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    key: str = Field(unique=True)
    contact_id: str
    conversation_id: str
    title: str
    requirement: str = Field(sa_type=Text)
    images: str = Field(default="[]", sa_type=Text)
    status: str = "draft"
    created_at: str
    updated_at: str
    workflow: str = "design"
    service: str = ""
    quote: str | None = Field(default=None, sa_type=Text)
    pictures: str = Field(default="[]", sa_type=Text)
    tried: str = Field(default="[]", sa_type=Text)
    deliverables: str = Field(default="[]", sa_type=Text)
    designer: str | None = None
    priority: str = "normal"
    deadline_ts: float | None = Field(default=None, sa_type=Float)
    version: int = 1
    attempts: int = 0
    due_at: float | None = Field(default=None, sa_type=Float)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)
