"""Access of clients: keys, heartbeats, guesses at keys; the audit log by actor and action"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _clients()
    op.create_table(
        "heartbeats",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seen_ts", sa.Float(), nullable=False),
        sa.Column("offline_ts", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_heartbeats")),
    )
    op.create_index("ix_heartbeats_seen_ts", "heartbeats", ["seen_ts"])
    op.create_table(
        "sign_in_failures",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_ts", sa.Float(), nullable=False),
        sa.Column("seen_ts", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_failures")),
    )
    op.create_index("ix_sign_in_failures_seen_ts", "sign_in_failures", ["seen_ts"])
    op.create_table(
        "watches",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watches")),
    )
    op.create_index("ix_audit_actor_id", "audit", ["actor", "id"])
    op.create_index("ix_audit_action_id", "audit", ["action", "id"])


def _clients() -> None:
    op.create_table(
        "clients",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_clients")),
    )
    op.create_table(
        "client_keys",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("expires_ts", sa.Float(), nullable=True),
        sa.Column("revoked_ts", sa.Float(), nullable=True),
        sa.Column("used_ts", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_client_keys_digest")),
    )
    op.create_index("ix_client_keys_agent_id", "client_keys", ["agent_id"])
