"""Tables of proactive messages."""

from sqlalchemy import Float, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class CampaignRow(Row, table=True):
    """``segment``: a `domain.campaigns.Segment` as JSON. ``cursor``: up to which row of customers
    the people are noted, null: all are. ``version`` grows with each change of a person's."""

    __tablename__ = "campaigns"
    __table_args__ = (
        Index(
            "ix_campaigns_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    name: str
    text: str = Field(sa_type=Text)
    segment: str = Field(sa_type=Text)
    status: str = "draft"
    per_minute: int = 60
    starts_ts: float = Field(default=0.0, sa_type=Float)
    ends_ts: float | None = Field(default=None, sa_type=Float)
    cursor: int | None = Field(default=0, sa_type=ROW_ID)
    version: int = 1
    created_by: str = ""
    created_at: str
    updated_at: str
    started_at: str | None = None
    ended_at: str | None = None
    due_at: float | None = Field(default=None, sa_type=Float)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)


class CampaignPerson(Row, table=True):
    """One customer of one campaign. ``status``: planned, sent, skipped; ``reason`` of the last;
    ``message_id``: of the delivery."""

    __tablename__ = "campaign_people"
    __table_args__ = (
        UniqueConstraint("campaign_id", "contact_id"),
        Index("ix_campaign_people_campaign_id_status_id", "campaign_id", "status", "id"),
        Index("ix_campaign_people_contact_id_sent_ts", "contact_id", "sent_ts"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    campaign_id: int = Field(sa_type=ROW_ID)
    contact_id: str
    status: str = "planned"
    reason: str = ""
    message_id: str = ""
    sent_ts: float | None = Field(default=None, sa_type=Float)
