"""Answers of /api/v1/stats and /api/v1/alerts."""

from typing import Any, Literal

from pydantic import BaseModel

from api.platform.schemas import ErrorOut

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 422, 503)
}


class SystemOut(BaseModel):
    """Of the machine that answers, in percent."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float


class BusinessOut(BaseModel):
    """Of the whole deployment; null while the database is away. ``avg_response_time_ms``: of the
    last hour, null where nothing was answered. ``estimated_cost_24h``: in yuan."""

    active_sessions: int | None
    messages_per_hour: int | None
    avg_response_time_ms: float | None
    tokens_used_24h: int | None
    estimated_cost_24h: float | None


class ServicesOut(BaseModel):
    """``ai_gateway_available``: a model is configured that does not keep failing."""

    database_connected: bool
    ai_gateway_available: bool
    kb_service_available: bool


class FiguresOut(BaseModel):
    """Rates are between 0 and 1, and null where there was nothing to divide by."""

    messages: int
    turns: int
    failed_turns: int
    answers: int
    avg_response_time_ms: float | None
    slow_answers: int
    slow_rate: float | None
    avg_confidence: float | None
    solved: int
    unsolved: int
    transferred: int
    resolution_rate: float | None
    handoffs: int
    handoff_rate: float | None
    avg_wait_s: float | None
    positive: int
    negative: int
    tokens_used: int
    tokens_in: int
    tokens_out: int
    ratings: int
    avg_rating: float | None


class ItemOut(FiguresOut):
    """``key``: the day, channel, tier or intent."""

    key: str


class ModelOut(BaseModel):
    provider: str
    calls: int
    failed: int
    tokens_in: int
    tokens_out: int
    avg_latency_ms: float | None
    cost: float | None
    currency: str | None


class CostOut(BaseModel):
    total: float
    currency: str
    by_currency: dict[str, float]
    unpriced_calls: int


PeriodOut = dict[str, Any]


class StatsOut(BaseModel):
    """``period``: what was asked for with ``from``, ``to`` and ``by``: from, to, by, totals, items,
    models, cost; null while the database is away."""

    system: SystemOut
    business: BusinessOut
    services: ServicesOut
    generated_at: str
    period: PeriodOut | None


class AlertOut(BaseModel):
    name: str
    title: str
    state: Literal["ok", "pending", "firing"]
    value: float | None
    threshold: float
    unit: str
    detail: str
    since: str | None
    fired_at: str | None
    resolved_at: str | None
    fires: int


class AlertEventOut(BaseModel):
    id: int
    name: str
    title: str
    event: Literal["firing", "resolved"]
    at: str
    value: float | None
    threshold: float
    detail: str


class AlertsOut(BaseModel):
    """``next``: give it as ``before`` for what was told earlier; null: that is all."""

    enabled: bool
    items: list[AlertOut]
    events: list[AlertEventOut]
    next: int | None
