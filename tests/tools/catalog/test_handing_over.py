"""To a person: the desk, a designer, the staff."""

import pytest

from domain.decisions import EffectKind
from tests.tools.catalog.calls import (
    CHANNELS,
    TIANWANG,
    XIAOHONG,
    XIAOMING,
    Desk,
    customer,
    kinds,
    only,
)


async def test_a_hand_over_carries_the_customers_last_question(desk: Desk) -> None:
    arguments = {"reason": "要求退款", "priority": "high", "message": "马上为您转接"}
    outcome = await desk.call("transfer_to_human", arguments, about=XIAOMING)
    assert kinds(outcome) == ["handoff:handoff", "notice:notice", "message:message"]
    handoff = only(outcome, EffectKind.HANDOFF).payload
    assert handoff == {
        "reason": "要求退款",
        "priority": "high",
        "target": "desk",
        "question": "做高清修复要多少钱?",
        "conversation_id": outcome.output["conversation_id"],
        "contact_id": XIAOMING,
    }
    notice = only(outcome, EffectKind.NOTICE).payload
    assert (notice["title"], notice["priority"]) == ("需要人工介入:小明", "high")
    assert "做高清修复要多少钱?" in notice["text"]
    assert "原因:要求退款" in notice["text"]
    assert outcome.output["told_customer"] is True


async def test_without_words_the_customer_is_told_nothing(desk: Desk) -> None:
    outcome = await desk.call("transfer_to_human", about=XIAOMING)
    assert kinds(outcome) == ["handoff:handoff", "notice:notice"]


async def test_the_reason_says_who_wanted_it(desk: Desk) -> None:
    for caller, reason in ((customer(XIAOMING), "客户要求人工"), (TIANWANG, "天网任务转人工")):
        outcome = await desk.call("transfer_to_human", about=XIAOMING, caller=caller)
        assert only(outcome, EffectKind.HANDOFF).payload["reason"] == reason


async def test_with_tuhui_designers_work_is_dispatched(desk: Desk) -> None:
    arguments = {
        "description": "做高清修复",
        "priority": 3,
        "designer_name": "橘子",
        "image_url": "https://cdn.example/a.png",
    }
    outcome = await desk.call("dispatch_designer", arguments, about=XIAOMING)
    (effect,) = outcome.effects
    assert (effect.kind, effect.name) == (EffectKind.DISPATCH, "dispatch")
    assert effect.payload == {
        "title": "图片处理-_123",  # seed 001: the last four characters of the customer's id
        "description": "做高清修复\n客户:customer_123(小明)\n图片:https://cdn.example/a.png",
        "task_type": "image_process",
        "priority": 3,
        "designer": "橘子",
        "contact_id": XIAOMING,
    }
    assert outcome.output == {
        "customer_id": "customer_123",
        "title": "图片处理-_123",
        "to": "tuhui",
    }


@pytest.mark.parametrize(("priority", "urgent"), [(1, "normal"), (2, "normal"), (3, "high")])
async def test_without_tuhui_it_goes_to_the_desks_designers(
    desk: Desk, priority: int, urgent: str
) -> None:
    arguments = {"title": "高清修复", "description": "老照片", "priority": priority}
    outcome = await desk.call(
        "dispatch_designer", arguments, about=XIAOMING, channels=CHANNELS - {"tuhui"}
    )
    assert kinds(outcome) == ["handoff:handoff", "notice:notice"]
    handoff = only(outcome, EffectKind.HANDOFF).payload
    assert (handoff["target"], handoff["priority"]) == ("designer", urgent)
    assert handoff["question"].startswith("高清修复\n老照片\n客户:customer_123")
    assert only(outcome, EffectKind.NOTICE).payload["priority"] == urgent
    assert outcome.output["to"] == "desk"


async def test_a_long_order_does_not_make_a_long_notice(desk: Desk) -> None:
    outcome = await desk.call(
        "dispatch_designer",
        {"description": "长" * 4000},
        about=XIAOMING,
        channels=frozenset({"webhook"}),
    )
    assert len(only(outcome, EffectKind.NOTICE).payload["text"]) < 800
    assert "长" * 4000 in only(outcome, EffectKind.HANDOFF).payload["question"]


async def test_a_notice_needs_no_customer(desk: Desk) -> None:
    outcome = await desk.call("notify_staff", {"message": "有新订单\n请处理"})
    payload = only(outcome, EffectKind.NOTICE).payload
    assert payload == {
        "title": "客服通知",
        "text": "有新订单\n请处理",
        "priority": "normal",
        "reason": "notify_staff",
    }


async def test_open_hand_overs_are_listed_newest_first_and_paged(writing_desk: Desk) -> None:
    for contact in (XIAOMING, XIAOHONG):
        outcome = await writing_desk.call("transfer_to_human", {"reason": "测试"}, about=contact)
        await writing_desk.apply(outcome, key=contact)
    listed = (await writing_desk.call("list_handoffs")).output["handoffs"]
    assert [row["contact_id"] for row in listed] == [XIAOHONG, XIAOMING]
    assert (listed[0]["status"], listed[0]["reason"]) == ("open", "测试")
    assert listed[0]["created_at"] == "2026-02-27T18:00:00+08:00"
    arguments = {"limit": 1, "before": listed[0]["id"]}
    older = (await writing_desk.call("list_handoffs", arguments)).output["handoffs"]
    assert older == [listed[1]]
    closed = await writing_desk.call("list_handoffs", {"status": "closed"})
    assert closed.output == {"handoffs": []}


async def test_a_hand_over_and_an_order_become_rows(writing_desk: Desk) -> None:
    handed = await writing_desk.call("transfer_to_human", about=XIAOMING)
    await writing_desk.apply(handed, key="a")
    ordered = await writing_desk.call("dispatch_designer", {"description": "修图"}, about=XIAOMING)
    await writing_desk.apply(ordered, key="b")
    (handoff,) = await writing_desk.rows("SELECT * FROM handoffs")
    assert (handoff["target"], handoff["contact_id"]) == ("desk", XIAOMING)
    queued = await writing_desk.rows("SELECT message_id, kind, channel FROM outbox ORDER BY id")
    assert [tuple(row.values()) for row in queued] == [
        ("a:notice", "notice", "staff"),
    ]
    wanted = await writing_desk.rows("SELECT key, step, contact_id FROM dispatches")
    assert [tuple(row.values()) for row in wanted] == [("b:dispatch", "wanted", XIAOMING)]
