"""Turns about pictures and orders are run again with the orders as they stood then."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.desk import Agent
from engine.delivery import Channel
from engine.reviews.reviews import Reviews
from tests.engine.orders.talking import Customer, talking
from tests.engine.reviews.conftest import AGENT, Known, reviews_of
from tests.sandbox_server import SandboxServer

EVERYWHERE: Agent = replace(AGENT, scopes=("*",))


@pytest.fixture
async def customer(
    database_url: str,
    tmp_path: Path,
    channels: dict[str, Channel],
    sandbox_server: SandboxServer,
) -> AsyncIterator[Customer]:
    async with talking(database_url, tmp_path, channels, sandbox=sandbox_server) as customer:
        yield customer


@pytest.fixture
def reviews(customer: Customer, known: Known, tmp_path: Path) -> Reviews:
    return reviews_of(customer.process, known, tmp_path / "regressions", changed=False)


async def again(reviews: Reviews, answer: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """By node, in what the answer would differ."""
    return {
        node: (await reviews.rerun(EVERYWHERE, answer["turn_id"], from_node=node)).changes
        for node in answer["nodes"]
    }


async def test_a_talk_about_an_order_is_run_again_as_it_stood_at_each_of_its_turns(
    customer: Customer, reviews: Reviews
) -> None:
    turns = [
        await customer.says("这张照片做高清修复多少钱", "photo_landscape"),
        await customer.says("再加急一下"),
        await customer.says("好的"),
        await customer.says("做好了吗"),
    ]
    assert turns[0]["quote"] is not None
    assert [turn["decision"] for turn in turns] == ["quote", "quote", "order", "order"]
    orders = await customer.orders()
    for turn in turns:
        differs = await again(reviews, turn)
        assert differs == dict.fromkeys(turn["nodes"], ())
    assert await customer.orders() == orders


async def test_the_price_for_another_level_is_made_of_the_picture_that_was_looked_at(
    customer: Customer, reviews: Reviews
) -> None:
    answer = await customer.says("这张照片做高清修复多少钱", "photo_landscape")
    cheaper = await reviews.rerun(
        EVERYWHERE, answer["turn_id"], from_node="price_estimate", level="white"
    )
    assert cheaper.answer["quote"]["total"] < answer["quote"]["total"]
    assert len(await customer.orders()) == 1
