"""What would it cost? The price book decides; nothing that anybody wrote can change it."""

from dataclasses import replace

from domain.decisions import as_dict
from domain.pricing import PriceBook, QuoteRequest, find_service, quote
from graphs.context import TurnContext
from graphs.state import ConversationState, Update
from graphs.talk import was_asked_for, was_quoted


async def price_estimate(state: ConversationState, context: TurnContext) -> Update:
    """Gives a quote where the message (or the open quote it goes on about) names a service."""
    found = state["classification"]
    book = context.services.price_book
    request = QuoteRequest(
        text=found["text"],
        has_image=bool(found["images"]),
        level=context.customer.level,
    )
    named = find_service(book, request)
    if named in (None, book.default_service):
        request = replace(request, service=_service_in_talk(state, book) or named)
    offered = quote(book, request)
    if offered is None:
        return {"quote": None}
    as_state = as_dict(offered)
    return {"quote": as_state, "open_quote": as_state}


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
