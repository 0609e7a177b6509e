"""Whatever happens to a call: one task at Tuhui, one assignment, one notice, one word."""

from collections import Counter
from dataclasses import replace

import pytest

from domain.ids import conversation_id
from storage.dispatches import Step
from tests.engine.dispatch.desk import WANTED, Desk
from tests.engine.dispatch.wire import Fault

CALLS = ("designers", "queue", "tasks", "assign", "task")
FAULTS: tuple[Fault, ...] = ("500", "hang", "late", "twice", "cut")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_goes_wrong_repeats_nothing(desk: Desk, call: str, fault: Fault) -> None:
    desk.wire.faults[call] = [fault, fault]  # what is found out by asking is not called again
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.finish()
    await desk.until_step(Step.DONE)
    await desk.assert_one_of_each()


@pytest.mark.parametrize("fault", ["late", "cut"])
async def test_a_tuhui_that_knows_no_reference_shows_the_lost_task_in_its_queue(
    desk: Desk, fault: Fault
) -> None:
    desk.wire.forgetful = True
    desk.wire.faults["tasks"] = [fault]
    await desk.run(desk.steps(retry_base_s=0.5, retry_max_s=0.5))
    await desk.want()
    await desk.until_step(Step.TOLD)
    assert desk.wire.calls.count("tasks") == 1
    assert [task["reference"] for task in desk.tasks()] == [""]
    await desk.assert_one_of_each()


async def test_a_tuhui_that_is_wholly_away_for_a_while_is_waited_for(desk: Desk) -> None:
    desk.wire.faults.update({call: ["cut", "500", "hang"] for call in CALLS})
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.finish()
    await desk.until_step(Step.DONE)
    await desk.assert_one_of_each()


async def test_a_staff_channel_that_is_away_keeps_the_customer_waiting_a_moment_only(
    desk: Desk,
) -> None:
    desk.sandbox.fault("staff", "status", status=503)
    await desk.run(desk.steps(notice_s=0.3))
    await desk.want()
    row = await desk.until_step(Step.NOTIFIED)
    await desk.until_step(Step.TOLD)
    assert await desk.words() == [desk.policy.words.arranged]
    assert (row.assigned_ts or 0) > 0
    desk.sandbox.clear_faults()
    await desk.assert_one_of_each()


async def test_without_a_staff_channel_and_for_a_customer_who_fetches_it_is_done_all_the_same(
    desk: Desk,
) -> None:
    await desk.run(desk.steps(channels=frozenset()))
    await desk.want()
    await desk.until_step(Step.TOLD)
    said = await desk.rows("SELECT content, conversation_id FROM messages WHERE role = 'assistant'")
    assert said == [
        {
            "content": desk.policy.words.arranged,
            "conversation_id": conversation_id("webhook", "shop", "customer_1234", "customer_1234"),
        }
    ]
    assert await desk.rows("SELECT 1 FROM outbox") == []


async def test_for_nobody_in_particular_nobody_is_told(desk: Desk) -> None:
    await desk.run()
    await desk.want(replace(WANTED, conversation_id="", contact_id="", title="门店海报"))
    await desk.until_step(Step.TOLD)
    assert len(await desk.notices()) == 1
    assert await desk.words(at_least=0) == []


async def test_twenty_at_once_are_each_dispatched_once(desk: Desk) -> None:
    for fault in ("lost_answer", "status"):
        desk.sandbox.fault("tuhui", fault, rate=0.15)
    await desk.run(desk.steps(max_attempts=100))
    keys = [f"many{number}" for number in range(20)]
    for key in keys:
        await desk.want(replace(WANTED, key=key))
    for key in keys:
        await desk.until(lambda row: row.step is Step.TOLD, key, seconds=60)
    tasks = desk.tasks()
    assert sorted(task["reference"] for task in tasks) == sorted(keys)
    assert len(desk.assignments()) == 20
    assert len(await desk.notices(at_least=20)) == 20
    assert await desk.words(at_least=20) == [desk.policy.words.arranged] * 20
    load = Counter(task["assigned_to"] for task in tasks)
    assert load == {"橘子": 10, "婷婷": 10}  # whatever was lost and tried again
