"""A store in a folder of the test's own, and everything that stands on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from storage.database import Database
from tests.databases import open_database
from tools.pictures.fetch import PictureFetcher
from tools.pictures.intake import Pictures
from tools.pictures.ocr import TextReader
from tools.pictures.store import PictureStore


@pytest.fixture
def store(tmp_path: Path) -> PictureStore:
    return PictureStore(tmp_path / "pictures")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def rows(sqlite_url: str) -> Iterator[Database]:
    """SQLite alone: what differs between databases is in the tests of storage/pictures.py."""
    with open_database(sqlite_url) as database:
        yield database


@pytest.fixture
async def reader() -> AsyncIterator[TextReader]:
    reader = TextReader()
    yield reader
    await reader.aclose()


@pytest.fixture
async def pictures(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader
) -> AsyncIterator[Pictures]:
    pictures = Pictures(rows, store, PictureFetcher(http, store, allow_private=True), reader)
    yield pictures
    await pictures.aclose()
