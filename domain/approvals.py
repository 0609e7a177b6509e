"""A person's word on a quote: the price book says when, the API or Studio brings it."""

from dataclasses import replace
from enum import StrEnum
from typing import Any

from domain.decisions import Quote, QuoteItem
from domain.errors import InvalidInput
from domain.pricing import format_yuan

SET_BY_PERSON = "客服主管核定"
"""Reason of the line with which a person changes a quote."""


class Verdict(StrEnum):
    APPROVED = "approved"
    EDITED = "edited"
    REJECTED = "rejected"
    EXPIRED = "expired"


def quote_of(stored: dict[str, Any]) -> Quote:
    """A quote as graph state and rows hold it."""
    items = tuple(QuoteItem(**item) for item in stored["items"])
    return Quote(**(stored | {"items": items}))


def edited(quote: Quote, total: int) -> Quote:
    """``quote`` with the total that a person named, as a line of its own.

    Raises InvalidInput under the floor: nothing undercuts it.
    """
    if total < quote.floor:
        raise InvalidInput("total", f"不能低于最低价 {format_yuan(quote.floor)}")
    change = total - quote.total
    if not change:
        return quote
    label = "专属优惠" if change < 0 else "工作量调整"
    item = QuoteItem(label, change, SET_BY_PERSON)
    return replace(quote, items=(*quote.items, item), total=total)
