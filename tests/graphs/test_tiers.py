"""What a customer's level changes: who goes first, how they are addressed, what is put off."""

import pytest

from domain.decisions import CustomerFacts
from domain.tiers import BLACK_MESSAGES_PER_HOUR
from graphs.context import Services
from tests.graphs.conftest import Customer

OVER = BLACK_MESSAGES_PER_HOUR + 1


def known(services: Services, level: str, *, last_hour: int = 0, name: str = "王女士") -> Customer:
    facts = CustomerFacts("web:shop:u", name, level=level, last_hour=last_hour)
    return Customer(services, facts)


async def test_a_vip_is_greeted_by_name(services: Services) -> None:
    said = (await known(services, "white").says("你好"))["decision"]["content"]
    assert said.startswith("王女士您好")
    nameless = (await known(services, "white", name="").says("你好"))["decision"]["content"]
    assert nameless.startswith("您好，很高兴再次")
    ordinary = (await known(services, "gray").says("你好"))["decision"]["content"]
    assert "王女士" not in ordinary


async def test_a_vip_who_is_handed_over_goes_first_and_is_told_so(services: Services) -> None:
    state = await known(services, "white").says("转人工")
    assert state["risk"]["priority"] == "high"
    assert "贵宾" in state["decision"]["content"]
    ordinary = await known(services, "gray").says("转人工")
    assert ordinary["risk"]["priority"] == "normal"
    assert "贵宾" not in ordinary["decision"]["content"]


async def test_a_vip_who_complains_is_answered_like_anybody_who_does(services: Services) -> None:
    white = await known(services, "white").says("我要投诉你们")
    gray = await known(services, "gray").says("我要投诉你们")
    assert "贵宾" not in white["decision"]["content"]
    assert white["risk"]["priority"] == gray["risk"]["priority"] == "high"


@pytest.mark.parametrize(
    "words", ["修一张图多少钱", "便宜点，50行不行", "你好", "充电桩多少钱一台"]
)
async def test_beyond_their_limit_a_black_customer_is_put_off_and_nobody_is_called(
    services: Services, words: str
) -> None:
    state = await known(services, "black", last_hour=OVER).says(words)
    assert state["decision"]["decision"] == "decline"
    assert "稍后再联系" in state["decision"]["content"]
    assert {effect["kind"] for effect in state["effects"]} == {"message"}


async def test_within_their_limit_a_black_customer_reaches_a_person(services: Services) -> None:
    state = await known(services, "black", last_hour=OVER - 1).says("修一张图多少钱")
    assert state["decision"]["reason"] == "blacklist"
    assert state.get("quote") is None or "合计" not in state["decision"]["content"]


async def test_words_that_always_call_a_person_do_so_beyond_the_limit_too(
    services: Services,
) -> None:
    state = await known(services, "black", last_hour=OVER).says("我要报警，去12315投诉")
    assert state["decision"]["decision"] == "handoff"


async def test_many_messages_of_an_ordinary_customer_are_all_answered(services: Services) -> None:
    state = await known(services, "gray", last_hour=500).says("你好")
    assert state["decision"]["decision"] == "chat"
