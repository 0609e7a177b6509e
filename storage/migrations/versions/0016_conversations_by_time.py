"""All conversations by time: a page of the console's list reads as many as it shows."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_conversations_last_active_at_id", "conversations", ["last_active_at", "id"])
