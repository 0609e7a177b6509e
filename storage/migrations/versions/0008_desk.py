"""The human desk: agents, notes, canned replies, drafts, events, and the clocks of hand-overs"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PENDING = sa.text("status = 'pending'")
TAKEN = sa.text("status = 'taken'")


def upgrade() -> None:
    _agents()
    _texts()
    _drafts()
    _events()
    _handoffs()


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("skills", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("max_load", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("seen_ts", sa.Float(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_ts", sa.Float(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_table(
        "agent_sessions",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("created_ts", sa.Float(), nullable=False),
        sa.Column("seen_ts", sa.Float(), nullable=False),
        sa.Column("expires_ts", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_agent_sessions")),
    )
    op.create_index("ix_agent_sessions_agent_id", "agent_sessions", ["agent_id"])
    op.create_index("ix_agent_sessions_expires_ts", "agent_sessions", ["expires_ts"])


def _texts() -> None:
    op.create_table(
        "desk_notes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_notes")),
    )
    op.create_index("ix_desk_notes_conversation_id_id", "desk_notes", ["conversation_id", "id"])
    op.create_table(
        "canned_replies",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("shortcut", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("skill", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canned_replies")),
        sa.UniqueConstraint("shortcut", name=op.f("uq_canned_replies_shortcut")),
    )


def _drafts() -> None:
    op.create_table(
        "desk_drafts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("decided_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_drafts")),
    )
    op.create_index(
        "uq_desk_drafts_pending",
        "desk_drafts",
        ["conversation_id"],
        unique=True,
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_index("ix_desk_drafts_conversation_id_id", "desk_drafts", ["conversation_id", "id"])


def _events() -> None:
    op.create_table(
        "desk_events",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at_ts", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_events")),
    )
    op.create_index("ix_desk_events_at_ts", "desk_events", ["at_ts"])
    watch = op.create_table(
        "desk_watch",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_desk_watch")),
    )
    op.bulk_insert(watch, [{"name": "desk", "lease_owner": None, "lease_until": 0.0}])


def _handoffs() -> None:
    for column in (
        _filled("skill", sa.String(), "''"),
        _filled("waiting_since_ts", sa.Float(), "0"),
        sa.Column("assigned_ts", sa.Float(), nullable=True),
        sa.Column("asked_ts", sa.Float(), nullable=True),
        sa.Column("due_ts", sa.Float(), nullable=True),
        _filled("overdue", sa.Integer(), "0"),
        _filled("active_ts", sa.Float(), "0"),
        sa.Column("first_reply_ts", sa.Float(), nullable=True),
        _filled("moves", sa.Integer(), "0"),
        _filled("previous_agent", sa.String(), "''"),
        sa.Column("resolved_ts", sa.Float(), nullable=True),
        _filled("outcome", sa.String(), "''"),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("rating_asked_ts", sa.Float(), nullable=True),
    ):
        op.add_column("handoffs", column)
    op.create_index("ix_handoffs_conversation_id_id", "handoffs", ["conversation_id", "id"])
    op.create_index(
        "ix_handoffs_taken",
        "handoffs",
        ["agent"],
        sqlite_where=TAKEN,
        postgresql_where=TAKEN,
    )
    _keep_places()


def _keep_places() -> None:
    """Who waits already has waited since the row was made."""
    connection = op.get_bind()
    found = connection.execute(
        sa.text("SELECT id, created_at, updated_at FROM handoffs WHERE status <> 'closed'")
    ).all()
    for row in found:
        connection.execute(
            sa.text(
                "UPDATE handoffs SET waiting_since_ts = :since, active_ts = :at WHERE id = :id"
            ),
            {"since": _seconds(row[1]), "at": _seconds(row[2]), "id": row[0]},
        )
    op.execute(
        "UPDATE conversations SET mode = 'queued' WHERE mode = 'bot' AND id IN"
        " (SELECT conversation_id FROM handoffs WHERE status = 'open' AND target = 'desk')"
    )


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _filled(name: str, kind: Any, default: str) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text(default))
