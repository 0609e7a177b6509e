"""kill -9 between any two steps of a dispatch: a real process, a real signal, real peers."""

import asyncio
import signal
import sys
from pathlib import Path

from engine.delivery import sweep_outbox
from storage.dispatches import Step
from tests.engine.dispatch.desk import Desk
from tests.engine.dispatch.mortal import POINTS

ROOT = Path(__file__).resolve().parents[3]


async def lives_until(desk: Desk, url: str, point: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.dispatch.mortal",
        *(url, desk.sandbox.url, point),
        cwd=ROOT,
    )
    try:
        return await asyncio.wait_for(process.wait(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_dispatch_whose_process_is_killed_at_every_step_repeats_nothing(
    desk: Desk, database_url: str
) -> None:
    await desk.want()
    for point in POINTS:
        assert await lives_until(desk, database_url, point) == -signal.SIGKILL, point
    assert (await desk.row()).step is Step.TOLD
    await desk.run()
    await sweep_outbox(desk.database, desk.deliverer, now=2e10)
    desk.finish()
    await desk.until_step(Step.DONE)
    await desk.assert_one_of_each()
    assert await desk.audited() == ["want", "create", "assign", "notify", "tell", "done"]
