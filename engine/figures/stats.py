"""Figures for people and for other systems, under seed 003's names."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection

from domain.errors import KefuError
from domain.figures import (
    DAY_S,
    HOUR_S,
    Dimension,
    ModelSums,
    Sums,
    day_of,
    days_between,
    slot_of,
    start_of,
)
from engine.desk.sharing import SharedReads
from engine.figures.machine import Machine
from engine.figures.parts import Outside
from storage import figures, standing
from storage.database import Database

CURRENCY = "CNY"
Calls = Mapping[tuple[str, str], ModelSums]
Period = tuple[date, date, Dimension | None]


@dataclass(frozen=True, slots=True)
class Cost:
    """``total`` in yuan; ``by_currency`` as it was counted. ``unpriced``: calls whose price, or
    currency's rate, is not known: they are not in it."""

    total: float
    by_currency: dict[str, float]
    unpriced: int

    def shown(self) -> dict[str, Any]:
        return {
            "total": round(self.total, 4),
            "currency": CURRENCY,
            "by_currency": {name: round(value, 6) for name, value in self.by_currency.items()},
            "unpriced_calls": self.unpriced,
        }


def cost_of(calls: Calls, rates: Mapping[str, float]) -> Cost:
    total, unpriced = 0.0, 0
    by_currency: dict[str, float] = {}
    for (_, currency), sums in calls.items():
        rate = 1.0 if currency == CURRENCY else rates.get(currency)
        if currency:
            by_currency[currency] = by_currency.get(currency, 0.0) + sums.cost
        if rate is None:
            unpriced += sums.calls - (0 if currency else sums.failed)
        else:
            total += rate * sums.cost
    return Cost(total, by_currency, unpriced)


class Stats:
    """``rates``: yuan for one unit of another currency."""

    def __init__(
        self,
        database: Database,
        machine: Machine,
        outside: Outside,
        *,
        zone: tzinfo,
        rates: Mapping[str, float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.zone, self._clock = zone, clock
        self._database, self._machine, self._outside = database, machine, outside
        self._rates = dict(rates)
        self._periods: SharedReads[Period, dict[str, Any]] = SharedReads()

    def today(self) -> date:
        return date.fromisoformat(day_of(int(self._clock()), self.zone))

    async def now(self) -> dict[str, Any]:
        """Seed 003's indicators. Without the database the business ones are null."""
        readings = self._machine.last or await self._machine.read()
        business = await self._business_or_none()
        return {
            "system": {
                "cpu_percent": readings.cpu_percent,
                "memory_percent": readings.memory_percent,
                "disk_percent": readings.disk_percent,
            },
            "business": business or dict.fromkeys(_BUSINESS),
            "services": {
                "database_connected": business is not None,
                "ai_gateway_available": self._outside.has_models(),
                "kb_service_available": self._outside.knows(),
            },
        }

    async def _business_or_none(self) -> dict[str, Any] | None:
        try:
            return await self._business()
        except KefuError:
            return None

    async def _business(self) -> dict[str, Any]:
        now = self._clock()

        def unit(connection: Connection) -> tuple[int, Sums, Calls]:
            return (
                standing.active_sessions(connection, now=now),
                figures.total(connection, since=now - HOUR_S, until=now + 1),
                last_day(connection, now),
            )

        active, hour, calls = await self._database.read(unit)
        cost = cost_of(calls, self._rates)
        response = hour.response_avg_ms
        found = (
            active,
            hour.messages,
            round(response, 1) if response is not None else None,
            sum(one.tokens for one in calls.values()),
            round(cost.total, 4),
        )
        return dict(zip(_BUSINESS, found, strict=True))

    async def period(
        self, first: date, last: date, dimension: Dimension | None = None
    ) -> dict[str, Any]:
        """Both days included. ``items``: one for each value of ``dimension``; days without anything
        are there too."""
        # Everybody's overview looks again at the same moments.
        key = first, last, dimension
        return await self._periods.get(key, lambda: self._period(first, last, dimension))

    async def _period(self, first: date, last: date, dimension: Dimension | None) -> dict[str, Any]:
        since, until = start_of(first, self.zone), start_of(last + timedelta(days=1), self.zone)

        def unit(connection: Connection) -> tuple[Sums, dict[str, Sums], Calls]:
            total = figures.total(connection, since=since, until=until)
            calls = figures.calls(connection, since=since, until=until)
            return total, self._parts(connection, dimension, since, until), calls

        total, parts, calls = await self._database.read(unit)
        if dimension == "day":
            parts = {day: parts.get(day, Sums()) for day in days_between(first, last)}
        return {
            "from": first.isoformat(),
            "to": last.isoformat(),
            "by": dimension,
            "totals": total.shown(),
            "items": [{"key": key, **sums.shown()} for key, sums in parts.items()],
            "models": [_model_shown(*of, sums) for of, sums in calls.items()],
            "cost": cost_of(calls, self._rates).shown(),
        }

    def _parts(
        self, connection: Connection, dimension: Dimension | None, since: float, until: float
    ) -> dict[str, Sums]:
        if dimension is None:
            return {}
        if dimension == "day":
            return figures.by_day(
                connection, since=since, until=until, day=lambda slot: day_of(slot, self.zone)
            )
        return figures.by_name(connection, dimension, since=since, until=until)


_BUSINESS = (
    "active_sessions",
    "messages_per_hour",
    "avg_response_time_ms",
    "tokens_used_24h",
    "estimated_cost_24h",
)


def last_day(connection: Connection, now: float) -> Calls:
    """Of 24 hours, and of the rest of the hour in which they began: older stretches are hours."""
    return figures.calls(connection, since=slot_of(now - DAY_S, HOUR_S), until=now + 1)


def _model_shown(provider: str, currency: str, sums: ModelSums) -> dict[str, Any]:
    return {
        "provider": provider,
        "calls": sums.calls,
        "failed": sums.failed,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.tokens_out,
        "avg_latency_ms": round(sums.latency_ms / sums.calls, 1) if sums.calls else None,
        "cost": round(sums.cost, 6) if currency else None,
        "currency": currency or None,
    }
