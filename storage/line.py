"""A line between the processes of one PostgreSQL: LISTEN and NOTIFY, on connections of their own.

What is said reaches whoever listens at that moment, once and in order; nobody keeps it for who does
not. So it can carry hints about rows and nothing else.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from domain.errors import StorageError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

MAX_BYTES = 7_900
"""Of one saying: PostgreSQL refuses 8,000."""
_CHANNEL = "kefu"
_CONNECT_S = 5


class Line:
    """``url``: as `Database.url` has it. Every fault is a StorageError."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["OpenLine"]:
        async with contextlib.AsyncExitStack() as connections:
            with _translated():
                heard = await connections.enter_async_context(await self._connect())
                said = await connections.enter_async_context(await self._connect())
                await heard.execute(f"LISTEN {_CHANNEL}")
                # Nothing is lost with a hint, so nobody waits until it is on disk.
                await said.execute("SET synchronous_commit = off")
            yield OpenLine(heard, said)

    async def _connect(self) -> "AsyncConnection":
        from psycopg import AsyncConnection

        return await AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            application_name="kefu wake-ups",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )


class OpenLine:
    def __init__(self, heard: "AsyncConnection", said: "AsyncConnection") -> None:
        self._heard, self._said = heard, said

    async def heard(self, silence_s: float) -> AsyncIterator[str]:
        """What is said, by ourselves too. Raises StorageError after ``silence_s`` without a word:
        who says something now and then himself knows by that that the line is dead."""
        with _translated():
            while True:
                silent = True
                async for notice in self._heard.notifies(timeout=silence_s):
                    silent = False
                    yield notice.payload
                if silent:
                    raise StorageError(f"nothing was heard for {silence_s:g} s")

    async def say(self, words: str) -> None:
        with _translated():
            await self._said.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, words))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    from psycopg import Error

    try:
        yield
    except (Error, OSError) as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error
