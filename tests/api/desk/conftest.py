"""A service with a key, so that nobody is let in for being on this machine."""

from collections.abc import Iterator

import pytest

from tests.api.desk.seats import KEY, WITH_KEY
from tests.api.service import Service, running_service


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Nobody is employed yet; ``client`` shows the key."""
    with running_service(tmp_path_factory.mktemp("staffed"), api_key=KEY) as running:
        running.client.headers.update(WITH_KEY)
        yield running
