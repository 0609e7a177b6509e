"""What the store takes, turns away, and gives back."""

import asyncio
import hashlib
import os
from pathlib import Path

import psutil
import pytest

from domain.errors import InvalidInput, NotFound
from tests.tools.pictures.making import PICTURES, REFUSED, lying_header
from tools.pictures.store import PictureRefused, PictureStore


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", PICTURES)
async def test_every_picture_comes_back_as_it_was_sent(store: PictureStore, name: str) -> None:
    data = PICTURES[name]()
    stored = await store.put(data)
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert await store.read(stored.sha256) == data


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_says_why_in_chinese_and_leaves_no_file(
    store: PictureStore, tmp_path: Path, name: str
) -> None:
    with pytest.raises(PictureRefused) as refused:
        await store.put(REFUSED[name]())
    assert any("\u4e00" <= letter <= "\u9fff" for letter in refused.value.reason)
    assert refused.value.field == "picture"
    assert _files(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("too_many_pixels", "5000 万像素"),
        ("bomb", "5000 万像素"),
        ("too_many_bytes", "20 MB"),
        ("heic_photo", "HEIC"),
        ("pdf_file", "PDF"),
        ("page_named_jpg", "不是图片"),
        ("eps_file", "不是图片"),
        ("truncated_jpeg", "没有传完整"),
        ("corrupt_png", "损坏"),
        ("empty_file", "空"),
    ],
)
async def test_the_reason_is_the_right_one(store: PictureStore, name: str, word: str) -> None:
    with pytest.raises(PictureRefused, match=word):
        await store.put(REFUSED[name]())


async def test_bombs_take_no_memory(store: PictureStore) -> None:
    """Unpacked, the first is 450 MB and the second 180 MB."""
    bombs = [REFUSED["bomb"](), REFUSED["too_many_pixels"](), lying_header()]
    process = psutil.Process()
    before = process.memory_info().rss
    for bomb in bombs:
        try:
            await store.put(bomb)
        except PictureRefused:
            continue
    assert process.memory_info().rss - before < 30 * 2**20


async def test_the_same_bytes_are_one_file(store: PictureStore, tmp_path: Path) -> None:
    data = PICTURES["logo_flat"]()
    found = await asyncio.gather(*(store.put(data) for _ in range(8)))
    assert len({stored.sha256 for stored in found}) == 1
    assert not (await store.put(data)).is_new
    assert _files(tmp_path) == [store.path(found[0].sha256)]


async def test_a_file_cut_short_is_not_given_out_and_is_mended_by_the_next_put(
    store: PictureStore,
) -> None:
    data = PICTURES["logo_flat"]()
    stored = await store.put(data)
    os.truncate(store.path(stored.sha256), 100)
    with pytest.raises(NotFound):
        await store.read(stored.sha256)
    assert (await store.put(data)).is_new
    assert await store.read(stored.sha256) == data


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "ABC", "a" * 63, "a" * 64 + "\n"])
async def test_what_is_no_digest_is_no_path(store: PictureStore, name: str) -> None:
    with pytest.raises(InvalidInput):
        await store.read(name)


async def test_limits_are_the_owners(tmp_path: Path) -> None:
    small = PictureStore(tmp_path / "small", max_bytes=3_000, max_pixels=10_000)
    with pytest.raises(PictureRefused, match="像素"):
        await small.put(PICTURES["animated"]()[:3_000])
    assert (await small.put(PICTURES["icon_tiny"]())).header.width == 24


@pytest.mark.parametrize(
    ("name", "kind", "mode", "frames", "dpi"),
    [
        ("photo_cmyk", "JPEG", "CMYK", 1, 300),
        ("animated", "GIF", "P", 8, None),
        ("gray_16_bit", "PNG", "I;16", 1, None),
        ("photo_palette", "PNG", "P", 1, None),
        ("photo_webp", "WEBP", "RGB", 1, None),
        ("photo_tiff", "TIFF", "RGB", 1, 300),
        ("photo_bmp", "BMP", "RGB", 1, 96),
        ("logo_transparent", "PNG", "RGBA", 1, None),
    ],
)
async def test_the_header_says_what_it_is(
    store: PictureStore, name: str, kind: str, mode: str, frames: int, dpi: int | None
) -> None:
    header = (await store.put(PICTURES[name]())).header
    assert (header.format, header.mode, header.frames, header.dpi) == (kind, mode, frames, dpi)


async def test_exif_turns_the_size(store: PictureStore) -> None:
    for name, size in (("poster_turned", (800, 1100)), ("photo_turned", (600, 800))):
        header = (await store.put(PICTURES[name]())).header
        assert (header.width, header.height) == size
