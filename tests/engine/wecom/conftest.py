"""The desk at the simulated WeCom."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.wecom.desk import Desk, serving
from tests.sandbox_server import SandboxServer


@pytest.fixture
async def desk(database_url: str, sandbox_server: SandboxServer) -> AsyncIterator[Desk]:
    async with serving(database_url, sandbox_server) as desk:
        yield desk
