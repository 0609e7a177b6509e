"""The processes beside the service: what they may take, and how they are outlived."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.tools.pictures.making import PICTURES, REFUSED
from tools.pictures.apart import Unreadable
from tools.pictures.apart_process import Job
from tools.pictures.decoding import Limits, PictureRefused
from tools.pictures.inspect import inspect
from tools.pictures.ocr import Measurer, TextReader
from tools.pictures.reading import TextFound

BANNER = 16
"""Characters on it."""


@pytest.fixture
async def measurer() -> AsyncIterator[Measurer]:
    measurer = Measurer()
    yield measurer
    await measurer.aclose()


async def _process(reader: TextReader, *, other_than: int | None = None) -> psutil.Process:
    async with asyncio.timeout(60):
        while reader.pid in (None, other_than):  # noqa: ASYNC110 - tells nobody that it started
            await asyncio.sleep(0.001)
    return psutil.Process(reader.pid)


def _reading(reader: TextReader, name: str = "wide_banner") -> "asyncio.Task[TextFound]":
    return asyncio.create_task(reader.read(PICTURES[name]()))


async def test_it_yields_to_the_service_and_its_memory_is_bounded(reader: TextReader) -> None:
    await reader.read(PICTURES["icon_tiny"]())
    process = await _process(reader)
    assert process.nice() == min(os.nice(0) + 10, 19)
    soft, hard = process.rlimit(psutil.RLIMIT_DATA)
    assert soft == hard == (1 << 30) + 24 * Limits().max_pixels


async def test_a_picture_is_read_by_another_process_when_the_first_dies(
    reader: TextReader,
) -> None:
    reading = _reading(reader)
    first = await _process(reader)
    first.kill()
    assert (await reading).chars == BANNER
    assert reader.pid != first.pid


async def test_a_picture_that_kills_twice_is_left_unread_and_others_are_read(
    reader: TextReader,
) -> None:
    reading = _reading(reader, "menu_short")
    first = await _process(reader)
    first.kill()
    (await _process(reader, other_than=first.pid)).kill()
    with pytest.raises(Unreadable, match=r"ended with (-9|255)"):
        await reading
    with pytest.raises(Unreadable, match=r"ended with (-9|255)"):
        await reader.read(PICTURES["menu_short"]())
    assert reader.pid is None
    assert (await reader.read(PICTURES["wide_banner"]())).chars == BANNER


async def test_a_process_that_died_at_rest_costs_no_picture_a_try(reader: TextReader) -> None:
    await reader.read(PICTURES["icon_tiny"]())
    first = await _process(reader)
    first.kill()
    async with asyncio.timeout(60):
        while reader.pid is not None:  # noqa: ASYNC110 - tells nobody that it died
            await asyncio.sleep(0.001)
    reading = _reading(reader)
    second = await _process(reader, other_than=first.pid)
    second.kill()
    assert (await reading).chars == BANNER
    assert reader.pid not in (first.pid, second.pid)


async def test_what_takes_too_long_is_given_up() -> None:
    reader = TextReader(limit_s=0.05)
    with pytest.raises(Unreadable, match="no answer"):
        await reader.read(PICTURES["poster_text_flood"]())
    assert reader.pid is None
    await reader.aclose()


async def test_a_caller_who_leaves_while_it_is_read_does_not_shift_the_answers(
    reader: TextReader,
) -> None:
    leaving = _reading(reader, "poster_slogan")
    await _process(reader)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert (await reader.read(PICTURES["wide_banner"]())).chars == BANNER


async def test_closing_gives_up_what_is_read_and_what_waits() -> None:
    reader = TextReader()
    readings = [_reading(reader, name) for name in ("menu_long", "letter_page", "menu_short")]
    process = await _process(reader)
    await reader.aclose()
    found = await asyncio.gather(*readings, return_exceptions=True)
    assert [type(error) for error in found] == [Unreadable] * 3
    assert reader.waiting == 0
    assert not process.is_running()


async def test_signals_for_the_whole_group_do_not_end_it(reader: TextReader) -> None:
    await reader.read(PICTURES["icon_tiny"]())
    process = await _process(reader)
    process.terminate()
    process.send_signal(2)
    await reader.read(PICTURES["icon_tiny"]())
    assert reader.pid == process.pid


def test_it_ends_with_the_service_however_that_ended() -> None:
    job = Job(max_bytes=1 << 20, max_pixels=1 << 20, memory=1 << 30, niceness=0, idle_s=3_600)
    command = [sys.executable, "-m", "tools.pictures.apart_process", job.as_argument()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.communicate(b"\0\0\1", timeout=60)
    assert (process.returncode, out) == (0, b"")


async def test_a_process_that_runs_out_of_memory_is_replaced(reader: TextReader) -> None:
    await reader.read(PICTURES["icon_tiny"]())
    process = await _process(reader)
    process.rlimit(psutil.RLIMIT_DATA, (32 << 20, 32 << 20))
    assert (await reader.read(PICTURES["wide_banner"]())).chars == BANNER
    assert reader.pid != process.pid


async def test_it_measures_what_the_service_itself_would(measurer: Measurer) -> None:
    for name in ("id_card", "photo_cmyk", "logo_transparent", "screenshot_chat", "animated"):
        data = PICTURES[name]()
        sha256 = hashlib.sha256(data).hexdigest()
        assert await measurer.measure(data, sha256) == inspect(data, sha256, Limits()), name


async def test_it_refuses_with_the_same_words(measurer: Measurer) -> None:
    for name in ("truncated_jpeg", "corrupt_png", "bomb", "heic_photo"):
        data = REFUSED[name]()
        with pytest.raises(PictureRefused) as here:
            inspect(data, "", Limits())
        for refused in (measurer.check(data), measurer.measure(data, "")):
            with pytest.raises(PictureRefused) as there:
                await refused
            assert there.value.reason == here.value.reason, name
    await measurer.check(PICTURES["photo_webp"]())
