"""What orders are worked on with follows from the settings."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from domain.errors import ConfigurationError
from engine.settings import Settings, load_settings
from engine.workshop import LIBRARY_INDEX, build_keeping, build_links, build_workshop
from storage.database import Database
from tests.tools.pictures.drawing import encoded, landscape
from tools.pictures.store import PictureStore
from tools.pictures.workflow import Workshop

SHA256 = "ab" * 32


def settings_of(folder: Path, **chosen: Any) -> Settings:
    return load_settings(env_files=None, data_dir=folder, database_url=None, **chosen)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def shop_of(settings: Settings, http: httpx.AsyncClient) -> Workshop:
    return build_workshop(settings, http, http, PictureStore(settings.data_dir / "pictures"))


async def test_without_settings_there_are_only_the_operations_at_hand(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    shop = shop_of(settings_of(tmp_path, picture_work_s=9), http)
    assert (shop.library, shop.search, shop.images, shop.timeout) == (None, None, None, 9)


async def test_the_library_is_indexed_in_the_data_folder_and_changes_nothing_in_its_own(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    pictures, data = tmp_path / "originals", tmp_path / "data"
    pictures.mkdir()
    (pictures / "雪山.png").write_bytes(encoded(landscape(80, 60, seed=1)))
    shop = shop_of(settings_of(data, picture_library=pictures), http)
    assert shop.library is not None
    assert [one.path for one in await shop.library.find(None, ["雪山"])] == ["雪山.png"]
    assert (data / LIBRARY_INDEX).is_file()
    assert [one.name for one in pictures.iterdir()] == ["雪山.png"]


async def test_peers_are_there_where_they_are_named(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    named = {"images_url": "http://127.0.0.1:1/v1", "images_model": "m"}
    shop = shop_of(settings_of(tmp_path, image_search_url="http://127.0.0.1:1", **named), http)
    assert shop.search is not None
    assert shop.images is not None
    broken = settings_of(tmp_path, images_api_key=SecretStr("two\nlines"), **named)
    with pytest.raises(ConfigurationError, match="IMAGES_API_KEY"):
        shop_of(broken, http)


def test_addresses_outlive_the_process_and_start_with_the_public_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, public_url="https://kefu.example/shop/")
    url = build_links(settings).url(SHA256)
    path, _, query = url.partition("?")
    assert path == f"https://kefu.example/shop/pictures/{SHA256}"
    expires, sign = (part.partition("=")[2] for part in query.split("&"))
    assert build_links(settings).admits(SHA256, expires, sign)
    other = settings_of(tmp_path, secret_key=SecretStr("s" * 40))
    assert not build_links(other).admits(SHA256, expires, sign)


async def test_pictures_are_kept_for_ever_where_nobody_says_how_long(
    database: Database, tmp_path: Path
) -> None:
    store = PictureStore(tmp_path)
    assert build_keeping(settings_of(tmp_path, picture_keep_days=0), database, store) is None
    keeping = build_keeping(settings_of(tmp_path, picture_keep_days=1), database, store)
    assert keeping is not None
    assert keeping.keep_s == 7 * 86_400  # as long as the addresses that were sent
