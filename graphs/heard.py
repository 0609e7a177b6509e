"""What a message says of the conversation's open orders, as plain values for the state.

``{"kind": "amend", "changes": [[order id, change kind, words], …]}``, with ``progress`` where it
is asked besides; ``"which"`` with ``amendments`` and ``candidates``: it is clear what, but not of
which order; ``"accept"``, ``"rework"`` with ``orders``; ``"progress"``. ``rest``: what else the
message says.
"""

from collections.abc import Sequence
from typing import Any

from domain.amendments import Ambiguous, Amended, OpenOrder, amendment_of, choice_of
from domain.negotiation import counter_offer
from domain.order_talk import Said, order_talk
from domain.orders import Amendment, ChangeKind, OrderStatus
from domain.requirements import clauses_of
from domain.text import letters
from graphs.orders import OrdersInTalk
from graphs.state import ConversationState
from graphs.talk import YES, was_quoted

_ALL = ("都", "全部")


def heard_of_orders(
    text: str, state: ConversationState, orders: OrdersInTalk | None, *, has_picture: bool
) -> dict[str, Any] | None:
    if orders is None or not orders.open:
        return None
    chosen = _chosen(text, state, orders)
    if chosen is not None:
        return chosen
    found = amendment_of(text, orders.open, has_picture=has_picture)
    if isinstance(found, Amended):
        return _amend(found, orders)
    if isinstance(found, Ambiguous):
        return {
            "kind": "which",
            "amendments": [_plain(one) for one in found.amendments],
            "candidates": [order.id for order in found.candidates],
            "rest": "",
        }
    if has_picture or was_quoted(state):  # a yes is the quote's
        return None
    return _said(text, orders)


def _amend(found: Amended, orders: OrdersInTalk) -> dict[str, Any]:
    changes = [[change.order.id, *_plain(change.amendment)] for change in found.changes]
    said = _said(found.rest, orders) if found.rest else None
    asks = said is not None and said["kind"] == "progress"
    rest = "" if asks else found.rest
    return {"kind": "amend", "changes": changes, "rest": rest, "progress": asks}


def _plain(amendment: Amendment) -> list[str]:
    return [amendment.kind.value, amendment.requirement]


def _chosen(text: str, state: ConversationState, orders: OrdersInTalk) -> dict[str, Any] | None:
    """The answer to our question of which order it is."""
    asked = state.get("asked_which")
    if not asked:
        return None
    candidates = [order for order in orders.open if order.id in asked["candidates"]]
    changes = [
        [order.id, *one] for order in _picked(text, candidates) for one in asked["amendments"]
    ]
    return {"kind": "amend", "changes": changes, "rest": ""} if changes else None


def _picked(text: str, candidates: Sequence[OpenOrder]) -> Sequence[OpenOrder]:
    if len(candidates) == 1:
        return candidates if letters(text) in YES else ()
    return choice_of(text, candidates) if candidates else ()


def _said(text: str, orders: OrdersInTalk) -> dict[str, Any] | None:
    delivered = [row for row in orders.rows if row.status is OrderStatus.DELIVERED]
    said = order_talk(text, delivered=bool(delivered), open_orders=True)
    if said is None:
        return None
    if said is Said.PROGRESS:
        return {"kind": "progress", "rest": ""}
    latest = orders.latest(OrderStatus.DELIVERED)
    assert latest is not None
    meant = delivered if any(word in text for word in _ALL) else [latest]
    return {"kind": said.value, "orders": [row.id for row in meant], "rest": ""}


def beside_offers(text: str) -> str:
    """What a message says beside naming a price."""
    return ",".join(one for one in clauses_of(text) if counter_offer(one) is None)


def calls_off(heard: dict[str, Any] | None) -> bool:
    """Whether an order is called off by it."""
    changes = heard.get("changes", ()) if heard is not None else ()
    return any(kind == ChangeKind.CANCEL for _, kind, _ in changes)


def amendments_in(heard: dict[str, Any]) -> dict[int, list[Amendment]]:
    """By order, each one's in the order of the message."""
    found: dict[int, list[Amendment]] = {}
    for order_id, kind, words in heard["changes"]:
        found.setdefault(order_id, []).append(Amendment(ChangeKind(kind), words))
    return found
