from collections.abc import AsyncIterator

import pytest

from engine.delivery import Channel
from storage.database import Database
from tests.engine.dispatch.desk import Desk, running_desk
from tests.engine.dispatch.wire import Wire, running_wire
from tests.sandbox_server import SandboxServer


@pytest.fixture
async def wire(sandbox_server: SandboxServer) -> AsyncIterator[Wire]:
    async with running_wire(sandbox_server.url) as wire:
        yield wire


@pytest.fixture
async def desk(
    database: Database, sandbox_server: SandboxServer, wire: Wire, channels: dict[str, Channel]
) -> AsyncIterator[Desk]:
    async with running_desk(database, sandbox_server, wire, channels) as desk:
        yield desk
