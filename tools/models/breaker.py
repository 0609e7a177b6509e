"""Circuit breaker of one provider. Pure: the caller passes the time in."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from tools.models.calls import FailureKind

COUNTED: frozenset[FailureKind] = frozenset(
    {"refused", "timeout", "rate_limited", "server", "cut_stream", "garbage"}
)
"""The provider is unwell. The other kinds say something about the request, not about it."""

LASTING: frozenset[FailureKind] = frozenset({"auth", "quota"})
"""Only the operator can mend these: one is enough."""

_REMEMBERED = 20


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """All times in seconds.

    Opens after ``failures`` within ``window`` that are at least half of the recent calls; each
    failed probe doubles the wait up to ``longest``. A provider that asks for at least ``wait`` gets
    it at once. ``lasting``: the wait after auth or quota.
    ``probe``: a probe that has not reported for so long is given up.
    """

    failures: int = 5
    window: float = 60.0
    wait: float = 15.0
    longest: float = 300.0
    lasting: float = 600.0
    probe: float = 60.0


class CircuitBreaker:
    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._recent: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._open_until: float | None = None
        self._wait = self._policy.wait
        self._probe_since: float | None = None

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def would_admit(self, now: float) -> bool:
        """As ``admits``, without taking the probe's place."""
        state = self.state(now)
        return state is BreakerState.CLOSED or (
            state is BreakerState.HALF_OPEN and not self._probing(now)
        )

    def admits(self, now: float) -> bool:
        """May a call go out? Half open, one at a time may; it must end in one of the reports."""
        if not self.would_admit(now):
            return False
        if self._open_until is not None:
            self._probe_since = now
        return True

    def succeeded(self, now: float) -> None:
        self._recent.append((now, True))
        if self._open_until is not None:
            self._recent.clear()
        self._open_until, self._probe_since = None, None
        self._wait = self._policy.wait

    def failed(self, kind: FailureKind, now: float, retry_after: float | None = None) -> None:
        """``retry_after``: what the provider asked for; a breaker that opens stays open for it."""
        if kind in LASTING:
            self._open(now, self._policy.lasting)
        elif kind in COUNTED:
            self._count(now, min(retry_after or 0.0, self._policy.longest))
        else:
            self.released()

    def released(self) -> None:
        """The call ended without saying anything about the provider (cancelled, our fault)."""
        self._probe_since = None

    def _count(self, now: float, retry_after: float) -> None:
        self._recent.append((now, False))
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            self._wait = min(self._wait * 2, self._policy.longest)
            self._open(now, max(self._wait, retry_after))
        elif state is BreakerState.CLOSED and self._unwell(now):
            self._open(now, max(self._wait, retry_after))
        elif state is BreakerState.CLOSED and retry_after >= self._wait:
            self._open(now, retry_after)

    def _unwell(self, now: float) -> bool:
        recent = [ok for at, ok in self._recent if now - at <= self._policy.window]
        failures = recent.count(False)
        return failures >= self._policy.failures and failures * 2 >= len(recent)

    def _open(self, now: float, wait: float) -> None:
        self._open_until = max(self._open_until or 0.0, now + wait)
        self._probe_since = None

    def _probing(self, now: float) -> bool:
        since = self._probe_since
        return since is not None and now - since < self._policy.probe
