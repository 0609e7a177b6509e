"""Model calls as rows and metrics, whoever made them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from engine.metrics import Metrics
from storage.clock import iso
from storage.database import Database
from storage.turns import record_model_call
from tools.models.calls import ModelCall


def call_row(call: ModelCall) -> dict[str, Any]:
    return {
        "provider": call.provider,
        "model": call.model,
        "purpose": call.purpose,
        "outcome": call.outcome,
        "status": call.status,
        "attempt": call.attempt,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "tokens_estimated": call.tokens_estimated,
        "latency_ms": round(call.latency_ms),
        "cost": call.cost,
        "currency": call.currency,
        "error": call.error or None,
    }


def count_call(metrics: Metrics, call: Mapping[str, Any]) -> None:
    """``call``: as `call_row` makes it."""
    metrics.model_calls.labels(call["provider"], call["outcome"]).inc()
    metrics.model_tokens.labels(call["provider"], "in").inc(call["tokens_in"])
    metrics.model_tokens.labels(call["provider"], "out").inc(call["tokens_out"])
    if call["cost"]:
        metrics.model_cost.labels(call["provider"], call["currency"]).inc(call["cost"])


class CallsBesideTurns:
    """Keeps the calls that no turn waits for; what they are about stands for the turn."""

    def __init__(
        self, database: Database, metrics: Metrics, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._metrics, self._clock = database, metrics, clock

    async def keep(self, about: str, calls: Sequence[ModelCall]) -> None:
        rows, at = [call_row(call) for call in calls], iso(self._clock())
        for row in rows:
            count_call(self._metrics, row)

        def record(connection: Connection) -> None:
            for row in rows:
                record_model_call(connection, row, turn_id=about, at=at)

        await self._database.write(record)
