"""Reads that are shared: fewer of them, none older than the question."""

import asyncio

import pytest

from engine.desk.sharing import SharedReads


class Rows:
    """``value`` is what a read finds when it begins; it ends when it is `released`."""

    def __init__(self) -> None:
        self.value, self.reads = 0, 0
        self.began = asyncio.Event()
        self._gates: asyncio.Queue[None] = asyncio.Queue()

    async def read(self) -> int:
        self.reads += 1
        self.began.set()
        found = self.value
        await self._gates.get()
        return found

    def release(self, times: int = 1) -> None:
        for _ in range(times):
            self._gates.put_nowait(None)


async def test_whoever_comes_during_a_read_shares_the_next_one() -> None:
    shared, rows = SharedReads[str, int](), Rows()
    first = asyncio.create_task(shared.get("page", rows.read))
    await rows.began.wait()
    rows.value = 1
    others = [asyncio.create_task(shared.get("page", rows.read)) for _ in range(9)]
    rows.release(2)
    assert await first == 0
    assert await asyncio.gather(*others) == [1] * 9, "nobody is told what was before they asked"
    assert rows.reads == 2


async def test_other_questions_wait_for_nothing() -> None:
    shared, slow, quick = SharedReads[str, int](), Rows(), Rows()
    waiting = asyncio.create_task(shared.get("one", slow.read))
    quick.release()
    assert await shared.get("other", quick.read) == 0
    slow.release()
    assert await waiting == 0


async def test_a_failed_read_is_its_own_askers_and_nobody_elses() -> None:
    shared, rows = SharedReads[str, int](), Rows()

    async def fail() -> int:
        raise ValueError("away")

    with pytest.raises(ValueError, match="away"):
        await shared.get("page", fail)
    rows.release()
    assert await shared.get("page", rows.read) == 0


async def test_an_asker_that_gives_up_leaves_the_read_to_the_others() -> None:
    shared, rows = SharedReads[str, int](), Rows()
    first = asyncio.create_task(shared.get("page", rows.read))
    await rows.began.wait()
    second, third = (asyncio.create_task(shared.get("page", rows.read)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    rows.release(2)
    assert await third == 0
    assert rows.reads == 2


async def test_nothing_is_kept_when_nobody_asks() -> None:
    shared, rows = SharedReads[str, int](), Rows()
    for _ in range(3):
        rows.release()
        rows.value += 1
        assert await shared.get("page", rows.read) == rows.value
    assert not shared.busy
