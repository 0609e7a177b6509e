"""Tables of the figures: what happened, added up as it happens; alerts; the processes that run."""

from sqlalchemy import BigInteger, Float, Index, Text
from sqlmodel import Field

from storage.tables import ROW_ID, Row


class FigureRow(Row, table=True):
    """Sums over the turns of one stretch of time, ``span`` seconds from ``slot`` (seconds since the
    epoch). ``shard`` keeps writers apart that run at the same time: PostgreSQL would let each wait
    for the other's commit. ``answers`` were given; ``response_ms`` is how long customers waited for
    them, ``slow`` how many waited more than five seconds, ``confidence`` the sum. ``waits``:
    hand-overs in which a person has said their first word, after ``wait_ms`` altogether."""

    __tablename__ = "figures"
    __table_args__ = (Index("ix_figures_slot", "slot"),)

    span: int = Field(primary_key=True)
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    channel: str = Field(primary_key=True)
    tier: str = Field(primary_key=True)
    intent: str = Field(primary_key=True)
    shard: int = Field(primary_key=True)
    messages: int = Field(default=0, sa_type=BigInteger)
    turns: int = Field(default=0, sa_type=BigInteger)
    failed: int = Field(default=0, sa_type=BigInteger)
    answers: int = Field(default=0, sa_type=BigInteger)
    response_ms: int = Field(default=0, sa_type=BigInteger)
    slow: int = Field(default=0, sa_type=BigInteger)
    confidence: float = Field(default=0.0, sa_type=Float)
    solved: int = Field(default=0, sa_type=BigInteger)
    unsolved: int = Field(default=0, sa_type=BigInteger)
    transferred: int = Field(default=0, sa_type=BigInteger)
    handoffs: int = Field(default=0, sa_type=BigInteger)
    positive: int = Field(default=0, sa_type=BigInteger)
    negative: int = Field(default=0, sa_type=BigInteger)
    tokens_in: int = Field(default=0, sa_type=BigInteger)
    tokens_out: int = Field(default=0, sa_type=BigInteger)
    waits: int = Field(default=0, sa_type=BigInteger)
    wait_ms: int = Field(default=0, sa_type=BigInteger)
    ratings: int = Field(default=0, sa_type=BigInteger)
    rating_sum: int = Field(default=0, sa_type=BigInteger)


class ModelFigureRow(Row, table=True):
    """The same of calls of models, those that no turn waited for too. ``cost`` in ``currency``, of
    the calls whose price is known; ``currency`` empty: it is not."""

    __tablename__ = "model_figures"
    __table_args__ = (Index("ix_model_figures_slot", "slot"),)

    span: int = Field(primary_key=True)
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    provider: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    shard: int = Field(primary_key=True)
    calls: int = Field(default=0, sa_type=BigInteger)
    failed: int = Field(default=0, sa_type=BigInteger)
    latency_ms: int = Field(default=0, sa_type=BigInteger)
    tokens_in: int = Field(default=0, sa_type=BigInteger)
    tokens_out: int = Field(default=0, sa_type=BigInteger)
    cost: float = Field(default=0.0, sa_type=Float)


class AlertRow(Row, table=True):
    """One alert rule as it stands. ``state``: ok, pending (over the threshold, not for long enough)
    or firing; ``since_ts``: of that state; ``calm_ts``: since when a firing one is below the
    level that ends it."""

    __tablename__ = "alerts"

    name: str = Field(primary_key=True)
    state: str = "ok"
    value: float | None = Field(default=None, sa_type=Float)
    detail: str = Field(default="", sa_type=Text)
    since_ts: float = Field(default=0.0, sa_type=Float)
    calm_ts: float | None = Field(default=None, sa_type=Float)
    fired_ts: float | None = Field(default=None, sa_type=Float)
    resolved_ts: float | None = Field(default=None, sa_type=Float)
    fires: int = 0
    checked_ts: float = Field(default=0.0, sa_type=Float)


class AlertEvent(Row, table=True):
    """``event``: firing or resolved."""

    __tablename__ = "alert_events"
    __table_args__ = (Index("ix_alert_events_at_ts", "at_ts"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    name: str
    event: str
    at_ts: float = Field(sa_type=Float)
    value: float | None = Field(default=None, sa_type=Float)
    threshold: float = Field(sa_type=Float)
    detail: str = Field(default="", sa_type=Text)


class ProcessRow(Row, table=True):
    """A process of the deployment and how its machine is. ``readings``: JSON, see
    `engine.figures.machine`."""

    __tablename__ = "processes"

    owner: str = Field(primary_key=True)
    host: str
    pid: int
    started_ts: float = Field(sa_type=Float)
    seen_ts: float = Field(sa_type=Float, index=True)
    readings: str = Field(default="{}", sa_type=Text)
