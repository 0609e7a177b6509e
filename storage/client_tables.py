"""Tables of clients: who may report messages, their keys and heartbeats, guesses at keys, and which
process looks after what."""

from sqlalchemy import Float, Text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class ClientRow(Row, table=True):
    """``role``: agent, admin or viewer. ``generation``: counts up when all tokens are to end."""

    __tablename__ = "clients"

    agent_id: str = Field(primary_key=True)
    name: str
    role: str = "agent"
    enabled: bool = True
    generation: int = 1
    address: str = ""
    created_at: str


class ClientKeyRow(Row, table=True):
    """``digest``: SHA-256 of the key, in hex. A key is 32 random bytes: nobody can try them all, so
    that neither a salt nor a slow hash would add anything, and the row is found by it."""

    __tablename__ = "client_keys"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    agent_id: str = Field(index=True)
    digest: str = Field(unique=True)
    prefix: str
    created_at: str
    expires_ts: float | None = Field(default=None, sa_type=Float)
    revoked_ts: float | None = Field(default=None, sa_type=Float)
    used_ts: float | None = Field(default=None, sa_type=Float)


class HeartbeatRow(Row, table=True):
    """``status``: JSON of what the client said last; ``offline_ts``: when staff was told that it is
    gone, null: it is there."""

    __tablename__ = "heartbeats"

    agent_id: str = Field(primary_key=True)
    status: str = Field(default="{}", sa_type=Text)
    seen_ts: float = Field(sa_type=Float, index=True)
    offline_ts: float | None = Field(default=None, sa_type=Float)


class SignInFailure(Row, table=True):
    """Wrong keys of one client («agent:…») or from one address («address:…»). Nothing is tried for
    it before ``next_ts``."""

    __tablename__ = "sign_in_failures"

    key: str = Field(primary_key=True)
    failures: int
    next_ts: float = Field(default=0.0, sa_type=Float)
    seen_ts: float = Field(sa_type=Float, index=True)


class WatchRow(Row, table=True):
    """Which process does some periodic work, by a lease."""

    __tablename__ = "watches"

    name: str = Field(primary_key=True)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)
