"""What does the knowledge base say? Evidence with one calibrated confidence."""

import logging

from domain.decisions import Retrieval, as_dict
from domain.errors import KnowledgeError
from domain.placeholders import impersonal
from graphs.context import TurnContext
from graphs.focus import window
from graphs.state import ConversationState, Update

log = logging.getLogger(__name__)


async def retrieve(state: ConversationState, context: TurnContext) -> Update:
    found = state["classification"]
    if not found["text"].strip():
        return {"retrieval": None}
    try:
        asked = impersonal(found["text"])
        result = await context.services.retriever.search(asked, context=window(state))
    except KnowledgeError as error:
        # No knowledge means no confidence, and that means a person: the message is not lost.
        log.error("knowledge cannot be searched: %s", error)
        result = Retrieval(found["text"])
    return {"retrieval": as_dict(result)}
