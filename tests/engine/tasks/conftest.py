"""All peers of tasks: the webhook channel and staff, Tianwang's callbacks, Tuhui's dispatch."""

from collections.abc import AsyncIterator

import httpx
import pytest

from engine.channels import CallbackChannel
from engine.delivery import Channel
from tests.engine.processes import Clock, Process, Tasks, running_process, sandbox_channels
from tests.engine.tasks.orders import PATIENT, SECRET
from tests.sandbox_server import SandboxServer
from tools.tianwang.client import CallbackClient
from tools.tuhui.client import TuhuiClient


@pytest.fixture
async def channels(sandbox_server: SandboxServer) -> AsyncIterator[dict[str, Channel]]:
    url = sandbox_server.url
    sandbox_server.put("/_sandbox/tianwang/secret", {"secret": SECRET})
    async with (
        sandbox_channels(sandbox_server) as channels,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        callbacks = CallbackClient(f"{url}/tianwang/callback", SECRET, http, timeout=2.0)
        channels["tianwang"] = CallbackChannel(callbacks)
        yield channels


@pytest.fixture
async def tuhui(sandbox_server: SandboxServer) -> AsyncIterator[TuhuiClient]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield TuhuiClient(f"{sandbox_server.url}/tuhui", "designers", http)


@pytest.fixture
def clock() -> Clock:
    """Of `process`."""
    return Clock()


@pytest.fixture
async def process(
    database_url: str, channels: dict[str, Channel], tuhui: TuhuiClient, clock: Clock
) -> AsyncIterator[Process]:
    """Works on tasks; a delivery that fails is tried again soon."""
    async with running_process(
        database_url, channels=channels, policy=PATIENT, clock=clock, tasks=Tasks(tuhui=tuhui)
    ) as process:
        yield process
