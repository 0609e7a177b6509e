"""Protected fields and retention"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (
        ("customers", "name_index"),
        ("customers", "phone_digest"),
        ("conversations", "name_index"),
    ):
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_customers_phone_digest", "customers", ["phone_digest"])
    op.create_table(
        "field_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("resealed", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_keys")),
    )
