"""Index of open orders by conversation: each turn asks whether there are any"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = sa.text("status NOT IN ('accepted', 'cancelled', 'declined')")


def upgrade() -> None:
    op.create_index(
        "ix_image_tasks_open",
        "image_tasks",
        ["conversation_id"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
