"""Tables of the human desk: agents and their sessions, what they write beside the talk, drafts that
wait for their word, and what happened."""

from sqlalchemy import Float, Index, Text, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class AgentRow(Row, table=True):
    """Who answers at the desk. ``id`` is the login; ``role``: agent, admin or viewer; ``password``:
    `engine.desk.passwords` writes it; ``skills`` and ``scopes``: JSON lists, a scope being «*»,
    «channel» or «channel:account»; ``status``: online, away or offline; ``seen_ts``: the last sign
    of life. ``failures``: wrong passwords since the last right one; until ``locked_ts`` none is
    tried."""

    __tablename__ = "agents"

    id: str = Field(primary_key=True)
    name: str
    role: str = "agent"
    password: str = Field(sa_type=Text)
    skills: str = Field(default="[]", sa_type=Text)
    scopes: str = Field(default="[]", sa_type=Text)
    max_load: int = 8
    status: str = "offline"
    seen_ts: float = Field(default=0.0, sa_type=Float)
    enabled: bool = True
    failures: int = 0
    locked_ts: float = Field(default=0.0, sa_type=Float)
    created_at: str


class AgentSession(Row, table=True):
    """A signed-in agent. ``token_hash``: SHA-256 of the cookie's token, in hex."""

    __tablename__ = "agent_sessions"

    token_hash: str = Field(primary_key=True)
    agent_id: str = Field(index=True)
    csrf: str
    created_ts: float = Field(sa_type=Float)
    seen_ts: float = Field(sa_type=Float)
    expires_ts: float = Field(sa_type=Float, index=True)


class DeskNote(Row, table=True):
    """What agents tell each other about a conversation; customers never see it."""

    __tablename__ = "desk_notes"
    __table_args__ = (Index("ix_desk_notes_conversation_id_id", "conversation_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    conversation_id: str
    agent: str
    text: str = Field(sa_type=Text)
    created_at: str


class CannedReply(Row, table=True):
    """``skill``: whom it is offered to first; empty: everybody."""

    __tablename__ = "canned_replies"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    shortcut: str = Field(unique=True)
    title: str
    text: str = Field(sa_type=Text)
    skill: str = ""
    updated_at: str


class DeskDraft(Row, table=True):
    """What the bot would say, for a person's word: one pending a conversation. ``status``: pending,
    approved, edited, discarded, stale. ``evidence``: JSON list of what it rests on."""

    __tablename__ = "desk_drafts"
    __table_args__ = (
        Index(
            "uq_desk_drafts_pending",
            "conversation_id",
            unique=True,
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_desk_drafts_conversation_id_id", "conversation_id", "id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    conversation_id: str
    turn_id: str
    text: str = Field(sa_type=Text)
    evidence: str = Field(default="[]", sa_type=Text)
    status: str = "pending"
    agent: str | None = None
    created_at: str
    decided_at: str | None = None


class DeskEvent(Row, table=True):
    """What happened at the desk, written in the transaction of what it tells; kept for a day."""

    __tablename__ = "desk_events"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    at_ts: float = Field(sa_type=Float, index=True)
    kind: str
    conversation_id: str
    channel: str
    account: str
    agent: str
    data: str = Field(default="{}", sa_type=Text)


class DeskWatchRow(Row, table=True):
    """Which process looks after the desk. One row."""

    __tablename__ = "desk_watch"

    name: str = Field(primary_key=True)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)
