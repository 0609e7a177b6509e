"""What would it cost? The price book decides; nothing that anybody wrote can change it."""

from dataclasses import replace

from domain.approvals import quote_of
from domain.decisions import as_dict
from domain.negotiation import answer, counter_offer
from domain.pricing import PriceBook, QuoteRequest, find_service, measure, quote
from graphs.context import TurnContext
from graphs.seen import facts_of
from graphs.state import ConversationState, Update
from graphs.talk import was_asked_for, was_quoted


async def price_estimate(state: ConversationState, context: TurnContext) -> Update:
    """Gives a quote where the message (or the open quote it goes on about) names a service."""
    found = state["classification"]
    book = context.services.price_book
    if found.get("bargains"):
        return _bargained(state, context)
    request = QuoteRequest(
        text=found["text"],
        has_image=bool(found["images"]),
        level=context.customer.level,
        pictures=tuple(measure(facts) for facts in facts_of(state)),
    )
    named = find_service(book, request)
    if named in (None, book.default_service):
        request = replace(request, service=_service_in_talk(state, book) or named)
    offered = quote(book, request)
    if offered is None:
        return {"quote": None}
    as_state = as_dict(offered)
    wanted = found["text"]
    return {"quote": as_state, "open_quote": as_state, "bargain": None, "wanted": wanted}


def _bargained(state: ConversationState, context: TurnContext) -> Update:
    """The customer wants to pay less: the book says how far we go, the floor where it ends."""
    open_quote, offer = state["open_quote"], counter_offer(state["classification"]["text"])
    assert open_quote is not None
    assert offer is not None
    round_no = ((state.get("bargain") or {}).get("round") or 0) + 1
    policy, level = context.services.price_book.negotiation, context.customer.level
    result = answer(quote_of(open_quote), offer, round_no, policy, level)
    quoted = as_dict(result.quote)
    bargain = {"round": round_no, "kind": result.kind.value, "asked": result.asked}
    return {"quote": quoted, "open_quote": quoted, "bargain": bargain}


def _service_in_talk(state: ConversationState, book: PriceBook) -> str | None:
    """What the open quote was for, if the message goes on about it: 「那三张呢?」, or the picture
    that we asked for."""
    open_quote = state.get("open_quote")
    service = book.service(str(open_quote["service"])) if open_quote else None
    if service is None:
        return None
    found = state["classification"]
    counts = found["entities"].get("quantity", [])
    counted = was_quoted(state) and any(count.endswith(service.unit) for count in counts)
    pictured = bool(found["images"]) and was_asked_for(state, "image")
    return service.id if counted or pictured else None
