"""A price book file that changes while the service runs."""

import asyncio
import logging
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from domain.messages import Attachment
from domain.pictures import PictureFacts
from domain.pricing import PriceBook
from engine.metrics import Metrics
from engine.prices import Prices
from storage.database import Database
from tests.engine.processes import Clock, a_message, running_process

DEFAULT = (resources.files("engine") / "defaults" / "price_book.yaml").read_text("utf-8")
DEARER = DEFAULT.replace('version: "2026.2"', 'version: "2026.3"').replace(
    "name: 高清修复", "name: 高清大修"
)
BROKEN = DEFAULT.replace("floor: 18", "floor: 99")
ASKED = "这张照片高清修复多少钱"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(DEFAULT, "utf-8")
    return path


def swap(file: Path, text: str) -> None:
    """As a careful writer does it; its time differs however coarse the file system's clock is."""
    new = file.with_suffix(".new")
    new.write_text(text, "utf-8")
    stamp = file.stat().st_mtime_ns + 1_000_000_000 if file.exists() else 1_000_000_000
    os.utime(new, ns=(stamp, stamp))
    new.replace(file)


def secretly_change(file: Path) -> None:
    found = file.stat()
    file.write_text(DEFAULT.replace("base: 25", "base: 26"), "utf-8")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_changed_file_is_taken(file: Path) -> None:
    clock, told = Clock(), list[PriceBook]()
    prices = Prices(file, DEFAULT, Metrics(), clock=clock)
    prices.on_change = told.append
    before, since = prices.book, prices.since
    assert not await prices.check()
    swap(file, DEARER)
    clock.ahead = 60
    assert await prices.check()
    assert (prices.book.version, told) == ("2026.3", [prices.book])
    assert prices.since >= since + 60
    assert before.version == "2026.2", "who has the old one keeps it"


async def test_the_file_is_watched_without_being_asked(file: Path) -> None:
    prices, changed = Prices(file, DEFAULT, Metrics(), check_s=0.01), asyncio.Event()
    prices.on_change = lambda _book: changed.set()
    prices.start()
    try:
        swap(file, DEARER)
        async with asyncio.timeout(60):
            await changed.wait()
    finally:
        await prices.stop()
    assert prices.book.version == "2026.3"


async def test_an_unusable_file_changes_nothing_and_is_said_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    prices = Prices(file, DEFAULT, metrics)
    swap(file, BROKEN)
    for _ in range(3):
        assert not await prices.check()
    assert prices.book.version == "2026.2"
    assert prices.refused is not None
    assert prices.refused.field == "price_book.services.1.floor"
    line = BROKEN.splitlines().index("    floor: 99") + 1
    assert f"(line {line})" in prices.refused.reason
    (said,) = errors(caplog)
    assert "price_book.services.1.floor" in said
    assert f"(line {line})" in said
    value = metrics.registry.get_sample_value
    assert value("kefu_price_book_refused") == 1
    assert value("kefu_price_book_loads_total", {"outcome": "refused"}) == 1


async def test_a_mended_file_is_taken_and_nothing_is_wrong_any_more(file: Path) -> None:
    metrics = Metrics()
    prices = Prices(file, DEFAULT, metrics)
    swap(file, BROKEN)
    await prices.check()
    swap(file, DEARER)
    assert await prices.check()
    assert (prices.book.version, prices.refused) == ("2026.3", None)
    assert metrics.registry.get_sample_value("kefu_price_book_refused") == 0


async def test_the_old_file_put_back_is_no_new_book(file: Path) -> None:
    prices = Prices(file, DEFAULT, Metrics())
    swap(file, BROKEN)
    await prices.check()
    swap(file, "# 注释\n" + DEFAULT)
    assert not await prices.check()
    assert prices.refused is None


@pytest.mark.parametrize(
    "text", ["", "[", "services: 1", DEFAULT[: len(DEFAULT) // 2], "\x00", "version: 2026-13-45"]
)
async def test_half_a_file_or_none_of_it_is_refused(file: Path, text: str) -> None:
    prices = Prices(file, DEFAULT, Metrics())
    swap(file, text)
    assert not await prices.check()
    assert prices.refused is not None
    assert prices.book.version == "2026.2"


async def test_a_file_that_is_gone_is_missed_once_and_taken_when_it_is_back(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prices = Prices(file, DEFAULT, Metrics())
    await asyncio.to_thread(file.unlink)
    for _ in range(3):
        assert not await prices.check()
    assert len(errors(caplog)) == 1
    assert prices.refused is not None
    swap(file, DEARER)
    assert await prices.check()


async def test_a_file_that_is_not_text_is_refused_and_taken_once_it_is(file: Path) -> None:
    prices = Prices(file, DEFAULT, Metrics())
    await asyncio.to_thread(file.write_bytes, DEFAULT.encode("gbk"))
    assert not await prices.reload()
    assert prices.refused is not None
    assert "UTF-8" in prices.refused.reason
    swap(file, DEARER)
    assert await prices.check()


async def test_reload_reads_a_file_that_looks_unchanged(file: Path) -> None:
    prices = Prices(file, DEFAULT, Metrics())
    await asyncio.to_thread(secretly_change, file)
    assert not await prices.check()
    assert await prices.reload()


async def test_the_book_that_comes_with_the_product_never_changes() -> None:
    prices = Prices(None, DEFAULT, Metrics())
    prices.start()
    assert not await prices.reload()
    await prices.stop()


def test_without_a_usable_book_nothing_starts(file: Path) -> None:
    file.write_text(BROKEN, "utf-8")
    with pytest.raises(ConfigurationError):
        Prices(file, DEFAULT, Metrics())
    with pytest.raises(ConfigurationError):
        Prices(file.with_name("nowhere.yaml"), DEFAULT, Metrics())


class SlowEyes:
    """Looks that do not end before they are let go."""

    def __init__(self) -> None:
        self.looking, self.let_go = asyncio.Event(), asyncio.Event()

    async def look(
        self, source: str, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts:
        self.looking.set()
        await self.let_go.wait()
        return PictureFacts(source[-1] * 64, 90_000, "JPEG", 1200, 900, text_read=True)


async def test_a_turn_keeps_the_book_that_it_began_with(database_url: str) -> None:
    eyes = SlowEyes()

    def looks(_database: Database) -> SlowEyes:
        return eyes

    async with running_process(database_url, pictures=looks) as process:
        asks = replace(
            a_message("", whole=ASKED), attachments=(Attachment("image", "picture:" + "a" * 64),)
        )
        turn = asyncio.create_task(process.engine.ask(asks))
        await eyes.looking.wait()
        process.turns.use(replace(process.services, price_book=PriceBook.parse(DEARER)))
        eyes.let_go.set()
        first = await turn
        second = await process.engine.ask(a_message("", whole=ASKED, chat="乙"))
    assert [one["quote"]["book_version"] for one in (first, second)] == ["2026.2", "2026.3"]
    assert [one["quote"]["service_name"] for one in (first, second)] == ["高清修复", "高清大修"]
