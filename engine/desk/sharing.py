"""One read for all who ask the same at the same time, none of them told anything old: whoever comes
while a read is under way shares the next one, which begins after they asked."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}
        self._next: dict[K, asyncio.Task[V]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._under_way or self._next)

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """A caller that is cancelled leaves the read to the others."""
        if key in self._next:
            return await asyncio.shield(self._next[key])
        before = self._under_way.get(key)
        task = asyncio.create_task(self._read(key, before, read))
        if before is None:
            self._under_way[key] = task
        else:
            self._next[key] = task
        return await asyncio.shield(task)

    async def _read(
        self, key: K, before: asyncio.Task[V] | None, read: Callable[[], Awaitable[V]]
    ) -> V:
        if before is not None:
            await asyncio.wait([before])
            self._under_way[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            if key not in self._next:
                del self._under_way[key]
