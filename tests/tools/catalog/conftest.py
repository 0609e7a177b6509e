"""A database in which 小明 and others have written, and calls about them."""

import asyncio
from collections.abc import Iterator

import pytest

from storage.database import Database
from tests.databases import open_database
from tests.tools.catalog.calls import Desk, everybody_wrote


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """For calls alone: tools read, and what they bring about is written by nobody."""
    with open_database(f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'kefu.db'}") as database:
        asyncio.run(everybody_wrote(database))
        yield Desk(database)


@pytest.fixture
async def writing_desk(database: Database) -> Desk:
    """Of its own for each test, on both databases: for what becomes of effects."""
    await everybody_wrote(database)
    return Desk(database)
