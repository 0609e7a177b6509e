import pytest

from storage.database import Database
from tests.engine.desk.bench import Bench


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)
