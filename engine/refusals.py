"""How many refusals are written down: enough to see an attack, too few to fill the disk."""

from collections import OrderedDict
from dataclasses import dataclass

MAX_CALLERS = 1_000


@dataclass(slots=True)
class _Bucket:
    """Holds ``size`` records; one more every ``every_s``."""

    size: float
    every_s: float
    filled: float
    at: float

    def has_one(self, now: float) -> bool:
        self.filled = min(self.size, self.filled + max(0.0, now - self.at) / self.every_s)
        self.at = now
        return self.filled >= 1


class RefusalLimit:
    """A budget for each caller, so that none hides the others', and one for all of them."""

    def __init__(
        self,
        *,
        each: float = 20,
        each_every_s: float = 30,
        together: float = 200,
        together_every_s: float = 10,
    ) -> None:
        self._each, self._each_every_s = each, each_every_s
        self._all = _Bucket(together, together_every_s, together, 0.0)
        self._callers: OrderedDict[str, _Bucket] = OrderedDict()
        self._unwritten = 0

    def take(self, caller: str, now: float) -> int | None:
        """None: do not write it down. Else how many were not written since the last one."""
        own = self._bucket(caller, now)
        if not (own.has_one(now) and self._all.has_one(now)):
            self._unwritten += 1
            return None
        own.filled -= 1
        self._all.filled -= 1
        unwritten, self._unwritten = self._unwritten, 0
        return unwritten

    def _bucket(self, caller: str, now: float) -> _Bucket:
        found = self._callers.pop(caller, None)
        self._callers[caller] = found or _Bucket(self._each, self._each_every_s, self._each, now)
        if len(self._callers) > MAX_CALLERS:
            self._callers.popitem(last=False)
        return self._callers[caller]
