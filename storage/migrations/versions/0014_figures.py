"""Figures by day, alerts, processes"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEYS = ("span", "slot")


def upgrade() -> None:
    _figures()
    _alerts()
    op.create_table(
        "processes",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_ts", sa.Float(), nullable=False),
        sa.Column("seen_ts", sa.Float(), nullable=False),
        sa.Column("readings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_processes")),
    )
    op.create_index("ix_processes_seen_ts", "processes", ["seen_ts"])


def _figures() -> None:
    counts = (
        *("messages", "turns", "failed", "answers", "response_ms", "slow", "solved", "unsolved"),
        *("transferred", "handoffs", "positive", "negative", "tokens_in", "tokens_out", "waits"),
        *("wait_ms", "ratings", "rating_sum"),
    )
    _sums("figures", ("channel", "tier", "intent"), counts, "confidence")
    model_counts = ("calls", "failed", "latency_ms", "tokens_in", "tokens_out")
    _sums("model_figures", ("provider", "currency"), model_counts, "cost")


def _sums(table: str, by: tuple[str, ...], counts: tuple[str, ...], amount: str) -> None:
    op.create_table(
        table,
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in by),
        sa.Column("shard", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column(amount, sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEYS, *by, "shard", name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_slot", table, ["slot"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since_ts", sa.Float(), nullable=False),
        sa.Column("calm_ts", sa.Float(), nullable=True),
        sa.Column("fired_ts", sa.Float(), nullable=True),
        sa.Column("resolved_ts", sa.Float(), nullable=True),
        sa.Column("fires", sa.Integer(), nullable=False),
        sa.Column("checked_ts", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alerts")),
    )
    op.create_table(
        "alert_events",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("at_ts", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
    )
    op.create_index("ix_alert_events_at_ts", "alert_events", ["at_ts"])
