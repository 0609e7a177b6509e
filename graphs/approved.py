"""The quote of the turn."""

from domain.approvals import quote_of
from domain.decisions import Quote
from graphs.state import ConversationState


def quote_in(state: ConversationState) -> Quote | None:
    stored = state.get("quote")
    return quote_of(stored) if stored is not None else None
