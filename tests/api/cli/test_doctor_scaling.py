"""`kefu doctor` about several processes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.cli.doctor_scaling import check_processes
from api.cli.findings import State
from engine.settings import Settings
from engine.wakeups import Wakeups
from storage.database import normalise_url
from storage.line import Line
from tests.api.service import settings_for
from tests.databases import fresh_postgres_database


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with fresh_postgres_database(postgres_url) as url:
        yield url


def settings_at(tmp_path: Path, url: str, role: str) -> Settings:
    return settings_for(tmp_path, database_url=SecretStr(url), role=role)


def test_a_door_without_workers_is_noted(tmp_path: Path, url: str) -> None:
    (finding,) = check_processes(settings_at(tmp_path, url, "api"))
    assert finding.state is State.NOTE
    assert "没有处理消息的进程" in finding.detail


async def test_those_that_work_are_counted(tmp_path: Path, url: str) -> None:
    worker = Wakeups(Line(normalise_url(url)), owner="worker", works=True)
    connected = asyncio.Event()
    worker.on_connected = connected.set
    worker.start()
    await connected.wait()
    settings = settings_at(tmp_path, url, "api")
    (finding,) = await asyncio.to_thread(lambda: list(check_processes(settings)))
    await worker.stop()
    assert (finding.state, finding.detail) == (State.OK, "唤醒正常,正在处理消息的进程 1 个")


def test_a_database_that_is_away_is_said_of_the_database(tmp_path: Path) -> None:
    nowhere = settings_at(tmp_path, "postgresql://127.0.0.1:1/none", "all")
    assert list(check_processes(nowhere)) == []


def test_on_sqlite_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert list(check_processes(settings_for(tmp_path))) == []
