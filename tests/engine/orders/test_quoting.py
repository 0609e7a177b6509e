"""The new price of an order that changes: the book's, by the order's own pictures, less what was
agreed."""

from dataclasses import asdict, replace

import pytest

from domain.approvals import edited
from domain.decisions import Quote
from domain.negotiation import discounted
from domain.orders import OrderStatus, Workflow
from domain.pictures import PictureFacts
from domain.pricing import quote, request_for
from engine.orders.quoting import requoting
from storage.orders import OrderRow
from tests.engine.orders.desk import PRICES

SMALL = PictureFacts("a" * 64, 1, "JPEG", 900, 1_200, sharpness=0.12, text_read=True)
LARGE = PictureFacts("b" * 64, 1, "JPEG", 4_000, 3_000, sharpness=0.9, text_read=True)
REQUOTE = requoting(PRICES)


def order_of(requirement: str, *pictures: PictureFacts, service: str = "restore") -> OrderRow:
    """As it was quoted at first."""
    offered = quote(PRICES, request_for(pictures, requirement, service=service))
    assert offered is not None
    return OrderRow(
        id=1,
        key="k",
        contact_id="webhook:shop:1",
        conversation_id="c",
        title="图片处理-1",
        requirement=requirement,
        images=(),
        pictures=tuple(one.sha256 for one in pictures),
        status=OrderStatus.QUOTED,
        workflow=Workflow.PROCESS,
        service=service,
        quote=offered,
        tried=(),
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


def anew(order: OrderRow, more: str, *pictures: PictureFacts) -> Quote:
    facts = [asdict(one) for one in pictures]
    made = REQUOTE(order, f"{order.requirement}\n{more}" if more else order.requirement, facts, "")
    assert made is not None
    return made


@pytest.mark.parametrize("pictures", [(SMALL,), (LARGE,), (SMALL, LARGE)])
def test_a_change_that_costs_nothing_leaves_the_price_as_it_was(
    pictures: tuple[PictureFacts, ...],
) -> None:
    order = order_of("高清修复", *pictures)
    assert anew(order, "人脸不要变形", *pictures) == order.quote


def test_the_rush_is_charged_and_taken_off_again() -> None:
    order = order_of("高清修复", LARGE)
    assert order.quote is not None
    rushed = anew(order, "加急", LARGE)
    assert rushed.total == order.quote.total * 3 // 2
    assert anew(replace(order, quote=rushed), "", LARGE) == order.quote


def test_what_was_bargained_off_stays_off() -> None:
    order = order_of("高清修复", LARGE)
    assert order.quote is not None
    agreed = discounted(order.quote, order.quote.total - 200)
    order = replace(order, quote=agreed)
    assert anew(order, "人脸不要变形", LARGE).total == agreed.total
    assert anew(order, "有折痕的地方补一下", LARGE).total == agreed.total + 1_500


def test_a_piece_that_is_called_off_is_not_paid_for() -> None:
    order = order_of("高清修复", SMALL, LARGE, SMALL)
    less = anew(order, "第二张不做了", SMALL, LARGE, SMALL)
    assert (less.quantity, less.total) == (
        2,
        2 * anew(order_of("高清修复", SMALL), "", SMALL).total,
    )
    again = replace(order, quote=less, requirement="高清修复\n第二张不做了")
    assert anew(again, "人脸不要变形", SMALL, LARGE, SMALL) == less


def test_what_is_not_to_be_done_costs_nothing() -> None:
    order = order_of("高清修复", LARGE)
    assert anew(order, "折痕不用修", LARGE) == order.quote


def test_what_a_designer_has_to_look_at_first_has_no_price() -> None:
    order = replace(order_of("高清修复", SMALL), quote=None, service="")
    assert REQUOTE(order, "这个能做吗\n字改成红色", [asdict(SMALL)], "") is None


def test_no_agreement_goes_under_the_floor() -> None:
    order = order_of("抠图,精细到头发", LARGE, service="cutout")
    assert order.quote is not None
    agreed = discounted(order.quote, order.quote.floor)
    made = REQUOTE(replace(order, quote=agreed), "抠图", [asdict(LARGE)], "")
    assert made is not None
    assert made.total == made.floor


def test_what_a_person_set_stays_set() -> None:
    order = order_of("做一张海报", service="poster")
    assert order.quote is not None
    order = replace(order, quote=edited(order.quote, 10_000))
    assert anew(order, "标题用红色").total == 10_000
    assert anew(order, "加急").total == 14_000


def test_another_number_of_pieces_has_another_price() -> None:
    order = order_of("做5张淘宝主图", service="main_image")
    assert order.quote is not None
    assert (order.quote.quantity, anew(order, "改成6张").quantity) == (5, 6)
    assert anew(order, "3张就行").total == 3 * 4_000
