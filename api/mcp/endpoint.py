"""`/mcp` as an ASGI application.

The SDK takes most of a second to import: the first request pays for that, not the service's start.
"""

import asyncio
import importlib
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from api.envelopes import error_response
from engine.settings import Settings
from engine.tool_desk import ToolDesk

if TYPE_CHECKING:
    from api.mcp.server import ToolServer

_ONLY_POST = "只支持 POST"


class McpEndpoint:
    """Stateless: each POST is answered by itself, with JSON; there is no stream to GET."""

    def __init__(self, desk: ToolDesk, settings: Settings, *, version: str) -> None:
        self._desk, self._settings, self._version = desk, settings, version
        self._starting: asyncio.Task[ToolServer] | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            refused = error_response(scope["path"], 405, _ONLY_POST, headers={"Allow": "POST"})
            await refused(scope, receive, send)
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="mcp-start")
        # Shielded: it is not this caller's alone.
        server = await asyncio.shield(self._starting)
        await server.handle(scope, receive, send)

    async def _start(self) -> "ToolServer":
        module = await asyncio.to_thread(importlib.import_module, "api.mcp.server")
        server: ToolServer = module.ToolServer(self._desk, self._settings, version=self._version)
        ready = asyncio.Event()
        # What serves must be left by the task that entered it.
        self._running = asyncio.create_task(server.run(ready, self._stop), name="mcp")
        await ready.wait()
        return server

    async def aclose(self) -> None:
        self._stop.set()
        tasks = [task for task in (self._starting, self._running) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
