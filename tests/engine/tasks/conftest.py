"""All peers of tasks: the webhook channel and staff, Tianwang's callbacks, Tuhui's dispatch; and
databases that are copies of a migrated one, since there are many of these tests."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from engine.channels import CallbackChannel
from engine.delivery import Channel
from tests.databases import copied_postgres_database, fresh_postgres_database, open_database
from tests.engine.processes import Process, Tasks, running_process, sandbox_channels
from tests.engine.tasks.orders import PATIENT, SECRET
from tests.sandbox_server import SandboxServer
from tools.tianwang.client import CallbackClient
from tools.tuhui.client import TuhuiClient


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "kefu.db"
    with open_database(f"sqlite:///{file}"):
        pass
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[str]:
    with fresh_postgres_database(postgres_url) as url:
        with open_database(url):
            pass
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        file = tmp_path / "kefu.db"
        shutil.copy(request.getfixturevalue("migrated_file"), file)
        yield f"sqlite:///{file}"
        return
    with copied_postgres_database(request.getfixturevalue("migrated_postgres")) as url:
        yield url


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
async def process(
    database_url: str, channels: dict[str, Channel], tuhui: TuhuiClient
) -> AsyncIterator[Process]:
    """Works on tasks; a delivery that fails is tried again soon."""
    async with running_process(
        database_url, channels=channels, policy=PATIENT, tasks=Tasks(tuhui=tuhui)
    ) as process:
        yield process
