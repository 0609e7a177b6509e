"""A person has the last word: what the bot would say waits here until it is approved."""

from typing import Any

from langgraph.types import interrupt

from domain.decisions import Action, EffectKind
from graphs.context import TurnContext
from graphs.memory import kept_of
from graphs.state import ConversationState, Update


async def draft(state: ConversationState, context: TurnContext) -> Update:
    """Resumed with ``{"verdict": approved | edited | discarded, "text"}``, the text being what that
    person saw or wrote.

    What is not sent is not remembered, and nothing that hangs on it is done.
    """
    decision = state["decision"]
    word = interrupt(
        {
            "kind": "draft",
            "text": decision["content"],
            "citations": decision["citations"],
            "confidence": decision["confidence"],
            "question": state["classification"]["text"],
        }
    )
    if word["verdict"] == "discarded":
        nothing = {"action": Action.NONE.value, "decision": "discarded", "content": ""}
        return {"decision": decision | nothing, "effects": [], "quote": None, "unanswered": []}
    content = word["text"]
    return {
        "decision": decision | {"content": content},
        "effects": [_told(effect, content) for effect in state["effects"]],
        "unanswered": [],
        **kept_of(state, content, decision["decision"]),
    }


def _told(effect: dict[str, Any], content: str) -> dict[str, Any]:
    if effect["kind"] != EffectKind.MESSAGE:
        return effect
    return effect | {"payload": effect["payload"] | {"text": content}}
