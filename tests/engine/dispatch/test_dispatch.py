"""From a wish to a designer at work and back, with Tuhui, staff and customer as real servers."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from storage.dispatches import DispatchRow, Step
from tests.engine.dispatch.desk import CUSTOMER, KEY, WANTED, Desk
from tools.tuhui.protocol import DesignTask


async def test_the_seeds_calls_are_made_in_order_and_once(desk: Desk) -> None:
    await desk.run()
    assert await desk.want()
    row = await desk.until_step(Step.TOLD)
    await desk.assert_one_of_each()
    made = [
        (entry["peer"], entry["method"], entry["path"].partition("/_")[0])
        for entry in desk.sandbox.journal()
        if entry["path"] != f"/tuhui/tasks/{row.tuhui_task_id}"
    ]
    assert made == [
        ("tuhui", "GET", "/tuhui/online/designers"),
        ("tuhui", "GET", "/tuhui/dispatch/queue"),
        ("tuhui", "POST", "/tuhui/tasks"),
        ("tuhui", "POST", f"/tuhui/tasks/{row.tuhui_task_id}/assign"),
        ("staff", "POST", "/staff/notice"),
        ("webhook", "POST", "/webhook/deliver"),
    ]
    assert await desk.audited() == ["want", "create", "assign", "notify", "tell"]


async def test_what_tuhui_the_designer_and_the_customer_read_is_the_seeds(desk: Desk) -> None:
    await desk.run()
    await desk.want()
    row = await desk.until_step(Step.TOLD)
    (task,) = desk.tasks()
    assert (task["task_name"], task["task_type"], task["priority"]) == (
        "图片处理-1234",
        "image_process",
        2,
    )
    assert task["reference"] == KEY
    assert task["description"] == f"{WANTED.description}\n单号:[{KEY}]"
    assert (task["status"], task["assigned_to"]) == ("assigned", "橘子")
    assert task["notes"] == (f"AI 客服自动派单\n原因:图片过于模糊,AI 无法处理\n客户:{CUSTOMER}")
    (notice,) = await desk.notices()
    assert notice["title"] == "📋 **新任务派单**"
    assert notice["text"] == (
        f"设计师:橘子\n任务 ID: {row.tuhui_task_id}\n客户:{CUSTOMER}\n"
        "原因:图片过于模糊,AI 无法处理\n请及时处理"
    )
    assert await desk.words() == ["好的,已帮您安排设计师处理,请稍候"]


async def test_a_wish_that_is_repeated_is_one_dispatch(desk: Desk) -> None:
    await desk.run()
    assert await desk.want()
    assert not await desk.want(replace(WANTED, description="别的"))
    await desk.until_step(Step.TOLD)
    await desk.assert_one_of_each()


async def test_the_end_of_the_work_is_found_by_polling_and_told_once(desk: Desk) -> None:
    done: list[tuple[str | None, str]] = []

    def on_done(_: Connection, row: DispatchRow, task: DesignTask, __: float) -> tuple[str, ...]:
        done.append((row.designer, task.notes))
        return ()

    await desk.run(desk.steps(on_done=on_done))
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.finish("客户已确认,效果满意")
    row = await desk.until_step(Step.DONE)
    assert done == [("橘子", "客户已确认,效果满意")]
    assert (row.due_at, row.lease_owner) == (None, None)
    await desk.assert_one_of_each()


async def test_word_of_news_makes_us_look_and_is_not_believed(desk: Desk) -> None:
    runner = await desk.run(desk.steps(watch_s=3_600.0, watch_max_s=3_600.0))
    await desk.want()
    row = await desk.until_step(Step.TOLD)
    assert row.tuhui_task_id is not None
    assert await runner.heard(row.tuhui_task_id)
    await desk.until(lambda _: "task" in desk.wire.calls)
    assert (await desk.row()).step is Step.TOLD
    assert not await runner.heard("unknown")
    desk.finish()
    assert await runner.heard(row.tuhui_task_id)
    await desk.until_step(Step.DONE)


async def test_nobody_on_line_the_customer_is_told_once_and_somebody_gets_it_later(
    desk: Desk,
) -> None:
    desk.designers()
    await desk.run()
    await desk.want()
    await desk.until(lambda row: row.told_waiting)
    seen = len(desk.wire.calls)
    while len(desk.wire.calls) < seen + 6:  # three more looks
        await desk.until(lambda row: row.step is Step.WANTED)
    words = desk.policy.words
    assert await desk.words() == [words.waiting]
    assert desk.tasks() == []
    assert [notice["title"] for notice in await desk.notices("")] == ["新任务待派单"]
    desk.designers("婷婷")
    row = await desk.until_step(Step.TOLD)
    assert row.designer == "婷婷"
    assert await desk.words(at_least=2) == [words.waiting, words.arranged]
    assert len(await desk.notices(at_least=2)) == 1


async def test_whom_we_want_then_who_has_less_then_whom_tuhui_suggests(desk: Desk) -> None:
    await desk.run()
    await desk.want(replace(WANTED, key="a", designer="婷婷"))
    assert (await desk.until_step(Step.TOLD, "a")).designer == "婷婷"
    await desk.want(replace(WANTED, key="b"))
    assert (await desk.until_step(Step.TOLD, "b")).designer == "橘子"
    await desk.want(replace(WANTED, key="c", designer="不在的人"))
    assert (await desk.until_step(Step.TOLD, "c")).designer == "橘子"  # though it is 婷婷's turn


async def test_without_a_suggestion_the_work_is_shared_evenly(desk: Desk) -> None:
    desk.designers("甲", "乙", "丙")
    desk.sandbox.fault("tuhui", "status", request_kind="queue", status=404)
    await desk.run()
    for number in range(6):
        await desk.want(replace(WANTED, key=f"d{number}"))
    got = [(await desk.until_step(Step.TOLD, f"d{number}")).designer for number in range(6)]
    assert sorted(filter(None, got)) == ["丙", "丙", "乙", "乙", "甲", "甲"]


async def test_a_designer_who_cannot_do_it_is_asked_last(desk: Desk) -> None:
    await desk.run(desk.steps(skills={"橘子": frozenset({"layout"})}))
    await desk.want()
    assert (await desk.until_step(Step.TOLD)).designer == "婷婷"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({"status": "refused"}, "设计师拒绝"),
        ({"status": "pending", "assigned_to": None}, "任务退回待分配"),
    ],
)
async def test_what_is_refused_goes_to_somebody_else(
    desk: Desk, says: dict[str, Any], reason: str
) -> None:
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.wire.says = says
    await desk.until(lambda row: row.refused_by == ("橘子",))
    await desk.until(lambda row: row.designer == "婷婷" and row.step is not Step.CREATED)
    desk.wire.says = {}
    row = await desk.until_step(Step.TOLD)
    assert (row.designer, row.refused_by) == ("婷婷", ("橘子",))
    assert desk.assignments() == ["橘子", "婷婷"]
    assert len(desk.tasks()) == 1
    assert ["设计师:橘子" in n["text"] for n in await desk.notices(at_least=2)] == [True, False]
    assert await desk.words() == [desk.policy.words.arranged]
    (returned,) = await desk.rows("SELECT detail FROM audit WHERE action = 'dispatch.return'")
    assert reason in returned["detail"]


async def test_when_all_have_refused_it_waits_for_another(desk: Desk) -> None:
    desk.designers("橘子")
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.wire.says = {"status": "refused"}
    await desk.until(lambda row: row.step is Step.CREATED and row.told_waiting)
    assert desk.assignments() == ["橘子"]
    assert await desk.words() == [desk.policy.words.arranged]
    desk.designers("橘子", "阿文")
    await desk.until(lambda row: row.designer == "阿文" and row.step is not Step.CREATED)
    desk.wire.says = {}
    assert (await desk.until_step(Step.TOLD)).designer == "阿文"
    assert await desk.words() == [desk.policy.words.arranged]


async def test_who_does_not_answer_in_time_loses_it_to_somebody_who_is_there(desk: Desk) -> None:
    desk.designers("橘子")
    await desk.run(desk.steps(sla_s=0.3))
    await desk.want()
    first = await desk.until_step(Step.TOLD)
    await desk.until(lambda row: (row.due_at or 0) > (first.assigned_ts or 0) + 0.4)
    assert (await desk.row()).designer == "橘子"  # nobody else is there
    desk.designers("橘子", "婷婷")
    row = await desk.until(lambda row: row.designer == "婷婷" and row.step is Step.TOLD)
    assert row.refused_by == ("橘子",)
    assert desk.assignments() == ["橘子", "婷婷"]
    assert await desk.words() == [desk.policy.words.arranged]


async def test_who_has_accepted_keeps_it(desk: Desk) -> None:
    desk.wire.says = {"status": "accepted"}
    await desk.run(desk.steps(sla_s=0.1))
    await desk.want()
    first = await desk.until_step(Step.TOLD)
    await desk.until(lambda row: (row.due_at or 0) > (first.assigned_ts or 0) + 0.5)
    assert desk.assignments() == ["橘子"]


async def test_somebody_at_tuhui_may_hand_it_on(desk: Desk) -> None:
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.wire.says = {"assigned_to": "阿文"}
    row = await desk.until(lambda row: row.designer == "阿文")
    assert (row.step, row.refused_by) == (Step.TOLD, ())
    assert len(desk.assignments()) == 1


async def test_a_designer_who_leaves_before_the_assignment_is_passed_over(desk: Desk) -> None:
    desk.sandbox.fault("tuhui", "status", request_kind="assign", status=409, count=1)
    await desk.run()
    await desk.want()
    row = await desk.until_step(Step.TOLD)
    assert (row.designer, row.refused_by) == ("婷婷", ())
    await desk.assert_one_of_each()


@pytest.mark.parametrize("kind", ["designers", "queue", "tasks", "assign"])
async def test_what_tuhui_refuses_fails_in_sight_and_can_be_tried_again(
    desk: Desk, kind: str
) -> None:
    desk.wire.faults[kind] = ["403"]
    runner = await desk.run()
    await desk.want()
    failed = await desk.until_step(Step.FAILED)
    assert "403" in (failed.last_error or "")
    assert (await desk.audited())[-1] == "failed"
    (notice,) = await desk.notices("")
    assert (notice["title"], notice["priority"]) == ("派单失败", "high")
    assert "403" in notice["text"]
    assert await desk.words(at_least=0) == []
    await desk.database.write(lambda c: desk.book.retry(c, failed.id, actor="小李", now=2.0))
    runner.wake()
    await desk.until_step(Step.TOLD)
    await desk.assert_one_of_each()


async def test_while_the_designer_works_a_refused_look_ends_nothing(desk: Desk) -> None:
    await desk.run()
    await desk.want()
    await desk.until_step(Step.TOLD)
    desk.wire.faults["task"] = ["403"] * 6
    await desk.until(lambda row: row.attempts >= 4)
    assert len(await desk.notices("", at_least=2)) == 2
    assert len(await desk.notices("派单受阻")) == 1
    desk.finish()
    await desk.until_step(Step.DONE)


async def test_a_peer_that_stays_away_is_given_up_after_so_many_attempts(desk: Desk) -> None:
    desk.wire.faults["tasks"] = ["500"] * 50
    await desk.run(desk.steps(max_attempts=6))
    await desk.want()
    failed = await desk.until_step(Step.FAILED)
    assert desk.wire.calls.count("tasks") == 6
    assert "500" in (failed.last_error or "")
    titles = [notice["title"] for notice in await desk.notices("", at_least=2)]
    assert sorted(titles) == ["派单受阻", "派单失败"]


async def test_a_cancelled_dispatch_stops_and_the_designer_is_told(desk: Desk) -> None:
    steps = desk.steps()
    await desk.run(steps)
    await desk.want()
    row = await desk.until_step(Step.TOLD)
    queues = await desk.database.write(
        lambda c: steps.cancel(c, row.id, "客户不要了", actor="小李", now=3.0)
    )
    assert queues is not None
    desk.wake_queues(queues)
    again = await desk.database.write(
        lambda c: steps.cancel(c, row.id, "客户不要了", actor="小李", now=3.0)
    )
    assert again is None
    assert len(await desk.notices("", at_least=2)) == 2
    (notice,) = await desk.notices("派单已取消")
    assert f"任务 ID: {row.tuhui_task_id}" in notice["text"]
    assert (await desk.row()).step is Step.CANCELLED


async def test_what_is_cancelled_while_tuhui_creates_it_is_not_assigned(desk: Desk) -> None:
    desk.wire.faults["tasks"] = ["slow"]
    steps = desk.steps()
    await desk.run(steps)
    await desk.want()
    row = await desk.until(lambda _: bool(desk.tasks()))
    assert row.step is Step.WANTED
    await desk.database.write(lambda c: steps.cancel(c, row.id, "不要了", actor="小李", now=3.0))
    left = await desk.until(lambda row: row.tuhui_task_id is not None)
    assert left.step is Step.CANCELLED
    assert (await desk.audited())[-2:] == ["cancel", "left_behind"]
    assert desk.assignments() == []
    assert await desk.words(at_least=0) == []
