"""Tables of the platforms that customers write on: tokens, callbacks seen, kf accounts, quotas."""

from sqlalchemy import Float, Text
from sqlmodel import Field

from storage.tables import Row


class PlatformToken(Row, table=True):
    """An access token or ticket that all processes share. ``key``: e.g. wecom:{corp}:{digest of
    the secret}; ``token``: encrypted; ``generation`` grows with each one. Whoever fetches another
    holds the lease meanwhile."""

    __tablename__ = "platform_tokens"

    key: str = Field(primary_key=True)
    token: str = Field(default="", sa_type=Text)
    generation: int = 0
    fetched_ts: float = Field(default=0.0, sa_type=Float)
    expires_ts: float = Field(default=0.0, sa_type=Float)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)


class CallbackSeen(Row, table=True):
    """A callback that was taken; platforms send it again when our answer was late."""

    __tablename__ = "callbacks_seen"

    key: str = Field(primary_key=True)
    at_ts: float = Field(sa_type=Float, index=True)


class KfAccount(Row, table=True):
    """An account of WeChat customer service. ``cursor``: up to where its messages are stored;
    ``drained_ts``: when its history was skipped, 0: not yet, messages sent before are not answered.
    ``wanted_ts``: when the last bell rang that nobody has pulled for, null: none is open;
    ``token``: of the last bell, good for ten minutes."""

    __tablename__ = "kf_accounts"

    open_kfid: str = Field(primary_key=True)
    cursor: str = ""
    drained_ts: float = Field(default=0.0, sa_type=Float)
    wanted_ts: float | None = Field(default=None, sa_type=Float, index=True)
    token: str = ""
    token_ts: float = Field(default=0.0, sa_type=Float)
    pulled_ts: float = Field(default=0.0, sa_type=Float)
    attempts: int = 0
    last_error: str | None = Field(default=None, sa_type=Text)
    lease_owner: str | None = None
    lease_until: float = Field(default=0.0, sa_type=Float)


class ReplyWindow(Row, table=True):
    """How often a platform lets us write to a customer: ``allowed`` messages until ``expires_ts``,
    opened anew by each message of theirs. ``spent``: ids of what was sent in it, a JSON list."""

    __tablename__ = "reply_windows"

    channel: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    sender_id: str = Field(primary_key=True)
    opened_ts: float = Field(sa_type=Float)
    expires_ts: float = Field(sa_type=Float, index=True)
    allowed: int
    spent: str = Field(default="[]", sa_type=Text)
    state: str = Field(default="", sa_type=Text)
    """Of the session, as the platform told it last: kf 0 to 4."""
