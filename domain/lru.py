"""A bounded memory: the least recently used goes first, and nothing stays longer than its time.

What is kept under a version is found under that version only. Whoever reads the version where the
truth is (with the claim of a turn, say) can therefore not be given what is out of date.
"""

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
ENTRY_BYTES = 200
"""What a place costs beside key and value: its node, its key's slot, its figures."""
_LARGEST_SHARE = 8
"""No single value may push out more than this part of the rest."""


Found = Literal["hit", "miss", "stale"]


class _Kept(NamedTuple):
    value: Any
    version: Hashable
    size: int
    until: float


class ByteLru(Generic[K, V]):
    """Values of at most ``max_bytes`` together, each for at most ``ttl_s`` seconds.

    Thread-safe. Sizes are estimates (`weigh`) unless they are told. ``max_entries``: a bound on
    their number besides; ``count`` hears of each look, stale being one under another version.
    """

    def __init__(
        self,
        max_bytes: int,
        *,
        ttl_s: float,
        max_entries: int | None = None,
        count: Callable[[Found], None] = lambda found: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes, self._ttl_s, self._max_entries = max_bytes, ttl_s, max_entries
        self._count, self._clock = count, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, key: K, version: Hashable = None) -> V | None:
        value, found = self._look(key, version)
        self._count(found)
        return value

    def _look(self, key: K, version: Hashable) -> tuple[V | None, Found]:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None, "miss"
            if kept.version != version:
                return None, "stale"
            if kept.until <= self._clock():
                self._drop(key)
                return None, "miss"
            self._kept.move_to_end(key)
            return kept.value, "hit"

    def put(
        self,
        key: K,
        value: V,
        version: Hashable = None,
        *,
        size: int | None = None,
        ttl_s: float | None = None,
    ) -> None:
        """``ttl_s``: less than the usual time, for what is not new any more."""
        size = ENTRY_BYTES + weigh(key) + weigh(version) + (weigh(value) if size is None else size)
        until = self._clock() + (self._ttl_s if ttl_s is None else min(ttl_s, self._ttl_s))
        with self._lock:
            self._drop(key)
            if size > self._max_bytes // _LARGEST_SHARE:
                return
            self._kept[key] = _Kept(value, version, size, until)
            self._bytes += size
            while self._bytes > self._max_bytes or self._too_many():
                self._drop(next(iter(self._kept)))

    def pop(self, key: K) -> None:
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _too_many(self) -> bool:
        return self._max_entries is not None and len(self._kept) > self._max_entries

    def _drop(self, key: K) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size


def weigh(value: Any) -> int:
    """About how many bytes ``value`` takes with all that it holds; what it shares with others is
    counted as its own."""
    size = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return size + sum(weigh(key) + weigh(item) for key, item in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return size + sum(map(weigh, value))
    if is_dataclass(value):
        return size + sum(weigh(getattr(value, one.name)) for one in fields(value))
    return size
