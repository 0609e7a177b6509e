"""The price of an order whose requirements have changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from domain.decisions import Quote
from domain.pricing import PriceBook, QuoteRequest, quote
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
    """By the price book alone: the order's service, the facts of its largest picture, the new
    requirements' words."""

    def requote(
        order: OrderRow, requirement: str, facts: Sequence[Mapping[str, Any]], level: str
    ) -> Quote | None:
        largest = max(facts, key=lambda one: int(one["width"]) * int(one["height"]), default=None)
        read = [int(one.get("text_chars", 0)) for one in facts if one.get("text_read")]
        return quote(
            book,
            QuoteRequest(
                text=requirement,
                has_image=bool(order.pictures or order.images),
                width=int(largest["width"]) if largest else None,
                height=int(largest["height"]) if largest else None,
                text_chars=max(read, default=None),
                quantity=order.quote.quantity if order.quote else None,
                level=level,
                service=order.service or None,
            ),
        )

    return requote
