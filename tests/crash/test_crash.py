"""Short runs of ``python -m tests.crash``; the long ones are ``make crash``."""

from pathlib import Path

from tests.crash.deployment import Shape
from tests.crash.kf_run import run_kf
from tests.crash.run import run
from tests.crash.task_run import run_tasks

KILLS = 6


def test_kill_9_loses_no_message_and_shows_no_reply_twice(tmp_path: Path) -> None:
    verdict = run("sqlite", tmp_path, kills=KILLS, seed=6, progress=print, load=6)
    assert verdict.problems == []
    assert verdict.counts["kills"] >= KILLS
    assert verdict.counts["kills while starting"] > 0
    # The run is worth nothing if the service was idle when it was killed.
    assert verdict.counts["of those offered more than once"] > 0
    assert verdict.counts["calls repeated because the process was away"] > 0
    assert verdict.counts["messages merged into another's turn"] > 0


def test_doors_and_workers_that_are_killed_and_stand_still_lose_and_repeat_nothing(
    tmp_path: Path,
) -> None:
    """A process stands still for longer than its leases last; `make crash` has it for a minute."""
    shape = Shape(workers=2, freezes=1, freeze_s=4.0)
    verdict = run("postgresql", tmp_path, kills=2, seed=8, progress=print, load=6, shape=shape)
    assert verdict.problems == []
    assert verdict.counts["kills"] >= 2
    assert verdict.counts["processes that stood still and went on"] == 1
    # The run is worth nothing if nobody asked while it went on.
    assert verdict.counts["messages that a caller asked"] > 50


def test_kill_9_lets_every_task_fire_once_end_once_and_be_told(tmp_path: Path) -> None:
    verdict = run_tasks("sqlite", tmp_path, kills=KILLS, seed=4, progress=print, rate=3)
    assert verdict.problems == []
    assert verdict.counts["kills"] >= KILLS
    assert verdict.counts["tasks completed"] > 0
    # The run is worth nothing if the service was idle when it was killed.
    assert verdict.counts["kills while an action was under way"] > 0
    assert verdict.counts["kills while a callback was due"] > 0
    assert verdict.counts["calls repeated because the process was away"] > 0


def test_a_storm_on_customer_service_is_answered_once_in_order_and_within_the_quota(
    tmp_path: Path,
) -> None:
    verdict = run_kf(
        "sqlite",
        tmp_path,
        kills=4,
        seed=3,
        progress=print,
        customers=10,
        messages=120,
        patient=False,
    )
    assert verdict.problems == []
    assert verdict.counts["of those answered by 1 turn"] == 120
    assert verdict.counts["kills"] >= 4
    # The run is worth nothing if nobody wrote before the start, or nothing was told twice.
    assert verdict.counts["older ones stored"] > 0
    assert verdict.counts["messages and events read again and recognised"] > 0
    assert verdict.counts["callbacks that nobody took"] > 0
