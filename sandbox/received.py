"""Things that a peer was sent, kept once each, in order, within a bound."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sandbox.changes import Changes

T = TypeVar("T")


@dataclass(slots=True)
class Received(Generic[T]):
    """``times``: how often it came; ``conflicts``: how often with another content."""

    id: str
    item: T
    at: float
    times: int = 1
    conflicts: int = 0


class ReceivedLog(Generic[T]):
    """Dedupes by id. Of more than ``max_items`` the oldest are dropped, and counted."""

    def __init__(self, max_items: int, changes: Changes) -> None:
        self._max_items = max_items
        self._items: OrderedDict[str, Received[T]] = OrderedDict()
        self.dropped = 0
        self.changes = changes

    def add(self, item_id: str, item: T, at: float) -> tuple[Received[T], bool]:
        """What is kept under the id, and whether it was there before."""
        known = self._items.get(item_id)
        if known is not None:
            known.times += 1
            known.conflicts += known.item != item
        else:
            known = self._items[item_id] = Received(item_id, item, at)
        self.changes.notify()
        return known, known.times > 1

    def trim(self) -> Iterator[Received[T]]:
        """Drop what is over the bound, oldest first, and yield it."""
        while len(self._items) > self._max_items:
            _, oldest = self._items.popitem(last=False)
            self.dropped += 1
            yield oldest

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Received[T]]:
        return iter(self._items.values())

    def clear(self) -> None:
        self._items.clear()
        self.dropped = 0
