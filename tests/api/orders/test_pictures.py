"""Pictures over HTTP: taken in whole and within limits, shown to staff, never run."""

import hashlib
import io

import httpx
import pytest
from PIL import Image

from tests.api.envelope import refusal
from tests.api.orders.conftest import Shop
from tools.pictures.store import PictureStore


def a_picture(kind: str = "PNG", size: tuple[int, int] = (80, 40)) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind)
    return out.getvalue()


async def send(shop: Shop, data: bytes, kind: str = "image/png") -> httpx.Response:
    return await shop.client.post("/api/pictures", content=data, headers={"Content-Type": kind})


async def test_a_picture_is_taken_once_and_shown_as_it_came(shop: Shop) -> None:
    data = a_picture()
    sha256 = hashlib.sha256(data).hexdigest()
    first = await send(shop, data)
    assert first.status_code == 201, first.text
    assert first.headers["location"] == f"/api/pictures/{sha256}"
    body = first.json()
    assert (body["sha256"], body["new"]) == (sha256, True)
    assert (body["facts"]["width"], body["facts"]["height"]) == (80, 40)
    again = await send(shop, data)
    assert (again.status_code, again.json()["new"]) == (200, False)
    shown = await shop.client.get(f"/api/pictures/{sha256}")
    assert shown.content == data
    assert shown.headers["content-type"] == "image/png"
    assert "immutable" in shown.headers["cache-control"]
    assert "private" in shown.headers["cache-control"]
    assert shown.headers["x-content-type-options"] == "nosniff"
    seen = {"If-None-Match": shown.headers["etag"]}
    unchanged = await shop.client.get(f"/api/pictures/{sha256}", headers=seen)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    ("kind", "shown_as"), [("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
async def test_the_content_type_is_that_of_the_bytes(shop: Shop, kind: str, shown_as: str) -> None:
    """Whatever the caller called it."""
    sent = await send(shop, a_picture(kind), "image/svg+xml")
    assert sent.status_code == 201, sent.text
    shown = await shop.client.get(sent.headers["location"])
    assert shown.headers["content-type"] == shown_as


async def test_a_form_with_one_file_is_a_picture_too(shop: Shop) -> None:
    files = {"file": ("图.png", a_picture(), "image/png")}
    taken = await shop.client.post("/api/pictures", files=files)
    assert taken.status_code == 201, taken.text
    two = [("files", ("a.png", a_picture(), "image/png")) for _ in range(2)]
    field, _ = refusal(await shop.client.post("/api/pictures", files=two), 422)
    assert field == "file"


@pytest.mark.parametrize(
    "data",
    [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"],
)
async def test_what_is_no_picture_is_refused_and_not_kept(shop: Shop, data: bytes) -> None:
    refusal(await send(shop, data))
    assert not shop.folder.exists()


async def test_half_a_picture_is_refused(shop: Shop) -> None:
    data = a_picture(size=(400, 400))
    refusal(await send(shop, data[: len(data) // 2]))
    assert not shop.folder.exists()


async def test_an_empty_or_misnamed_body_is_refused(shop: Shop) -> None:
    refusal(await send(shop, b""), 422)
    refusal(await send(shop, b"{}", "application/json"), 415)
    refusal(await send(shop, b"x", "multipart/form-data"), 400)


async def test_a_picture_over_the_limit_is_refused_before_it_is_kept(shop: Shop) -> None:
    shop.app.state.kefu.picture_desk._store = PictureStore(shop.folder, max_bytes=1_000)
    refusal(await send(shop, b"\x89PNG" + b"x" * 2_000), 413)
    assert not shop.folder.exists()


@pytest.mark.parametrize(
    "path",
    [
        "ab" * 31, "AB" * 32, "zz" * 32, "..%2f..%2fetc%2fpasswd", "%00" * 8, "..",
        "../../../../etc/passwd", "ab" * 32 + ".png", "ab" * 32 + "%0a",
    ],
)  # fmt: skip
async def test_nothing_but_a_picture_of_the_store_is_shown(shop: Shop, path: str) -> None:
    response = await shop.client.get(f"/api/pictures/{path}")
    assert response.status_code in (404, 405, 422), response.text
    refusal(response)


async def test_an_unknown_picture_is_not_found(shop: Shop) -> None:
    refusal(await shop.client.get(f"/api/pictures/{'ab' * 32}"), 404)
