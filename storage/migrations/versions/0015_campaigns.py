"""Campaigns: proactive messages, and whom they went to"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("starts_ts", sa.Float(), nullable=False),
        sa.Column("ends_ts", sa.Float(), nullable=True),
        sa.Column("cursor", ROW_ID, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.Column("started_at", sa.String(), nullable=True),
        sa.Column("ended_at", sa.String(), nullable=True),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_campaigns_due", "campaigns", ["due_at"], sqlite_where=due, postgresql_where=due
    )
    op.create_table(
        "campaign_people",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("campaign_id", ROW_ID, nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("sent_ts", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_people")),
        sa.UniqueConstraint(
            "campaign_id", "contact_id", name=op.f("uq_campaign_people_campaign_id_contact_id")
        ),
    )
    op.create_index(
        "ix_campaign_people_campaign_id_status_id",
        "campaign_people",
        ["campaign_id", "status", "id"],
    )
    op.create_index(
        "ix_campaign_people_contact_id_sent_ts", "campaign_people", ["contact_id", "sent_ts"]
    )
