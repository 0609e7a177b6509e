"""Tables of learning from the desk: what a turn did step by step, and answers that were judged."""

from sqlalchemy import Float, Index, LargeBinary, Text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class TurnRecordRow(Row, table=True):
    """A turn as it can be opened and run again, kept for KEFU_REVIEW_TURN_DAYS. ``body``: steps,
    prompts and circumstances, packed JSON; ``base``: the checkpoint that the turn began with,
    packed, null for a conversation's first."""

    __tablename__ = "turn_records"

    turn_id: str = Field(primary_key=True)
    at_ts: float = Field(sa_type=Float, index=True)
    base_kind: str = ""
    base: bytes | None = Field(default=None, sa_type=LargeBinary)
    body: bytes = Field(sa_type=LargeBinary)


class ReviewRow(Row, table=True):
    """What a person said of a turn's answer. ``state``: open, fixed, dismissed. ``answer``: as the
    customer got it; ``correct``: as it should be; ``suggestion_id``: of what was learned from that;
    ``regression``: the file that holds the conversation."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_state_id", "state", "id"),
        Index("ix_reviews_turn_id", "turn_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    turn_id: str
    conversation_id: str
    channel: str
    account: str
    state: str = "open"
    fault: str
    note: str = Field(default="", sa_type=Text)
    question: str = Field(sa_type=Text)
    answer: str = Field(default="", sa_type=Text)
    correct: str = Field(default="", sa_type=Text)
    suggestion_id: int | None = Field(default=None, sa_type=ROW_ID)
    regression: str = ""
    agent: str
    created_at: str
    settled_by: str = ""
    settled_at: str | None = None
