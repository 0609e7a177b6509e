"""How often something may be done in how long."""

from collections import OrderedDict, deque

from sandbox.wx.calls import Clock

_KEPT = 100_000


class Limiter:
    """Of more keys than it keeps it forgets the oldest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str, most: int, window_s: float) -> bool:
        """Whether one more is allowed, which then counts; ``most`` 0: without end."""
        if not most:
            return True
        now, taken = self._clock.now(), self._taken.setdefault(key, deque())
        while taken and taken[0] <= now - window_s:
            taken.popleft()
        if len(taken) >= most:
            return False
        taken.append(now)
        if len(self._taken) > _KEPT:
            self._taken.popitem(last=False)
        return True

    def clear(self) -> None:
        self._taken.clear()
