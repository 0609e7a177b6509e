"""Running services, shared by the tests that leave nothing behind that others could trip over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database
from tests.sandbox_server import sandbox_server, shared_sandbox
from tests.service import sample_data

__all__ = ["sandbox_server", "shared_sandbox"]


@pytest.fixture(scope="session")
def knowledge_folder() -> Path:
    return sample_data()


@pytest.fixture(scope="session")
def shared_service(
    tmp_path_factory: pytest.TempPathFactory, knowledge_folder: Path
) -> Iterator[Service]:
    """The service with the sample bases, without models and without a key."""
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, knowledge=knowledge_folder) as running:
        yield running


@pytest.fixture
def service(shared_service: Service) -> Service:
    return shared_service


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service_on_each_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if request.param == "sqlite":
        yield request.getfixturevalue("shared_service")
        return
    folder: Path = tmp_path_factory.mktemp("service-pg")
    with (
        fresh_postgres_database(request.getfixturevalue("postgres_url")) as url,
        running_service(folder, database_url=url) as running,
    ):
        yield running
