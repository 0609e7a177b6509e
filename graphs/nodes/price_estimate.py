"""What would it cost? The price book decides; nothing that anybody wrote can change it."""

from domain.decisions import as_dict
from domain.pricing import QuoteRequest, find_service, quote
from graphs.context import TurnContext
from graphs.state import ConversationState, Update


async def price_estimate(state: ConversationState, context: TurnContext) -> Update:
    """Gives a quote where the message (or the open quote it goes on about) names a service."""
    found = state["classification"]
    book = context.services.price_book
    request = QuoteRequest(
        text=found["text"],
        has_image=bool(found["images"]),
        level=context.customer.level,
        service=_service_in_talk(state),
    )
    if request.service is None and find_service(book, request) is None:
        return {"quote": None}
    offered = quote(book, request)
    if offered is None:
        return {"quote": None}
    as_state = as_dict(offered)
    return {"quote": as_state, "open_quote": as_state}


def _service_in_talk(state: ConversationState) -> str | None:
    """«那三张呢?» after a quote goes on about the same service."""
    open_quote = state.get("open_quote")
    found = state["classification"]
    if open_quote and "quantity" in found["entities"] and found["intent"] == "price":
        return str(open_quote["service"])
    return None
