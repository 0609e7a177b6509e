"""What does the knowledge base say? Evidence with one calibrated confidence."""

from domain.decisions import as_dict
from domain.intents import CONTEXT_TURNS, DialogueType
from graphs.context import TurnContext
from graphs.state import ConversationState, Update, earlier_questions


async def retrieve(state: ConversationState, context: TurnContext) -> Update:
    found = state["classification"]
    if not found["text"].strip():
        return {"retrieval": None}
    turns = CONTEXT_TURNS[DialogueType(found["dialogue_type"])]
    result = await context.services.retriever.search(
        found["text"], context=earlier_questions(state, turns)
    )
    return {"retrieval": as_dict(result)}
