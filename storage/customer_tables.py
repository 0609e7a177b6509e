"""Tables beside `customers`: what their counters are made of, and what was done to them."""

from sqlalchemy import BigInteger, Float, Index, Text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class CustomerDay(Row, table=True):
    """Messages of a contact on a day (days since the epoch, UTC); kept as long as it is recent."""

    __tablename__ = "customer_days"

    contact_id: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    messages: int = 0


class CustomerVerdict(Row, table=True):
    """How a talk was found. ``key``: handoff:{id}, or the caller's; ``rating``: the customer's, 1
    to 5; ``outcome``: the agent's word, solved, unsolved or empty."""

    __tablename__ = "customer_verdicts"
    __table_args__ = (Index("ix_customer_verdicts_contact_id_id", "contact_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    key: str = Field(unique=True)
    contact_id: str
    conversation_id: str = ""
    rating: int | None = None
    outcome: str = ""
    by: str = ""
    at: str


class Deal(Row, table=True):
    """Something that was bought. ``key``: order:{id}, or the caller's; ``amount`` in fen."""

    __tablename__ = "deals"
    __table_args__ = (Index("ix_deals_contact_id_id", "contact_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    key: str = Field(unique=True)
    contact_id: str
    order_id: int | None = Field(default=None, sa_type=ROW_ID)
    amount: int = Field(sa_type=BigInteger)
    note: str = Field(default="", sa_type=Text)
    by: str = ""
    at: str
    cancelled_at: str | None = None


class CustomerMerge(Row, table=True):
    """``other_id`` was found to be ``person_id`` too. ``moved``: the contacts that followed, and
    ``before``: how each contact of both stood (JSON), so that it can be undone."""

    __tablename__ = "customer_merges"
    __table_args__ = (
        Index("ix_customer_merges_person_id_id", "person_id", "id"),
        Index("ix_customer_merges_other_id", "other_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    person_id: str
    other_id: str
    moved: str = Field(default="[]", sa_type=Text)
    before: str = Field(default="{}", sa_type=Text)
    by: str
    at: str
    undone_by: str = ""
    undone_at: str | None = None


class CustomerErasure(Row, table=True):
    """That a customer was erased, of whom nothing but a keyed digest is left. ``counts``: rows by
    table; ``files``: pictures still to be removed (JSON lists of sha256)."""

    __tablename__ = "customer_erasures"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    digest: str = Field(index=True)
    by: str
    at_ts: float = Field(sa_type=Float)
    counts: str = Field(default="{}", sa_type=Text)
    files: str = Field(default="[]", sa_type=Text)
    done_ts: float | None = Field(default=None, sa_type=Float)
