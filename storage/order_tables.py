"""Tables of pictures, orders for work on them, their dispatch, and approvals of quotes."""

from sqlalchemy import Float, Index, Text, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class Picture(Row, table=True):
    """A picture in the content-addressed store. ``facts``: a PictureFacts as JSON."""

    __tablename__ = "pictures"

    sha256: str = Field(primary_key=True)
    size_bytes: int
    format: str
    facts: str = Field(sa_type=Text)
    created_at: str
    last_used_at: str = Field(index=True)


class PictureSource(Row, table=True):
    """Where a picture came from: an address that was fetched, or an upload's name."""

    __tablename__ = "picture_sources"

    source: str = Field(primary_key=True)
    sha256: str = Field(index=True)
    fetched_at: str


class OrderEvent(Row, table=True):
    """What happened to an order. ``kind``: created, amended, quoted, confirmed, status, note, told,
    tried; ``detail``: JSON."""

    __tablename__ = "image_task_events"
    __table_args__ = (Index("ix_image_task_events_order_id_id", "order_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    order_id: int = Field(sa_type=ROW_ID)
    at: str
    actor: str
    kind: str
    detail: str = Field(default="{}", sa_type=Text)


class Dispatch(Row, table=True):
    """Handing work to a designer, a saga whose state is this row.

    ``step``: wanted (nothing is done yet), created (Tuhui has the task), assigned, notified, told,
    done, failed, cancelled. ``due_at``: when the next step may be tried; null where none is to be
    made. ``task_id``, ``task_run``: the firing of a Tianwang task that waits for it.
    """

    __tablename__ = "dispatches"
    __table_args__ = (
        Index(
            "ix_dispatches_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index("ix_dispatches_order_id", "order_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    key: str = Field(unique=True)
    order_id: int | None = Field(default=None, sa_type=ROW_ID)
    conversation_id: str = ""
    contact_id: str = ""
    title: str
    description: str = Field(sa_type=Text)
    task_type: str
    priority: int = 2
    wanted_designer: str = ""
    step: str = "wanted"
    tuhui_task_id: str | None = None
    designer: str | None = None
    refused_by: str = Field(default="[]", sa_type=Text)
    attempts: int = 0
    assigned_ts: float | None = Field(default=None, sa_type=Float)
    told_waiting: bool = False
    due_at: float | None = Field(default=None, sa_type=Float)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)
    last_error: str | None = Field(default=None, sa_type=Text)
    task_id: str | None = None
    task_run: int = 0
    created_at: str
    updated_at: str


class Approval(Row, table=True):
    """A quote that a person has to approve. ``status``: pending, approved, edited, rejected,
    expired, superseded."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index(
            "uq_approvals_pending",
            "conversation_id",
            unique=True,
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_approvals_status_id", "status", "id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    conversation_id: str
    turn_id: str
    contact_id: str
    quote: str = Field(sa_type=Text)
    reasons: str = Field(default="[]", sa_type=Text)
    request: str = Field(default="", sa_type=Text)
    status: str = "pending"
    decided_by: str | None = None
    note: str = Field(default="", sa_type=Text)
    expires_ts: float = Field(sa_type=Float)
    created_at: str
    decided_at: str | None = None
