"""Things that a peer was sent, kept once each, in order, within a bound."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel

from sandbox.changes import Changes


@dataclass(slots=True)
class Received:
    """``times``: how often it came; ``conflicts``: how often with another content.

    The content is kept as JSON text, a fraction of what the parsed object takes.
    """

    id: str
    content: bytes
    at: float
    times: int = 1
    conflicts: int = 0

    def as_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.content)
        counts = {"received": self.times, "conflicts": self.conflicts, "received_at": self.at}
        return content | counts


class ReceivedLog:
    """Dedupes by id. Of more than ``max_items`` the oldest are dropped, and counted."""

    def __init__(self, max_items: int, changes: Changes) -> None:
        self._max_items = max_items
        self._items: OrderedDict[str, Received] = OrderedDict()
        self.dropped = 0
        self.changes = changes

    def add(self, item_id: str, item: BaseModel, at: float) -> tuple[Received, bool]:
        """What is kept under the id, and whether it was there before."""
        content = item.model_dump_json().encode()
        known = self._items.get(item_id)
        if known is not None:
            known.times += 1
            known.conflicts += known.content != content
        else:
            known = self._items[item_id] = Received(item_id, content, at)
        self.changes.notify()
        return known, known.times > 1

    def trim(self) -> list[Received]:
        """Drop what is over the bound, oldest first, and return it."""
        gone = []
        while len(self._items) > self._max_items:
            gone.append(self._items.popitem(last=False)[1])
        self.dropped += len(gone)
        return gone

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Received]:
        return iter(self._items.values())

    def clear(self) -> None:
        self._items.clear()
        self.dropped = 0
