"""uvicorn, told of responses that never end by themselves."""

import socket

import uvicorn
from fastapi import FastAPI

from api.desk.streams import Streams


class Server(uvicorn.Server):
    """Streams end first; else stopping would wait for them as long as it waits for anything."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._streams: Streams = app.state.streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)
