"""What is counted of conversations, and how rates are made of counts. Pure."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Literal

SLOT_S = 60
HOUR_S = 3_600
DAY_S = 86_400
SLOW_MS = 5_000
"""Seed 003 calls a slower response slow; it is also how long WeChat waits for one."""

Dimension = Literal["day", "channel", "tier", "intent"]


@dataclass(frozen=True, slots=True)
class Sums:
    """As `storage.figures_tables.FigureRow` says."""

    messages: int = 0
    turns: int = 0
    failed: int = 0
    answers: int = 0
    response_ms: int = 0
    slow: int = 0
    confidence: float = 0.0
    solved: int = 0
    unsolved: int = 0
    transferred: int = 0
    handoffs: int = 0
    positive: int = 0
    negative: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    waits: int = 0
    wait_ms: int = 0
    ratings: int = 0
    rating_sum: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        mine, theirs = asdict(self), asdict(other)
        return Sums(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def response_avg_ms(self) -> float | None:
        return _share(self.response_ms, self.answers)

    @property
    def slow_rate(self) -> float | None:
        return _share(self.slow, self.answers)

    @property
    def resolution_rate(self) -> float | None:
        """Of the answers: those that settled what was asked without a person."""
        return _share(self.solved, self.answers)

    @property
    def handoff_rate(self) -> float | None:
        return _share(self.handoffs, self.turns)

    def shown(self) -> dict[str, Any]:
        """Rates are null where there is nothing to divide by."""
        return {
            "messages": self.messages,
            "turns": self.turns,
            "failed_turns": self.failed,
            "answers": self.answers,
            "avg_response_time_ms": _rounded(self.response_avg_ms, 1),
            "slow_answers": self.slow,
            "slow_rate": _rounded(self.slow_rate),
            "avg_confidence": _rounded(_share(self.confidence, self.answers)),
            "solved": self.solved,
            "unsolved": self.unsolved,
            "transferred": self.transferred,
            "resolution_rate": _rounded(self.resolution_rate),
            "handoffs": self.handoffs,
            "handoff_rate": _rounded(self.handoff_rate),
            "avg_wait_s": _rounded(_share(self.wait_ms / 1_000, self.waits), 1),
            "positive": self.positive,
            "negative": self.negative,
            "tokens_used": self.tokens,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "ratings": self.ratings,
            "avg_rating": _rounded(_share(self.rating_sum, self.ratings), 2),
        }


@dataclass(frozen=True, slots=True)
class ModelSums:
    """As `storage.figures_tables.ModelFigureRow` says."""

    calls: int = 0
    failed: int = 0
    latency_ms: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def slot_of(at: float, span: int = SLOT_S) -> int:
    """Where the stretch of ``span`` seconds that ``at`` falls in begins."""
    return int(at // span) * span


def day_start(at: float, zone: tzinfo) -> int:
    """When the day that ``at`` falls in began there."""
    return start_of(datetime.fromtimestamp(at, zone).date(), zone)


def start_of(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp())


def day_of(slot: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(slot, zone).date().isoformat()


def days_between(first: date, last: date) -> list[str]:
    """Both included, in order."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return round(value, digits) if value is not None else None
