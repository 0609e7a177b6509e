"""What a process does by itself: everything, or at a door nothing that workers do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.errors import ConfigurationError
from engine.bootstrap import Kefu, build
from engine.settings import Settings
from tests.api.service import settings_for
from tests.databases import fresh_postgres_database

WORK = {
    "sweep",
    "due tasks",
    "due orders",
    "due campaigns",
    "desk watch",
}
EVERYWHERE = {"renew leases", "wake-ups", "desk events"}


@pytest.fixture
def settings(tmp_path: Path, postgres_url: str) -> Iterator[Settings]:
    with fresh_postgres_database(postgres_url) as url:
        yield settings_for(tmp_path, database_url=SecretStr(url), role="api")


def running(kefu: Kefu) -> set[str]:
    """Names of the tasks that ``kefu`` has begun."""

    async def names() -> set[str]:
        await kefu.start()
        try:
            return {task.get_name() for task in asyncio.all_tasks()}
        finally:
            await kefu.stop()

    return asyncio.run(names())


def test_a_door_leaves_all_work_to_workers(settings: Settings) -> None:
    begun = running(build(settings))
    assert begun >= EVERYWHERE
    assert not begun & WORK


@pytest.mark.parametrize("worker", [True, False])
def test_a_worker_and_a_process_for_all_do_everything(settings: Settings, worker: bool) -> None:
    chosen = settings if worker else settings.model_copy(update={"role": "all"})
    begun = running(build(chosen, worker=worker))
    assert begun >= EVERYWHERE | WORK


def test_on_sqlite_nobody_would_do_what_a_door_leaves(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KEFU_ROLE"):
        settings_for(tmp_path, role="api")
