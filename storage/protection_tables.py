"""The keys that fields have been sealed with."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from storage.tables import Row


class FieldKeyRow(Row, table=True):
    """``digest`` tells the key from another of the same id. ``state``: current (seals), old (rows
    are still sealed with it). Of the current one: ``place``, the last row that was looked at while
    the others are re-sealed (empty: not begun, ``done``: all are), and ``resealed``, how many."""

    __tablename__ = "field_keys"

    id: str = Field(primary_key=True)
    digest: str
    state: str
    place: str = Field(default="", sa_type=Text)
    resealed: int = Field(default=0, sa_type=BigInteger)
    first_seen_at: str
