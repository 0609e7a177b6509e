"""Tables of the knowledge base: entries, versions with what each changed, imports under way.

``aliases``, ``tags``, ``before``, ``summary`` and ``failures`` are JSON text.
"""

from sqlalchemy import Index, Text, UniqueConstraint, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class KnowledgeEntry(Row, table=True):
    """What the base says now. The vector and keyword sides follow it by `knowledge_changes`."""

    __tablename__ = "knowledge_entries"
    __table_args__ = (
        Index("ix_knowledge_entries_category_document_id", "category", "document", "id"),
        Index("ix_knowledge_entries_document_id", "document", "id"),
    )

    id: str = Field(primary_key=True)
    question: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)
    aliases: str = Field(default="[]", sa_type=Text)
    category: str = ""
    tags: str = Field(default="[]", sa_type=Text)
    source: str = ""
    document: str = ""
    position: str = ""
    content_hash: str
    useful_count: int = 0
    created_at: str
    updated_at: str


class KnowledgeVersion(Row, table=True):
    """One committed change of the base (state done), numbered in the order of the commits.

    An import under way is a row in state open: there is at most one, its id is negative and goes
    with it, and it belongs to ``owner`` until ``lease_until``.
    """

    __tablename__ = "knowledge_versions"
    __table_args__ = (
        Index(
            "uq_knowledge_versions_open",
            "state",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        # Negative ids of open versions must not become the largest id + 1.
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    kind: str
    by: str = ""
    note: str = Field(default="", sa_type=Text)
    state: str = "done"
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    owner: str | None = None
    lease_until: float = 0.0
    created_at: str


class KnowledgeChange(Row, table=True):
    """``version_id`` changed ``entry_id``, which was ``before`` (null: it was not there)."""

    __tablename__ = "knowledge_changes"
    __table_args__ = (
        UniqueConstraint("version_id", "entry_id"),
        Index("ix_knowledge_changes_entry_id_revision", "entry_id", "revision"),
        {"sqlite_autoincrement": True},
    )

    revision: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    version_id: int = Field(sa_type=ROW_ID)
    entry_id: str
    before: str | None = Field(default=None, sa_type=Text)


class KnowledgeStaged(Row, table=True):
    """What an open version will do to an entry. ``effect``: added, updated, removed.

    Columns, and ``before`` ready made: the committing unit only copies.
    """

    __tablename__ = "knowledge_staged"
    __table_args__ = (
        Index("ix_knowledge_staged_version_id_effect", "version_id", "effect", "entry_id"),
    )

    version_id: int = Field(primary_key=True, sa_type=ROW_ID)
    entry_id: str = Field(primary_key=True)
    effect: str
    question: str = Field(default="", sa_type=Text)
    answer: str = Field(default="", sa_type=Text)
    aliases: str = Field(default="[]", sa_type=Text)
    category: str = ""
    tags: str = Field(default="[]", sa_type=Text)
    source: str = ""
    document: str = ""
    position: str = ""
    content_hash: str = ""
    useful_count: int = 0
    created_at: str = ""
    before: str | None = Field(default=None, sa_type=Text)


class KnowledgeJob(Row, table=True):
    """An import that somebody watches. ``updated_at`` is its heartbeat.

    ``state``: queued, running, done, failed; readers make interrupted of one without a heartbeat.
    """

    __tablename__ = "knowledge_jobs"
    __table_args__ = (Index("ix_knowledge_jobs_created_at", "created_at"),)

    id: str = Field(primary_key=True)
    state: str = "running"
    kind: str
    phase: str = ""
    done: int = 0
    total: int = 0
    summary: str = Field(default="{}", sa_type=Text)
    failures: str = Field(default="[]", sa_type=Text)
    by: str = ""
    created_at: str
    updated_at: str
    version_id: int | None = Field(default=None, sa_type=ROW_ID)
