"""OCR: what it reads, that one picture at a time is read, and what it costs."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from domain.pictures import MAX_TEXT_KEPT, PictureKind
from tests.tools.pictures.making import PICTURES, REFUSED, written
from tools.pictures.decoding import Limits, PictureRefused
from tools.pictures.inspect import inspect, with_text
from tools.pictures.ocr import ReadingQueueFull, TextReader
from tools.pictures.reading import TextFound

ROOT = Path(__file__).resolve().parents[3]

CLEAN = (
    "poster_slogan", "poster_event", "poster_text_heavy", "menu_short", "flyer_tutoring",
    "business_card", "product_strip", "wide_banner", "poster_turned", "photo_with_caption",
    "id_card", "id_card_back", "business_licence", "banknote", "transfer_screenshot",
    "brand_logo", "logo_with_name", "screenshot_chat",
)  # fmt: skip
WITHOUT = ("photo_landscape", "photo_portrait", "blank_white", "noise_only", "icon_tiny")


def _letters(text: str) -> "Counter[str]":
    return Counter(letter for letter in text if letter.isalnum())


def _wait_until_dropped(reader: TextReader) -> None:
    while reader.is_loaded:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def found_on() -> dict[str, TextFound]:
    """By picture; one process reads them, each once."""

    async def read() -> dict[str, TextFound]:
        reader = TextReader()
        try:
            return {name: await reader.read(PICTURES[name]()) for name in (*CLEAN, *WITHOUT)}
        finally:
            await reader.aclose()

    return asyncio.run(read())


def test_clean_writing_is_read_letter_by_letter(found_on: dict[str, TextFound]) -> None:
    for name in CLEAN:
        found = found_on[name]
        wanted, got = _letters(written(name)), _letters(found.text)
        wrong = (wanted - got).total() + (got - wanted).total()
        assert wrong <= 0.02 * wanted.total(), (name, found.text)
        assert all(0 <= side <= 1 for line in found.lines for side in line.box), name


def test_pictures_without_writing_have_hardly_a_letter(found_on: dict[str, TextFound]) -> None:
    for name in WITHOUT:
        assert found_on[name].chars <= 1, name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("poster_slogan", PictureKind.TEXT),
        ("poster_event", PictureKind.TEXT),
        ("menu_short", PictureKind.TEXT),
        ("photo_with_caption", PictureKind.PHOTO),
        ("business_card", PictureKind.TEXT),
        ("brand_logo", PictureKind.LOGO),
        ("logo_with_name", PictureKind.LOGO),
        ("id_card", PictureKind.DOCUMENT),
        ("screenshot_chat", PictureKind.SCREENSHOT),
    ],
)
def test_writing_tells_a_poster_from_a_logo(
    found_on: dict[str, TextFound], name: str, kind: PictureKind
) -> None:
    facts = with_text(inspect(PICTURES[name](), "0" * 64, Limits()), found_on[name])
    assert (facts.kind, facts.text_read) == (kind, True)
    assert len(facts.text) <= MAX_TEXT_KEPT


async def test_a_full_queue_says_so_and_a_cancelled_waiter_makes_room() -> None:
    reader = TextReader(max_waiting=3)
    data = PICTURES["menu_short"]()
    waiting = [asyncio.create_task(reader.read(data)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ReadingQueueFull) as full:
        await reader.read(data)
    assert full.value.waiting == 3
    waiting[2].cancel()
    await asyncio.wait(waiting[2:])
    assert waiting[2].cancelled()
    assert reader.waiting == 2
    assert [found.chars for found in await asyncio.gather(*waiting[:2])] == [42, 42]
    await reader.aclose()


async def test_the_models_come_with_the_first_picture_and_go_after_a_quiet_while() -> None:
    reader = TextReader(idle_s=0.05)
    loaded = [reader.is_loaded]
    await reader.read(PICTURES["wide_banner"]())
    loaded.append(reader.is_loaded)
    assert loaded == [False, True]
    async with asyncio.timeout(60):
        await asyncio.to_thread(_wait_until_dropped, reader)
    assert (await reader.read(PICTURES["wide_banner"]())).chars == 16
    await reader.aclose()


async def test_what_cannot_be_decoded_is_refused_before_the_models_are_loaded() -> None:
    reader = TextReader()
    for name in ("bomb", "truncated_jpeg", "pdf_file"):
        with pytest.raises(PictureRefused):
            await reader.read(REFUSED[name]())
    mapped = [each.path for each in psutil.Process(reader.pid).memory_maps()]
    assert any("_imaging" in path for path in mapped)
    assert not any("onnxruntime" in path for path in mapped)
    await reader.aclose()


TWENTY = """
import asyncio, json, time
import psutil
from tests.tools.pictures.making import PICTURES
from tools.pictures.ocr import TextReader

NAMES = ["menu_short", "business_card", "wide_banner", "poster_slogan", "photo_webp"]

async def lags(stop):
    found = []
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        found.append(time.perf_counter() - began - 0.005)
    return sorted(found)

def peak(process):
    # Of this program alone: getrusage would count what its parent had before the exec.
    status = dict(line.split(":", 1) for line in open(f"/proc/{process}/status"))
    return int(status["VmHWM"].split()[0]) / 1024

async def main():
    data = [PICTURES[name]() for name in NAMES]
    quiet = asyncio.Event()
    idle = asyncio.create_task(lags(quiet))
    await asyncio.sleep(1)
    quiet.set()
    before = psutil.Process().memory_info().rss / 2**20
    reader, stop = TextReader(), asyncio.Event()
    watch = asyncio.create_task(lags(stop))
    began = time.perf_counter()
    found = await asyncio.gather(*(reader.read(data[n % 5]) for n in range(20)))
    took = time.perf_counter() - began
    stop.set()
    ours, theirs = peak("self"), peak(reader.pid)
    await reader.aclose()
    busy, calm = await watch, await idle
    print(json.dumps({
        "chars": [each.chars for each in found], "s_each": took / 20,
        "lag_p99": busy[len(busy) * 99 // 100], "idle_p99": calm[len(calm) * 99 // 100],
        "grown_mb": ours - before, "reading_mb": theirs,
    }))

asyncio.run(main())
"""


def test_twenty_pictures_at_once_leave_the_event_loop_free_and_memory_bounded() -> None:
    """In a process of its own, so that its peak memory is its own. A turn of a text message takes
    some ten milliseconds: the loop is never held for longer than a few of those. The service's
    memory does not grow with the reading, which has some of its own."""
    done = subprocess.run(
        [sys.executable, "-c", TWENTY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    print(figures)
    assert figures["chars"] == [42, 33, 16, 10, 0] * 4
    assert figures["lag_p99"] < 0.1
    assert figures["grown_mb"] < 100
    assert figures["reading_mb"] < 700
