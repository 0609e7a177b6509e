"""Signed addresses of pictures: for customers and channels, who have no key."""

import io
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image

from domain.errors import ConfigurationError
from domain.orders import OrderStatus
from engine.orders.links import KEY_FILE, PictureLinks, link_key
from tests.api.envelope import refusal
from tests.api.orders.conftest import Shop

WEEK_S = 7 * 86_400


def a_picture(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
async def customer(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """Without any key."""
    transport = httpx.ASGITransport(shop.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kefu") as client:
        yield client


async def test_who_has_the_address_gets_the_picture(
    shop: Shop, customer: httpx.AsyncClient
) -> None:
    data = a_picture()
    sha256 = (await shop.store.put(data)).sha256
    got = await customer.get(shop.links.url(sha256))
    assert (got.status_code, got.content) == (200, data)
    assert got.headers["content-type"] == "image/jpeg"
    assert got.headers["content-disposition"] == f'inline; filename="{sha256[:12]}.jpeg"'
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in got.headers["cache-control"]
    head = await customer.head(shop.links.url(sha256))
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))


async def test_a_delivered_picture_is_sent_as_an_address_that_works(
    shop: Shop, customer: httpx.AsyncClient
) -> None:
    data = a_picture()
    sha256 = (await shop.store.put(data)).sha256
    order = await shop.bench.order(status=OrderStatus.WORKING)
    await shop.bench.desk.deliver(order["id"], [sha256], actor="runner")
    sent = (await shop.bench.told())[1]
    assert (await customer.get(sent)).content == data


async def test_an_address_ends_with_its_time(shop: Shop, customer: httpx.AsyncClient) -> None:
    url = shop.links.url((await shop.store.put(a_picture())).sha256)
    shop.clock.now += WEEK_S - 1
    assert (await customer.get(url)).status_code == 200
    shop.clock.now += 1
    refusal(await customer.get(url), 404)


async def test_whatever_was_not_signed_is_not_found(
    shop: Shop, customer: httpx.AsyncClient
) -> None:
    here, there = [(await shop.store.put(a_picture(one))).sha256 for one in ("red", "blue")]
    url = shop.links.url(here)
    parts = parse_qs(urlsplit(url).query)
    expires, sign = parts["expires"][0], parts["sign"][0]
    other = PictureLinks("http://kefu", b"another key", clock=shop.clock).url(here)
    wrong = [
        url.replace(here, there),
        url.replace(expires, str(int(expires) + 1)),
        url.replace(expires, "9" * 30),
        url.replace(sign, sign[:-1]),
        url.replace(sign, sign.swapcase()),
        url.replace(sign, "%00é\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
        url.partition("?")[0],
        f"{url.partition('?')[0]}?expires=&sign=",
        other,
        shop.links.url("ab" * 32),  # signed, but there is no such picture
        shop.links.url("..%2f..%2fetc%2fpasswd"),
        shop.links.url("x"),
    ]
    for address in wrong:
        refusal(await customer.get(address), 404)


async def test_an_address_opens_nothing_but_its_picture(
    shop: Shop, customer: httpx.AsyncClient
) -> None:
    sha256 = (await shop.store.put(a_picture())).sha256
    query = urlsplit(shop.links.url(sha256)).query
    refusal(await customer.get(f"/api/pictures/{sha256}?{query}"), 401)
    refusal(await customer.get(f"/pictures?{query}"), 401)
    refusal(await customer.post(shop.links.url(sha256)), 405)


def test_without_a_secret_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    key = link_key(None, folder)
    assert link_key(None, folder) == key
    assert stat.S_IMODE(os.stat(folder / KEY_FILE).st_mode) == 0o600
    assert os.listdir(folder) == [KEY_FILE]
    assert link_key(None, tmp_path / "other") != key


def test_all_processes_with_one_secret_have_one_key_and_it_is_not_the_secret(
    tmp_path: Path,
) -> None:
    secret = "s" * 40
    key = link_key(secret, tmp_path / "a")
    assert key == link_key(secret, tmp_path / "b")
    assert secret.encode() not in key
    assert not (tmp_path / "a").exists()


def test_a_key_file_that_holds_no_key_is_not_used(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("", "ascii")
    with pytest.raises(ConfigurationError, match="holds no key"):
        link_key(None, tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        link_key(None, tmp_path / KEY_FILE / "folder")
