"""Tables of the rules: their versions, and which of them acted."""

from sqlalchemy import Float, Index, Text
from sqlmodel import Field

from storage.tables import Row


class RuleVersionRow(Row, table=True):
    """Rules as they were from ``at`` on; the one with the highest number is in use. ``source``:
    default (the product's), file (the operator's), api or revert. ``content``: YAML."""

    __tablename__ = "rule_versions"

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    source: str
    author: str
    note: str = ""
    fingerprint: str
    content: str = Field(sa_type=Text)
    at: str


class RuleFiringRow(Row, table=True):
    """A rule that acted in a turn. ``rule_id``: of a trigger, or of the entry that decided;
    ``kind``: trigger or words; ``error``: of an action that failed."""

    __tablename__ = "rule_firings"
    __table_args__ = (
        Index("ix_rule_firings_at_ts", "at_ts"),
        Index("ix_rule_firings_rule_id_at_ts", "rule_id", "at_ts"),
    )

    turn_id: str = Field(primary_key=True)
    rule_id: str = Field(primary_key=True)
    kind: str
    channel: str
    at_ts: float = Field(sa_type=Float)
    error: str = Field(default="", sa_type=Text)
