"""What staff has been told, on whatever channel it came."""

from collections import deque
from itertools import islice

from pydantic import BaseModel, ConfigDict

from sandbox.changes import Changes

MAX_ITEMS = 2_000


class InboxItem(BaseModel):
    """``channel``: the peer that got it; ``to``: who sees it there; ``text`` as it is seen."""

    model_config = ConfigDict(frozen=True)
    number: int
    channel: str
    to: str
    title: str
    text: str
    at: float


class Inbox:
    """Of more than ``MAX_ITEMS`` the oldest go, and are counted."""

    def __init__(self, changes: Changes) -> None:
        self._items: deque[InboxItem] = deque()
        self._changes, self._number = changes, 0
        self.dropped = 0

    def add(self, channel: str, to: str, text: str, at: float, *, title: str = "") -> None:
        self._number += 1
        item = InboxItem(number=self._number, channel=channel, to=to, title=title, text=text, at=at)
        self._items.append(item)
        while len(self._items) > MAX_ITEMS:
            self._items.popleft()
            self.dropped += 1
        self._changes.notify()

    @property
    def last(self) -> int:
        return self._number

    def after(self, number: int, limit: int) -> list[InboxItem]:
        """At most ``limit`` of those that came after ``number``, the oldest first."""
        return list(islice((item for item in self._items if item.number > number), limit))

    def clear(self) -> None:
        """Forget all items; numbering goes on."""
        self._items.clear()
        self.dropped = 0
