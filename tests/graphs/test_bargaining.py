"""A customer who haggles: the book's steps, its floor, then a person; the reply says the quote."""

from typing import Any

import pytest

from domain.decisions import CustomerFacts
from domain.pricing import format_yuan
from tests.graphs.conftest import Customer

QUOTED = "帮我抠20张图要多少钱"
"""20 x 8 yuan less 10 %: 144 yuan; the floor is 100."""


def says_its_quote(state: dict[str, Any]) -> bool:
    quote, said = state["quote"], state["decision"]["content"]
    items = all(format_yuan(item["amount"]) in said for item in quote["items"])
    sums = sum(item["amount"] for item in quote["items"]) == quote["total"]
    return items and sums and format_yuan(quote["total"]) in said


@pytest.mark.parametrize("words", ["太贵了", "便宜点", "100块行吗", "打个五折"])
async def test_a_customer_who_wants_less_gets_the_first_step_and_no_more(
    customer: Customer, words: str
) -> None:
    first = await customer.says(QUOTED)
    state = await customer.says(words)
    assert state["decision"]["decision"] == "quote"
    assert state["bargain"]["round"] == 1
    assert first["quote"]["total"] * 0.95 <= state["quote"]["total"] < first["quote"]["total"]
    assert says_its_quote(dict(state))


async def test_a_price_within_the_steps_is_taken_as_it_is_named(customer: Customer) -> None:
    await customer.says(QUOTED)
    state = await customer.says("140块可以吗")
    assert (state["quote"]["total"], state["bargain"]["kind"]) == (14_000, "accept")
    assert says_its_quote(dict(state))


async def test_a_price_above_the_quote_does_not_raise_it(customer: Customer) -> None:
    await customer.says(QUOTED)
    state = await customer.says("200块行吗")
    assert state["quote"]["total"] == 14_400


async def test_after_the_books_rounds_a_person_takes_over(customer: Customer) -> None:
    await customer.says(QUOTED)
    for _ in range(3):
        state = await customer.says("再便宜点")
        assert state["decision"]["action"] == "reply"
    state = await customer.says("再便宜点")
    assert (state["decision"]["action"], state["decision"]["reason"]) == ("escalate", "bargain")


async def test_a_new_quote_begins_the_talk_anew(customer: Customer) -> None:
    await customer.says(QUOTED)
    await customer.says("便宜点")
    await customer.says("那帮我抠30张图要多少钱")
    state = await customer.says("便宜点")
    assert state["bargain"]["round"] == 1


async def test_an_agreed_price_is_what_the_order_is_for(customer: Customer) -> None:
    await customer.says("设计一个logo多少钱")
    haggled = await customer.says("280行吗")
    state = await customer.says("好的")
    assert state["decision"]["reason"] == "order_confirmed"
    (handed,) = [e["payload"] for e in state["effects"] if e["kind"] == "handoff"]
    assert format_yuan(haggled["quote"]["total"]) in handed["question"]


async def test_nobody_on_the_blacklist_haggles(customer: Customer) -> None:
    await customer.says(QUOTED)
    customer.facts = CustomerFacts("c1", level="black")
    state = await customer.says("便宜点")
    assert state["decision"]["action"] == "escalate"


async def test_without_a_quote_there_is_nothing_to_haggle_about(customer: Customer) -> None:
    state = await customer.says("太贵了")
    assert state["classification"]["bargains"] is False
    assert state.get("quote") is None
