"""Tasks, and what tools leave behind"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _tasks()
    _left_by_tools()
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('task_watch', 0)")
    op.add_column("customers", sa.Column("remark", sa.Text(), nullable=False, server_default=""))
    op.add_column("messages", sa.Column("event", sa.String(), nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("task_id", sa.String(), nullable=True))
    op.add_column("outbox", sa.Column("task_run", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("max_attempts", sa.Integer(), nullable=True))
    op.create_index("ix_outbox_task_id", "outbox", ["task_id"])
    op.create_index("ix_conversations_sender_id", "conversations", ["sender_id"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("specified_customer_id", sa.String(), nullable=True),
        sa.Column("specified_customer_name", sa.String(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("customer_name", sa.String(), nullable=True),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("trigger_type", sa.String(), nullable=True),
        sa.Column("trigger_keyword", sa.String(), nullable=True),
        sa.Column("trigger_keywords", sa.Text(), nullable=True),
        sa.Column("action_type", sa.String(), nullable=True),
        sa.Column("action_file_url", sa.String(), nullable=True),
        sa.Column("action_message", sa.Text(), nullable=True),
        sa.Column("priority", sa.String(), nullable=False, server_default="normal"),
        sa.Column("timeout_hours", sa.Float(), nullable=False, server_default="24"),
        sa.Column("status", sa.String(), nullable=False, server_default="pending"),
        sa.Column("retry_count", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("max_retry", sa.Integer(), nullable=False, server_default="3"),
        sa.Column("created_at", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("triggered_at", sa.String(), nullable=True),
        sa.Column("completed_at", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("created_ts", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("watch_no", ROW_ID, nullable=False),
        sa.Column("run_no", sa.Integer(), nullable=False),
        sa.Column("event_no", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
    )
    _partial_index("ix_tasks_due", ["due_at"], "due_at IS NOT NULL")
    _partial_index("ix_tasks_watched", ["watch_no"], "status = 'pending'")
    _partial_index("ix_tasks_adrift", ["task_id"], "status = 'pending' AND due_at IS NULL")
    op.create_index("ix_tasks_created_ts", "tasks", ["created_ts", "task_id"])
    op.create_index("ix_tasks_status_created_ts", "tasks", ["status", "created_ts", "task_id"])
    op.create_index(
        "ix_tasks_customer_id_created_ts", "tasks", ["customer_id", "created_ts", "task_id"]
    )


def _partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "tasks", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _left_by_tools() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("arguments_hash", sa.String(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tool_calls")),
    )
    op.create_index("ix_tool_calls_created_at", "tool_calls", ["created_at"])
    op.create_table(
        "customer_tags",
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("contact_id", "tag", name=op.f("pk_customer_tags")),
    )
    op.create_table(
        "image_tasks",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("requirement", sa.Text(), nullable=False),
        sa.Column("images", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_tasks")),
        sa.UniqueConstraint("key", name=op.f("uq_image_tasks_key")),
    )
    op.create_index("ix_image_tasks_contact_id_id", "image_tasks", ["contact_id", "id"])
