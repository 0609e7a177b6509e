"""Tables of learning: clusters of unknown questions, and what people's answers taught."""

from sqlalchemy import Index, Text, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class QuestionCluster(Row, table=True):
    """Unknown questions of one meaning. ``state``: open, answered, dismissed.

    ``wordings``: JSON list, bounded, without personal data. ``missed``: questions that came after
    the answer. ``reason`` of a dismissed one: a person's words, ``expired`` or ``merged`` (then
    ``merged_into`` says where its questions are).
    """

    __tablename__ = "question_clusters"
    __table_args__ = (
        Index("ix_question_clusters_state_count", "state", "count", "id"),
        Index("ix_question_clusters_state_last_at", "state", "last_at", "id"),
        Index("ix_question_clusters_revision", "revision"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    state: str = "open"
    representative: str = Field(sa_type=Text)
    wordings: str = Field(default="[]", sa_type=Text)
    count: int = 0
    customers: int = 0
    missed: int = 0
    first_at: str
    last_at: str
    entry_id: str | None = None
    reason: str = Field(default="", sa_type=Text)
    merged_into: int | None = Field(default=None, sa_type=ROW_ID)
    revision: int = Field(default=0, sa_type=ROW_ID)


class LearningRevision(Row, table=True):
    """One row: numbers the changes of the clusters. A cluster bears the number of its last one, so
    that what was computed from older clusters is not written, and only the changed are read again.
    """

    __tablename__ = "learning_revision"

    id: int = Field(default=1, primary_key=True)
    revision: int = Field(default=0, sa_type=ROW_ID)


class LearnedKnowledge(Row, table=True):
    """Seed 003's table and its columns, then ours. One question and its answer, suggested.

    ``state``: pending, approved, rejected, dropped, undone. ``busy`` names the act that somebody
    (``busy_by``) began and has until ``busy_until`` to finish; ``target`` is the entry that it
    writes, ``previous`` what that entry was before (both JSON). ``question_key`` and ``answer_key``
    are what equal pairs share.
    """

    __tablename__ = "learned_knowledge"
    __table_args__ = (
        Index("uq_learned_knowledge_pair", "question_key", "answer_key", unique=True),
        Index("ix_learned_knowledge_answer_key", "answer_key"),
        Index("ix_learned_knowledge_state_id", "state", "id"),
        Index("ix_learned_knowledge_cluster_id", "cluster_id"),
        Index("ix_learned_knowledge_entry_id", "entry_id"),
        Index(
            "ix_learned_knowledge_busy",
            "busy_until",
            sqlite_where=text("busy <> ''"),
            postgresql_where=text("busy <> ''"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    question: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)
    confidence: float
    type: str = ""
    source_session: str = ""
    auto_approved: int = 0
    useful_count: int = 0
    created_at: str
    state: str = "pending"
    source: str
    answered_by: str
    satisfaction: float | None = None
    given: float | None = None
    count: int = 0
    wordings: str = Field(default="[]", sa_type=Text)
    flags: str = Field(default="[]", sa_type=Text)
    reason: str = Field(default="", sa_type=Text)
    cluster_id: int | None = Field(default=None, sa_type=ROW_ID)
    entry_id: str | None = None
    version_id: int | None = Field(default=None, sa_type=ROW_ID)
    reviewed_by: str = ""
    reviewed_at: str | None = None
    attempt: int = 0
    question_key: str
    answer_key: str
    target: str | None = Field(default=None, sa_type=Text)
    previous: str | None = Field(default=None, sa_type=Text)
    busy: str = ""
    busy_by: str = ""
    busy_until: float = 0.0


class LearnedSighting(Row, table=True):
    """Who gave a suggestion's answer where: each conversation counts once."""

    __tablename__ = "learned_sightings"

    suggestion_id: int = Field(primary_key=True, sa_type=ROW_ID)
    conversation_id: str = Field(primary_key=True)
    answered_by: str
    seen_at: str
