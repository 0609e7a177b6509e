from collections.abc import Iterator

import pytest

from storage.database import Database
from tests.databases import open_database
from tests.engine.figures.bench import Bench


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


@pytest.fixture
def second(database_url: str, database: Database) -> Iterator[Database]:
    """The same rows over connections of their own, as another process has them."""
    with open_database(database_url) as second:
        yield second
