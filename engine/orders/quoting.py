"""The price of an order whose requirements have changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from domain.approvals import SET_BY_PERSON
from domain.decisions import Quote
from domain.negotiation import LABEL, discounted
from domain.pictures import PictureKind
from domain.pricing import Measured, PriceBook, QuoteRequest, quote
from domain.requirements import called_off_in, count_in, wanted_part
from storage.orders import OrderRow


class Requotes(Protocol):
    """Pure. ``facts``: PictureFacts as dicts of the order's pictures, ``level``: the customer's;
    None: no price is known."""

    def __call__(
        self,
        order: OrderRow,
        requirement: str,
        facts: Sequence[Mapping[str, Any]],
        level: str,
    ) -> Quote | None: ...


def requoting(book: PriceBook) -> Requotes:
    """By the price book: the order's service, each picture's own facts, the new requirements'
    words. What was agreed beside the book stays agreed."""

    def requote(
        order: OrderRow, requirement: str, facts: Sequence[Mapping[str, Any]], level: str
    ) -> Quote | None:
        before = order.quote
        if before is None and not order.service:
            return None  # a designer looks first
        made = quote(
            book,
            QuoteRequest(
                text=wanted_part(requirement),
                has_image=bool(order.pictures or order.images),
                quantity=_pieces(order, requirement),
                level=level,
                service=order.service or None,
                pictures=tuple(_measured(one) for one in _to_be_made(requirement, order, facts)),
            ),
        )
        return made if made is None or before is None else _as_agreed(made, before)

    return requote


def _pieces(order: OrderRow, requirement: str) -> int | None:
    """None: as many as there are pictures."""
    named = count_in(requirement)
    if named is not None or order.quote is None:
        return named
    at_first = order.quote.quantity + len(called_off_in(order.requirement))
    return max(1, at_first - len(called_off_in(requirement)))


def _to_be_made(
    requirement: str, order: OrderRow, facts: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    gone = called_off_in(requirement)
    if len(facts) != len(order.pictures) or len(gone) >= len(facts):
        return list(facts)
    return [one for number, one in enumerate(facts, 1) if number not in gone]


def _measured(facts: Mapping[str, Any]) -> Measured:
    return Measured(
        int(facts["width"]),
        int(facts["height"]),
        int(facts.get("text_chars", 0)) if facts.get("text_read") else None,
        facts.get("sharpness"),
        PictureKind(facts["kind"]) if "kind" in facts else None,
    )


def _as_agreed(made: Quote, before: Quote) -> Quote:
    """With what was bargained off or set by a person, as far as the floor allows."""
    for item in before.items:
        change = max(item.amount, made.floor - made.total)
        if item.label == LABEL and change:
            made = discounted(made, made.total + change)
        elif item.reason == SET_BY_PERSON and change:
            items = (*made.items, replace(item, amount=change))
            made = replace(made, items=items, total=made.total + change)
    return made
