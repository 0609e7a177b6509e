"""Fixtures that every part uses: the database on both engines."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from storage.database import Database
from tests.databases import (
    LentDatabases,
    fresh_postgres_database,
    open_database,
    postgres_server,
)

# The files of an index stay open until the collector comes by: more than many a shell allows.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 4_096)), _hard))

# Half a minute each, and last by their names: they would end alone. What reads pictures yields to
# all else that runs, so it is done while others wait.
_LONG = ("tools/pictures/test_intake.py", "tools/pictures/test_reading.py")

settings.register_profile("untimed", deadline=None)  # a busy machine is no finding
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first; all others stay in their order."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).as_posix() not in _LONG)


_SHOWN_CHARS = 3_000
MAX_RERUNS = 5
"""Tests of a run (`make test`): as many may depend on how busy the machine is, more are a fault."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    again = terminalreporter.stats.get("rerun", [])
    for report in again:
        terminalreporter.write_line(f"RERUN {report.nodeid}")
        terminalreporter.write_line(report.longreprtext[-_SHOWN_CHARS:])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    again = reporter.stats.get("rerun", []) if reporter is not None else []
    if len({report.nodeid for report in again}) > MAX_RERUNS and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once, copied for each test: running the migrations takes longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "kefu.db"
    with open_database(f"sqlite:///{file}"):
        pass
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[LentDatabases]:
    databases = LentDatabases(postgres_url)
    yield databases
    databases.close()


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A migrated database of the test's own."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'kefu.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same tests run on both databases."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    databases: LentDatabases = request.getfixturevalue("migrated_postgres")
    with databases.lend() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'kefu.db'}"
        return
    with fresh_postgres_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as database:
        yield database
