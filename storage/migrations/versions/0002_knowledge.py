"""The knowledge base as rows"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "knowledge_entries",
        sa.Column("id", sa.String(), nullable=False),
        *_content(),
        sa.Column("useful_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_entries")),
    )
    op.create_index(
        "ix_knowledge_entries_category_document_id",
        "knowledge_entries",
        ["category", "document", "id"],
    )
    op.create_index("ix_knowledge_entries_document_id", "knowledge_entries", ["document", "id"])

    op.create_table(
        "knowledge_versions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_versions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_knowledge_versions_open",
        "knowledge_versions",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )

    op.create_table(
        "knowledge_changes",
        sa.Column("revision", ROW_ID, nullable=False),
        sa.Column("version_id", ROW_ID, nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_knowledge_changes")),
        sa.UniqueConstraint(
            "version_id", "entry_id", name=op.f("uq_knowledge_changes_version_id_entry_id")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_knowledge_changes_entry_id_revision", "knowledge_changes", ["entry_id", "revision"]
    )

    op.create_table(
        "knowledge_staged",
        sa.Column("version_id", ROW_ID, nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("effect", sa.String(), nullable=False),
        *_content(),
        sa.Column("useful_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("version_id", "entry_id", name=op.f("pk_knowledge_staged")),
        # What is lost with a crash is staged again by the next import.
        prefixes=["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else [],
    )
    op.create_index(
        "ix_knowledge_staged_version_id_effect",
        "knowledge_staged",
        ["version_id", "effect", "entry_id"],
    )

    op.create_table(
        "knowledge_jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.Column("version_id", ROW_ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_jobs")),
    )
    op.create_index("ix_knowledge_jobs_created_at", "knowledge_jobs", ["created_at"])


def _content() -> list["sa.Column[str]"]:
    return [
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
    ]


def downgrade() -> None:
    for table in (
        "knowledge_jobs",
        "knowledge_staged",
        "knowledge_changes",
        "knowledge_versions",
        "knowledge_entries",
    ):
        op.drop_table(table)
