"""kill -9 while an order is worked on: a real process, a real signal."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from domain.orders import OrderStatus
from storage.database import Database
from tests.engine.orders.mortal import POINTS
from tests.engine.orders.working import working
from tests.tools.pictures.drawing import encoded, landscape

ROOT = Path(__file__).resolve().parents[3]
SCENE = encoded(landscape(400, 300, seed=4))


async def lives_until(url: str, folder: Path, point: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.orders.mortal",
        *(url, str(folder), point),
        cwd=ROOT,
    )
    try:
        return await asyncio.wait_for(process.wait(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("point", POINTS)
async def test_an_order_whose_process_is_killed_is_delivered_once(
    database: Database, database_url: str, tmp_path: Path, point: str
) -> None:
    async with working(database, tmp_path) as works:
        order = await works.order(SCENE, "转成jpg")
        assert await lives_until(database_url, tmp_path, point) == -signal.SIGKILL
        await works.started()
        row = await works.until(order, OrderStatus.DELIVERED)
        await works.quiet()
        told = await works.bench.told()
        events = (await works.bench.desk.get(order["id"]))["events"]
    assert told[1:] == [f"https://kefu.example/pictures/{row.deliverables[0]}"]
    assert "已处理完成" in told[0]
    assert [one["detail"]["after"] for one in events if one["kind"] == "status"] == [
        OrderStatus.WORKING,
        OrderStatus.DELIVERED,
    ]
