"""The folder's sandbox, the channels to it, and one running process."""

from collections.abc import AsyncIterator

import pytest

from engine.delivery import Channel
from tests.engine.processes import Process, running_process, sandbox_channels
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox

__all__ = ["sandbox_server", "shared_sandbox"]


@pytest.fixture
async def channels(sandbox_server: SandboxServer) -> AsyncIterator[dict[str, Channel]]:
    async with sandbox_channels(sandbox_server) as channels:
        yield channels


@pytest.fixture
async def process(database_url: str, channels: dict[str, Channel]) -> AsyncIterator[Process]:
    async with running_process(database_url, channels=channels) as process:
        yield process
