"""Clusters of unknown questions and learned knowledge"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _clusters()
    _suggestions()
    op.add_column("unknown_questions", sa.Column("cluster_id", ROW_ID, nullable=True))
    op.add_column("unknown_questions", sa.Column("moved_from", ROW_ID, nullable=True))
    op.create_index(
        "ix_unknown_questions_cluster_id_contact_id",
        "unknown_questions",
        ["cluster_id", "contact_id"],
    )
    op.create_index(
        "ix_unknown_questions_conversation_id", "unknown_questions", ["conversation_id"]
    )
    unassigned = sa.text("cluster_id IS NULL")
    op.create_index(
        "ix_unknown_questions_unassigned",
        "unknown_questions",
        ["id"],
        sqlite_where=unassigned,
        postgresql_where=unassigned,
    )


def _clusters() -> None:
    op.create_table(
        "question_clusters",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("representative", sa.Text(), nullable=False),
        sa.Column("wordings", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.String(), nullable=False),
        sa.Column("last_at", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("merged_into", ROW_ID, nullable=True),
        sa.Column("revision", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question_clusters")),
    )
    op.create_index(
        "ix_question_clusters_state_count", "question_clusters", ["state", "count", "id"]
    )
    op.create_index(
        "ix_question_clusters_state_last_at", "question_clusters", ["state", "last_at", "id"]
    )
    op.create_index("ix_question_clusters_revision", "question_clusters", ["revision"])
    revision_table = op.create_table(
        "learning_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learning_revision")),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])


def _suggestions() -> None:
    op.create_table(
        "learned_knowledge",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("source_session", sa.String(), nullable=False),
        sa.Column("auto_approved", sa.Integer(), nullable=False),
        sa.Column("useful_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("answered_by", sa.String(), nullable=False),
        sa.Column("satisfaction", sa.Float(), nullable=True),
        sa.Column("given", sa.Float(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("wordings", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cluster_id", ROW_ID, nullable=True),
        sa.Column("entry_id", sa.String(), nullable=True),
        sa.Column("version_id", ROW_ID, nullable=True),
        sa.Column("reviewed_by", sa.String(), nullable=False),
        sa.Column("reviewed_at", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("question_key", sa.String(), nullable=False),
        sa.Column("answer_key", sa.String(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("busy", sa.String(), nullable=False),
        sa.Column("busy_by", sa.String(), nullable=False),
        sa.Column("busy_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learned_knowledge")),
    )
    name = "learned_knowledge"
    op.create_index(f"uq_{name}_pair", name, ["question_key", "answer_key"], unique=True)
    op.create_index(f"ix_{name}_answer_key", name, ["answer_key"])
    op.create_index(f"ix_{name}_state_id", name, ["state", "id"])
    op.create_index(f"ix_{name}_cluster_id", name, ["cluster_id"])
    op.create_index(f"ix_{name}_entry_id", name, ["entry_id"])
    busy = sa.text("busy <> ''")
    op.create_index(
        f"ix_{name}_busy", name, ["busy_until"], sqlite_where=busy, postgresql_where=busy
    )
    op.create_table(
        "learned_sightings",
        sa.Column("suggestion_id", ROW_ID, nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("answered_by", sa.String(), nullable=False),
        sa.Column("seen_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "suggestion_id", "conversation_id", name=op.f("pk_learned_sightings")
        ),
    )


def downgrade() -> None:
    op.drop_table("learned_sightings")
    op.drop_table("learned_knowledge")
    op.drop_index("ix_unknown_questions_unassigned", "unknown_questions")
    op.drop_index("ix_unknown_questions_conversation_id", "unknown_questions")
    op.drop_index("ix_unknown_questions_cluster_id_contact_id", "unknown_questions")
    with op.batch_alter_table("unknown_questions") as batch:
        batch.drop_column("moved_from")
        batch.drop_column("cluster_id")
    op.drop_table("learning_revision")
    op.drop_table("question_clusters")
