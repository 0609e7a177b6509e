"""From a picture and some words to an order: quoted, confirmed, changed, handed to a designer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.approvals import Verdict
from domain.pricing import format_yuan
from engine.delivery import Channel
from storage import approvals
from tests.engine.orders.talking import Customer, talking
from tests.sandbox_server import SandboxServer


@pytest.fixture
async def customer(
    database_url: str,
    tmp_path: Path,
    channels: dict[str, Channel],
    sandbox_server: SandboxServer,
) -> AsyncIterator[Customer]:
    async with talking(database_url, tmp_path, channels, sandbox=sandbox_server) as customer:
        yield customer


async def test_a_quote_of_a_picture_stands_as_an_order_that_waits_for_a_yes(
    customer: Customer,
) -> None:
    answer = await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    (order,) = await customer.orders()
    assert answer["decision"] == "quote"
    assert (order["status"], order["service"]) == ("quoted", "restore")
    assert order["quote"]["total"] == answer["quote"]["total"]
    assert len(order["pictures"]) == 1


async def test_a_yes_confirms_the_order_that_was_quoted(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    answer = await customer.says("好的")
    (order,) = await customer.orders()
    assert (answer["decision"], order["status"]) == ("order", "confirmed")
    assert str(order["id"]) in answer["content"]


async def test_a_price_that_was_bargained_for_is_the_order_s(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    answer = await customer.says("便宜点吧")
    (order,) = await customer.orders()
    assert answer["quote"]["total"] < 35
    assert order["quote"]["total"] == answer["quote"]["total"]
    assert (order["status"], order["version"]) == ("quoted", 2)


async def test_another_service_for_the_same_picture_is_the_same_order(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    await customer.says("那这张抠图多少钱", "photo_landscape")
    (order,) = await customer.orders()
    assert order["service"] == "cutout"


async def test_another_picture_is_another_order(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    await customer.says("这张抠图多少钱", "photo_product")
    assert [order["service"] for order in await customer.orders()] == ["restore", "cutout"]


async def test_a_change_before_the_yes_is_quoted_anew_and_then_confirmed(
    customer: Customer,
) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    before = (await customer.orders())[0]["quote"]["total"]
    changed = await customer.says("再加急一下")
    answer = await customer.says("好的")
    (order,) = await customer.orders()
    assert changed["quote"]["total"] > before
    assert format_yuan(round(order["quote"]["total"] * 100)) in changed["content"]
    assert (answer["decision"], order["status"]) == ("order", "confirmed")
    assert order["quote"]["total"] == changed["quote"]["total"]


async def test_a_design_without_a_picture_is_taken_with_the_yes(customer: Customer) -> None:
    await customer.says("设计一张海报多少钱")
    assert await customer.orders() == []
    answer = await customer.says("好的")
    (order,) = await customer.orders()
    assert (order["service"], order["workflow"]) == ("poster", "design")
    assert "海报设计" in answer["content"]


async def test_a_picture_that_only_a_designer_can_judge_is_dispatched(
    customer: Customer, sandbox_server: SandboxServer
) -> None:
    answer = await customer.says("这个能做吗", "poster_blurred")
    assert "帮您转接设计师" in answer["content"]
    (order,) = await customer.orders()
    state = await asyncio.to_thread(
        sandbox_server.client.get,
        "/_sandbox/tuhui/state",
        params={"at_least": 1, "wait": 10},
    )
    (task,) = state.json()["tasks"]
    assert task["task_name"] == "图片处理-1234"
    assert task["description"].startswith("图片清晰度")
    assert order["workflow"] == "design"


async def test_the_same_blurred_picture_twice_is_one_order(customer: Customer) -> None:
    await customer.says("这个能做吗", "poster_blurred")
    await customer.says("这个能做吗", "poster_blurred")
    assert len(await customer.orders()) == 1


async def test_progress_is_answered_from_the_orders(customer: Customer) -> None:
    await customer.says("设计一张海报多少钱")
    await customer.says("好的")
    answer = await customer.says("做好了吗")
    (order,) = await customer.orders()
    assert answer["decision"] == "order"
    assert f"订单 {order['id']}" in answer["content"]


async def test_of_two_orders_the_customer_is_asked_which_and_may_choose(
    customer: Customer,
) -> None:
    for name in ("photo_landscape", "photo_product"):
        await customer.says("这张照片做高清修复多少钱", name)
        await customer.says("好的")
    asked = await customer.says("再加急一下")
    assert asked["decision"] == "clarify"
    assert "1. 高清修复" in asked["content"]
    assert "2. 高清修复" in asked["content"]
    await customer.says("第二个")
    first, second = await customer.orders()
    assert "加急" not in "".join(first["requirements"])
    assert "加急" in "".join(second["requirements"])


async def test_a_delivered_order_is_accepted_in_the_customer_s_words(customer: Customer) -> None:
    await customer.says("设计一张海报多少钱")
    await customer.says("好的")
    (order,) = await customer.orders()
    await customer.process.orders.deliver(
        order["id"], ["https://files.example/a.png"], actor="staff"
    )
    answer = await customer.says("满意")
    (order,) = await customer.orders()
    assert (answer["decision"], order["status"]) == ("order", "accepted")


async def test_a_dissatisfied_customer_s_order_goes_back_to_a_designer(
    customer: Customer,
) -> None:
    await customer.says("设计一张海报多少钱")
    await customer.says("好的")
    (order,) = await customer.orders()
    await customer.process.orders.deliver(
        order["id"], ["https://files.example/a.png"], actor="staff"
    )
    await customer.says("不满意")
    (order,) = await customer.orders()
    assert order["status"] in ("rework", "waiting", "dispatched")


async def test_an_order_is_called_off_in_the_customer_s_words(customer: Customer) -> None:
    await customer.says("设计一张海报多少钱")
    await customer.says("好的")
    answer = await customer.says("算了，不做了")
    (order,) = await customer.orders()
    assert (answer["decision"], order["status"]) == ("order", "cancelled")


async def test_what_else_is_asked_is_answered_behind_the_change(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    await customer.says("好的")
    answer = await customer.says("对了再加急一下。还有再设计一个logo要多少钱")
    (order,) = [one for one in await customer.orders() if one["service"] == "restore"]
    assert "加急" in "".join(order["requirements"])
    assert "logo设计" in answer["content"]


async def test_the_same_message_again_changes_nothing(customer: Customer) -> None:
    await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    first = await customer.says("再加急一下", message_id="again")
    before = await customer.orders()
    again = await customer.says("再加急一下", message_id="again")
    assert again["content"] == first["content"]
    assert await customer.orders() == before


async def test_without_tuhui_a_confirmed_design_goes_to_the_desk_with_its_order(
    database_url: str, tmp_path: Path, channels: dict[str, Channel]
) -> None:
    async with talking(database_url, tmp_path, channels) as customer:
        await customer.says("设计一张海报多少钱")
        answer = await customer.says("好的")
        (order,) = await customer.orders()
        (handed,) = await customer.process.rows("SELECT reason, target FROM handoffs")
    assert (answer["action"], order["status"]) == ("escalate", "confirmed")
    assert (handed["reason"], handed["target"]) == ("order_confirmed", "designer")


async def test_a_price_that_a_person_has_set_is_the_order_s(customer: Customer) -> None:
    """Sixty photos at 25 yuan: from 500 on somebody has to approve."""
    engine = customer.process.engine
    waits = await customer.says("60张老照片修复多少钱", "photo_landscape")
    assert (waits["decision"], await customer.orders()) == ("approval", [])
    (asked,) = await customer.process.database.read(
        lambda c: approvals.listed(c, status="pending", limit=10, offset=0)
    )
    total = asked["quote"]["total"] - 1_000
    await engine.decide_approval(asked["id"], Verdict.EDITED, by="主管", total=total)
    await customer.process.quiet()
    (order,) = await customer.orders()
    assert (order["status"], order["quote"]["total"]) == ("quoted", total / 100)


async def test_a_change_that_needs_approval_is_noted_and_its_price_is_a_person_s(
    customer: Customer,
) -> None:
    await customer.says("18张老照片修复多少钱", "photo_landscape")
    (before,) = await customer.orders()
    answer = await customer.says("再加急一下")
    (order,) = await customer.orders()
    (handed,) = await customer.process.rows("SELECT reason FROM handoffs")
    assert "加急" in "".join(order["requirements"])
    assert order["quote"] == before["quote"]
    assert handed["reason"] == "order_price"
    assert "主管" in answer["content"]
    assert "调整为" not in answer["content"]
