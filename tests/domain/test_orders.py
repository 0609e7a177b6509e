"""Which state of an order may follow which."""

import pytest

from domain.orders import CLOSED, NEXT, OPEN, OrderStatus, may_follow

S = OrderStatus


def test_every_state_says_what_may_follow_it() -> None:
    assert NEXT.keys() == set(OrderStatus)


@pytest.mark.parametrize("before", [S.DRAFT, S.QUOTED])
def test_a_designer_may_look_before_there_is_a_price(before: OrderStatus) -> None:
    assert may_follow(before, S.WAITING)
    assert may_follow(before, S.DISPATCHED)
    assert not may_follow(before, S.DELIVERED)
    assert not may_follow(before, S.WORKING)


@pytest.mark.parametrize("status", sorted(OPEN))
def test_every_open_order_can_come_to_an_end(status: OrderStatus) -> None:
    seen, left = set[OrderStatus](), [status]
    while left:
        now = left.pop()
        if now not in seen:
            seen.add(now)
            left += NEXT[now]
    assert seen & CLOSED


@pytest.mark.parametrize("status", [S.CANCELLED, S.DECLINED])
def test_nothing_follows_what_was_called_off(status: OrderStatus) -> None:
    assert not NEXT[status]
