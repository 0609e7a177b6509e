"""GET /api/v1/stats and /api/v1/alerts: seed 003's indicators, figures of a period, alerts."""

import time
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.dependencies import TheKefu
from api.envelopes import Json
from api.stats.schemas import ERRORS, AlertsOut, StatsOut
from domain.errors import InvalidInput
from domain.figures import Dimension
from engine.figures.stats import Stats
from storage.clock import iso

router = APIRouter(prefix="/api/v1", tags=["stats"])
DEFAULT_DAYS = 7
MAX_DAYS = 400
_FIRST, _LAST = date(2000, 1, 1), date(2200, 1, 1)
Limit = Annotated[int, Query(ge=1, le=200)]
Before = Annotated[int | None, Query(ge=1, le=2**62)]


@router.get("/stats", response_model=StatsOut, responses=ERRORS)
async def stats(
    kefu: TheKefu,
    by: Dimension | None = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
) -> Response:
    """Seed 003's indicators as they are now, and the figures of a period: ``from`` and ``to`` are
    days (both included; the last seven), ``by`` breaks them down."""
    figures = kefu.figures.stats
    begins, ends = period_of(figures, first, last)
    now = await figures.now()
    reachable = now["services"]["database_connected"]
    found = await figures.period(begins, ends, by) if reachable else None
    return Json({**now, "generated_at": iso(time.time()), "period": found})


def period_of(figures: Stats, first: date | None, last: date | None) -> tuple[date, date]:
    """Raises InvalidInput."""
    ends = last or figures.today()
    if not _FIRST <= ends <= _LAST:
        raise InvalidInput("to", f"应在 {_FIRST} 到 {_LAST} 之间")
    begins = first or ends - timedelta(days=DEFAULT_DAYS - 1)
    if not _FIRST <= begins <= ends:
        raise InvalidInput("from", f"应不早于 {_FIRST}，也不晚于 to（{ends}）")
    if (ends - begins).days >= MAX_DAYS:
        raise InvalidInput("from", f"一次最多查询 {MAX_DAYS} 天")
    return begins, ends


@router.get("/alerts", response_model=AlertsOut, responses=ERRORS)
async def alerts(kefu: TheKefu, limit: Limit = 50, before: Before = None) -> Response:
    """Every alert as it stands, what fires first, and what was told, newest first."""
    found = kefu.figures.alerts
    events = await found.events(limit=limit + 1, before=before)
    shown: list[dict[str, Any]] = events[:limit]
    return Json(
        {
            "enabled": kefu.settings.alerts,
            "items": await found.standing(),
            "events": shown,
            "next": shown[-1]["id"] if len(events) > limit else None,
        }
    )
