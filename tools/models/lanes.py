"""Several small connection pools in place of one large one.

For every request httpcore looks at each idle connection of its pool, with a poll each: with 100
idle ones that was 1 ms of CPU a call, growing with the load. A call takes the first lane that has
room, so that a quiet service keeps its few connections warm in one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

COUNT = 24
WIDTH = 8


class Lanes:
    """One provider's model over each pool."""

    def __init__(self, models: "Sequence[BaseChatModel]") -> None:
        self._models = tuple(models)
        self._busy = [0] * len(self._models)

    @contextmanager
    def take(self) -> "Iterator[BaseChatModel]":
        """The first lane with room; where all are full, the least busy one."""
        with_room = (n for n, busy in enumerate(self._busy) if busy < WIDTH)
        lane = next(with_room, None)
        if lane is None:
            lane = min(range(len(self._busy)), key=self._busy.__getitem__)
        self._busy[lane] += 1
        try:
            yield self._models[lane]
        finally:
            self._busy[lane] -= 1
