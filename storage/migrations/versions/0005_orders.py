"""Pictures, orders for work on them, dispatch and approvals"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _orders()
    _pictures()
    _dispatches()
    _approvals()


def _orders() -> None:
    texts = {"workflow": "design", "service": "", "priority": "normal"}
    lists = ("pictures", "tried", "deliverables")
    for name, default in texts.items():
        op.add_column(
            "image_tasks", sa.Column(name, sa.String(), nullable=False, server_default=default)
        )
    for name in lists:
        op.add_column(
            "image_tasks", sa.Column(name, sa.Text(), nullable=False, server_default="[]")
        )
    for column in (
        sa.Column("quote", sa.Text(), nullable=True),
        sa.Column("designer", sa.String(), nullable=True),
        sa.Column("deadline_ts", sa.Float(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False, server_default="0"),
    ):
        op.add_column("image_tasks", column)
    op.execute("UPDATE image_tasks SET status = 'draft' WHERE status = 'open'")
    op.create_index("ix_image_tasks_conversation_id_id", "image_tasks", ["conversation_id", "id"])
    op.create_index("ix_image_tasks_status_id", "image_tasks", ["status", "id"])
    _due_index("image_tasks")
    op.create_table(
        "image_task_events",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_task_events")),
    )
    op.create_index("ix_image_task_events_order_id_id", "image_task_events", ["order_id", "id"])


def _due_index(table: str) -> None:
    due = sa.text("due_at IS NOT NULL")
    op.create_index(f"ix_{table}_due", table, ["due_at"], sqlite_where=due, postgresql_where=due)


def _pictures() -> None:
    op.create_table(
        "pictures",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("last_used_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_pictures")),
    )
    op.create_index("ix_pictures_last_used_at", "pictures", ["last_used_at"])
    op.create_table(
        "picture_sources",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("fetched_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_picture_sources")),
    )
    op.create_index("ix_picture_sources_sha256", "picture_sources", ["sha256"])


def _dispatches() -> None:
    op.create_table(
        "dispatches",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("order_id", ROW_ID, nullable=True),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("task_type", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("wanted_designer", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("tuhui_task_id", sa.String(), nullable=True),
        sa.Column("designer", sa.String(), nullable=True),
        sa.Column("refused_by", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("assigned_ts", sa.Float(), nullable=True),
        sa.Column("told_waiting", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("task_run", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatches")),
        sa.UniqueConstraint("key", name=op.f("uq_dispatches_key")),
    )
    op.create_index("ix_dispatches_order_id", "dispatches", ["order_id"])
    _due_index("dispatches")


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("expires_ts", sa.Float(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("decided_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    pending = sa.text("status = 'pending'")
    op.create_index(
        "uq_approvals_pending",
        "approvals",
        ["conversation_id"],
        unique=True,
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_index("ix_approvals_status_id", "approvals", ["status", "id"])
