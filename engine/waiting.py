"""Callers that wait for a turn, and watchers of its progress, by message."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

MessageKey = tuple[str, str, str]
"""(channel, account, channel message id)"""

Watcher = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Waiter:
    """``answering``: a turn is committing this answer for the caller; it must not leave now."""

    future: asyncio.Future[dict[str, Any]]
    callers: int = 0
    answering: bool = False
    watchers: list[Watcher] = field(default_factory=list)


class WaitingRoom:
    def __init__(self) -> None:
        self._waiters: dict[MessageKey, Waiter] = {}

    def join(self, key: MessageKey, watcher: Watcher | None = None) -> Waiter:
        waiter = self._waiters.get(key)
        if waiter is None or waiter.future.done():
            waiter = Waiter(asyncio.get_running_loop().create_future())
            self._waiters[key] = waiter
        waiter.callers += 1
        if watcher is not None:
            waiter.watchers.append(watcher)
        return waiter

    def leave(self, key: MessageKey, waiter: Waiter) -> None:
        waiter.callers -= 1
        if waiter.callers == 0 and self._waiters.get(key) is waiter:
            del self._waiters[key]

    def take(self, key: MessageKey) -> bool:
        """Whether somebody waits for ``key``; if so the answer is theirs, whatever the clock."""
        waiter = self._waiters.get(key)
        if waiter is None or waiter.future.done():
            return False
        waiter.answering = True
        return True

    def give_back(self, keys: Iterable[MessageKey]) -> None:
        """The commit failed: deadlines apply again."""
        for key in keys:
            if key in self._waiters:
                self._waiters[key].answering = False

    def awaits(self, key: MessageKey) -> bool:
        waiter = self._waiters.get(key)
        return waiter is not None and not waiter.future.done()

    def answer(self, key: MessageKey, result: dict[str, Any]) -> bool:
        """Whether somebody here waited for it."""
        waiter = self._waiters.get(key)
        if waiter is None or waiter.future.done():
            return False
        waiter.future.set_result(result)
        return True

    def watched(self, keys: Iterable[MessageKey]) -> bool:
        return any(self._waiters[key].watchers for key in keys if key in self._waiters)

    def tell(self, keys: Iterable[MessageKey], event: str, data: dict[str, Any]) -> None:
        for key in keys:
            waiter = self._waiters.get(key)
            for watcher in waiter.watchers if waiter else ():
                watcher(event, data)
