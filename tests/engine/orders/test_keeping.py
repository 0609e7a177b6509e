"""Pictures are forgotten when nobody needs them, and not before."""

import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from domain.orders import OrderStatus
from engine.orders.keeping import PictureKeeping
from storage import pictures as rows
from storage.database import Database
from tests.engine.orders.desk import NOW
from tests.engine.orders.working import Works, working

DAY_S = 86_400.0
KEEP_S = 90 * DAY_S
LONG_AGO = NOW - 2 * KEEP_S


def a_picture(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


@dataclass
class Shelf:
    works: Works

    def keeping(self) -> PictureKeeping:
        database, store = self.works.database, self.works.store
        return PictureKeeping(database, store, keep_s=KEEP_S, clock=lambda: NOW)

    async def picture(self, colour: int, *, used: float = LONG_AGO) -> str:
        sha256 = await self.works.sent(a_picture(colour))
        await self.works.database.write(lambda c: rows.touch(c, sha256, now=used))
        os.utime(self.works.store.path(sha256), (LONG_AGO, LONG_AGO))
        return sha256

    async def there(self, sha256: str) -> tuple[bool, bool]:
        """Its row, its file."""
        return await self.works.known(sha256) is not None, await self.works.store.holds(sha256)


@pytest.fixture
async def shelf(database: Database, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with working(database, tmp_path) as works:
        yield Shelf(works)


async def test_what_nobody_used_for_long_goes_with_its_file(shelf: Shelf) -> None:
    old = await shelf.picture(1)
    recent = await shelf.picture(2, used=NOW - KEEP_S + 60)
    assert await shelf.keeping().tidy() == (1, 0)
    assert await shelf.there(old) == (False, False)
    assert await shelf.there(recent) == (True, True)
    assert await shelf.keeping().tidy() == (0, 0)


async def test_what_an_order_needs_stays(shelf: Shelf) -> None:
    bench = shelf.works.bench
    sent, made, dropped = [await shelf.picture(n) for n in range(3)]
    order = await bench.order(pictures=(sent,), status=OrderStatus.WORKING)
    await bench.desk.deliver(order["id"], [made], actor="runner", tell=False)
    assert await shelf.keeping().tidy() == (1, 0)
    assert await shelf.there(sent) == await shelf.there(made) == (True, True)
    assert await shelf.there(dropped) == (False, False)
    await bench.desk.accept(order["id"], actor="staff", tell=False)
    assert await shelf.keeping().tidy() == (0, 0)  # it was closed just now
    later = PictureKeeping(
        shelf.works.database, shelf.works.store, keep_s=1.0, clock=lambda: NOW + 60
    )
    assert await later.tidy() == (2, 0)


async def test_files_without_a_picture_go_when_they_are_old(shelf: Shelf) -> None:
    store = shelf.works.store
    stray, fresh = [(await store.put(a_picture(n))).sha256 for n in range(2)]
    os.utime(store.path(stray), (LONG_AGO, LONG_AGO))
    os.utime(store.path(fresh), (NOW, NOW))
    half = store.path(stray).parent / ".new-half"
    half.write_bytes(b"\x89PNG")
    os.utime(half, (LONG_AGO, LONG_AGO))
    assert await shelf.keeping().tidy() == (0, 1)
    assert (await store.holds(stray), await store.holds(fresh)) == (False, True)
    assert not half.exists()


async def test_a_picture_that_comes_again_meanwhile_keeps_its_file(shelf: Shelf) -> None:
    sha256 = await shelf.picture(1)
    before = NOW - KEEP_S
    await shelf.works.database.write(lambda c: rows.forget_unused(c, before=before))
    await shelf.works.store.put(a_picture(1))  # found there, and not written again
    assert not await shelf.works.store.remove(sha256, before=before)
    assert await shelf.works.sent(a_picture(1)) == sha256
    assert await shelf.there(sha256) == (True, True)
