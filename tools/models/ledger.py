"""What one provider has been asked, answered and charged since the process started."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tools.models.breaker import BreakerState
from tools.models.calls import ModelCall, Outcome

_BEIJING = timedelta(hours=8)
_SKIPS = frozenset({"open", "budget", "deadline"})


@dataclass(frozen=True, slots=True)
class ProviderSnapshot:
    """``counts``: calls by outcome. ``cost`` in ``currency``: of the calls whose price is known."""

    name: str
    model: str
    state: BreakerState
    counts: dict[Outcome, int]
    attempts: int
    last_error: str
    last_error_at: float | None
    tokens_in: int
    tokens_out: int
    tokens_today: int
    daily_token_budget: int | None
    cost: float
    currency: str


class Ledger:
    """``tokens_today``: what earlier processes have used today, for the budget."""

    def __init__(self, tokens_today: int, now: float) -> None:
        self._counts: Counter[Outcome] = Counter()
        self._last_error = ""
        self._last_error_at: float | None = None
        self._tokens_in = self._tokens_out = 0
        self._cost, self._currency = 0.0, ""
        self._day, self._today = _day(now), tokens_today

    def record(self, call: ModelCall) -> None:
        self._counts[call.outcome] += 1
        self._tokens_in += call.tokens_in
        self._tokens_out += call.tokens_out
        self._today = self.tokens_today(call.started_at) + call.tokens_in + call.tokens_out
        if call.cost is not None:
            self._cost += call.cost
            self._currency = call.currency
        if call.outcome != "ok" and call.outcome not in _SKIPS:
            self._last_error = f"{call.outcome}: {call.error}"
            self._last_error_at = call.started_at

    def tokens_today(self, now: float) -> int:
        """Beijing's day: that is when its customers sleep and its operators read the bill."""
        day = _day(now)
        if day > self._day:
            self._day, self._today = day, 0
        return self._today

    def snapshot(
        self, name: str, model: str, state: BreakerState, budget: int | None, now: float
    ) -> ProviderSnapshot:
        return ProviderSnapshot(
            name=name,
            model=model,
            state=state,
            counts=dict(self._counts),
            attempts=sum(n for outcome, n in self._counts.items() if outcome not in _SKIPS),
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            tokens_today=self.tokens_today(now),
            daily_token_budget=budget,
            cost=self._cost,
            currency=self._currency,
        )


def _day(now: float) -> date:
    return (datetime.fromtimestamp(now, UTC) + _BEIJING).date()


def start_of_day(now: float) -> float:
    """When the budget's day that ``now`` falls in began; both in seconds since the epoch."""
    midnight = datetime.combine(_day(now), time(), UTC)
    return (midnight - _BEIJING).timestamp()
