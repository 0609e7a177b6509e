"""What designers read of an order."""

from dataclasses import replace

from domain.orders import OrderStatus, Workflow
from engine.orders.words import described_anew, description
from storage.orders import OrderRow

ORDER = OrderRow(
    id=7,
    key="k",
    contact_id="webhook:shop:1",
    conversation_id="c",
    title="图片处理-1",
    requirement="做一张海报\n字用红色",
    images=(),
    pictures=(),
    status=OrderStatus.WAITING,
    workflow=Workflow.DESIGN,
    service="poster",
    quote=None,
    tried=({"by": "图片检查", "reason": "太模糊"},),
    deliverables=(),
    designer=None,
    priority="normal",
    deadline_ts=None,
    version=1,
    attempts=0,
    due_at=None,
    created_at="",
    updated_at="",
)
FIRST, SECOND = "https://shop.example/1.png", "https://shop.example/2.png"


def test_what_is_wanted_anew_takes_the_place_of_what_was_and_nothing_else_is_lost() -> None:
    before = description(ORDER, "字太小", [FIRST])
    wanted = replace(ORDER, requirement="做一张海报\n字用金色\n横版")
    assert described_anew(before, wanted, [FIRST, SECOND]) == (
        description(wanted, "字太小", [FIRST, SECOND])
    )


def test_what_is_described_by_somebody_else_is_left_alone() -> None:
    assert described_anew("按客户说的做\n订单:7", ORDER) == "按客户说的做\n订单:7"
