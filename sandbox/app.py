"""Puts the sandbox together."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from sandbox.admin import Control, base_url, one_line_422
from sandbox.changes import Changes
from sandbox.faults import FaultBook
from sandbox.gate import PeerGate
from sandbox.index import page
from sandbox.journal import Journal, JournalFile
from sandbox.peer import Peer, Sandbox
from sandbox.peers import PEERS
from sandbox.settings import SandboxSettings


class SandboxApp(FastAPI):
    """Run it on uvicorn, in one process: its state is in memory.

    Call ``sandbox.halt()`` when the server begins to shut down, so that hanging requests end.
    """

    def __init__(self, sandbox: Sandbox, peers: Mapping[str, Peer], file: JournalFile | None):
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            if file is not None:
                file.start()
            for peer in peers.values():
                await peer.start()
            yield
            sandbox.halt()
            for peer in peers.values():
                await peer.stop()
            if file is not None:
                file.stop()

        super().__init__(title="Kefu Graph sandbox", lifespan=lifespan)
        self.sandbox = sandbox
        self._gate = PeerGate(sandbox, peers, super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The gate closes connections and needs the server's own ``send``: it stands outside the
        # middleware stack, which wraps it.
        await self._gate(scope, receive, send)


def create_app(settings: SandboxSettings | None = None) -> SandboxApp:
    """Raises ValueError if ``settings.target`` is no address."""
    settings = settings or SandboxSettings()
    file = JournalFile(settings.journal_file) if settings.journal_file else None
    sandbox = _sandbox(settings, file)
    peers = {peer.name: peer for peer in (kind(sandbox) for kind in PEERS)}
    app = SandboxApp(sandbox, peers, file)
    app.add_exception_handler(RequestValidationError, one_line_422)
    for peer in peers.values():
        app.include_router(peer.router)
        app.include_router(peer.admin)
    app.include_router(Control(sandbox, peers).router)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def index() -> str:
        return page(sandbox, peers.values())

    return app


def _sandbox(settings: SandboxSettings, file: JournalFile | None) -> Sandbox:
    chance = random.Random(settings.seed)
    changes = Changes()
    journal = Journal(
        max_entries=settings.journal_entries,
        max_bytes=settings.journal_bytes,
        max_body_bytes=settings.journal_body_bytes,
        changes=changes,
        file=file,
    )
    return Sandbox(
        settings=settings,
        journal=journal,
        faults=FaultBook(chance),
        target=base_url(settings.target),
        chance=chance,
        changes=changes,
    )
