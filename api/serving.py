"""uvicorn, told to end in order: not ready first, then streams, then all else."""

import asyncio
import logging
import socket

import uvicorn
from fastapi import FastAPI

from api.desk.streams import Streams
from engine.bootstrap import Kefu

log = logging.getLogger(__name__)
TICK_S = 0.1


class Server(uvicorn.Server):
    """Streams end before connections; else stopping would wait for them as long as it waits for
    anything. ``drain_s``: from the signal on it says that it is not ready, and takes what still
    comes, until a balancer has noticed."""

    def __init__(self, app: FastAPI, config: uvicorn.Config, *, drain_s: float = 0.0) -> None:
        super().__init__(config)
        self._kefu: Kefu = app.state.kefu
        self._streams: Streams | None = getattr(app.state, "streams", None)
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        if self._streams is not None:
            self._streams.close()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        self._kefu.draining = True
        if self._drain_s:
            log.info("not ready any more; ending in %g s", self._drain_s)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._drain_s
        while not self.force_exit and loop.time() < ends:  # noqa: ASYNC110 - told by a bare flag
            await asyncio.sleep(TICK_S)
