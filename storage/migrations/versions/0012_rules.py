"""Rules: conditions and actions, their versions; how a customer feels who waits for a person"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule_versions",
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rule_versions")),
    )
    op.create_table(
        "rule_firings",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("rule_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("at_ts", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "rule_id", name=op.f("pk_rule_firings")),
    )
    op.create_index("ix_rule_firings_at_ts", "rule_firings", ["at_ts"])
    op.create_index("ix_rule_firings_rule_id_at_ts", "rule_firings", ["rule_id", "at_ts"])
    op.add_column("handoffs", sa.Column("mood", sa.String(), nullable=False, server_default=""))
