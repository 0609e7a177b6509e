"""Platforms that customers write on: tokens, callbacks seen, kf accounts, quotas"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tokens()
    _callbacks()
    _kf()
    _windows()


def _tokens() -> None:
    op.create_table(
        "platform_tokens",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fetched_ts", sa.Float(), nullable=False),
        sa.Column("expires_ts", sa.Float(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_platform_tokens")),
    )


def _callbacks() -> None:
    op.create_table(
        "callbacks_seen",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at_ts", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_callbacks_seen")),
    )
    op.create_index("ix_callbacks_seen_at_ts", "callbacks_seen", ["at_ts"])


def _kf() -> None:
    op.create_table(
        "kf_accounts",
        sa.Column("open_kfid", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("drained_ts", sa.Float(), nullable=False),
        sa.Column("wanted_ts", sa.Float(), nullable=True),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("token_ts", sa.Float(), nullable=False),
        sa.Column("pulled_ts", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("open_kfid", name=op.f("pk_kf_accounts")),
    )
    op.create_index("ix_kf_accounts_wanted_ts", "kf_accounts", ["wanted_ts"])


def _windows() -> None:
    op.create_table(
        "reply_windows",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("sender_id", sa.String(), nullable=False),
        sa.Column("opened_ts", sa.Float(), nullable=False),
        sa.Column("expires_ts", sa.Float(), nullable=False),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "account", "sender_id", name=op.f("pk_reply_windows")),
    )
    op.create_index("ix_reply_windows_expires_ts", "reply_windows", ["expires_ts"])
