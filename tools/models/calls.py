"""What goes into the gateway, what comes out, and the record of every attempt."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]

FailureKind = Literal[
    "refused",
    "timeout",
    "auth",
    "quota",
    "rate_limited",
    "server",
    "cut_stream",
    "garbage",
    "empty",
    "content_filter",
    "bad_request",
]

SkipReason = Literal["open", "budget", "deadline"]
"""Not asked at all: circuit breaker open, token budget of the day used up, no time left."""

Outcome = Literal["ok"] | FailureKind | SkipReason


@dataclass(frozen=True, slots=True)
class Picture:
    """``media_type``: ``image/jpeg``, ``image/png`` or ``image/webp``."""

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """``pictures``: for models that can see, after the words."""

    role: Role
    content: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One attempt at one provider, or the reason why there was none (``attempt`` 0).

    ``started_at``: seconds since the epoch. ``latency_ms``: until the answer was complete or the
    failure known. ``cost`` in ``currency``, None where the price is not known.
    """

    provider: str
    model: str
    purpose: str
    outcome: Outcome
    status: int | None
    attempt: int
    tokens_in: int
    tokens_out: int
    tokens_estimated: bool
    latency_ms: float
    cost: float | None
    currency: str
    error: str
    started_at: float


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """``calls``: every attempt that led here, in order; the last one gave ``text``.

    ``finish_reason``: ``stop`` or ``length`` (cut at the token limit), else the provider's word.
    """

    text: str
    provider: str
    model: str
    calls: tuple[ModelCall, ...]
    finish_reason: str
