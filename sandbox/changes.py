"""Waiting for a condition over in-memory state without polling."""

import asyncio
from collections.abc import Callable

MAX_WAIT_SECONDS = 120.0
# Looking again may mean a scan: under load one look serves many changes.
_LOOK_EVERY_SECONDS = 0.005


class Changes:
    """Whoever changes the state calls ``notify``; whoever waits is woken to look again."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._waiting = 0
        self._closed = False

    def notify(self) -> None:
        if self._waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    def close(self) -> None:
        """Wake everyone for good: the sandbox stops."""
        self._closed = True
        self.notify()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether ``holds`` came true within ``seconds`` (at most ``MAX_WAIT_SECONDS``)."""
        if holds() or seconds <= 0 or self._closed:
            return holds()
        self._waiting += 1
        try:
            async with asyncio.timeout(min(seconds, MAX_WAIT_SECONDS)):
                while not holds() and not self._closed:
                    await self._changed.wait()
                    await asyncio.sleep(_LOOK_EVERY_SECONDS)
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return holds()
