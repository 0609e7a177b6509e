"""A quote that a person has to approve: the run stops here until that person has spoken."""

from typing import Any

from langgraph.types import interrupt

from domain.approvals import Verdict, edited, quote_of
from domain.decisions import as_dict
from graphs.context import TurnContext
from graphs.state import ConversationState, Update


async def approve(state: ConversationState, context: TurnContext) -> Update:
    """Resumed with ``{"verdict": approved | edited | rejected | expired, "total": fen, "note"}``.

    Rejected or expired quotes go to a person, who talks to the customer.
    """
    offered = state["quote"]
    assert offered is not None
    spoken = interrupt(
        {
            "kind": "quote_approval",
            "quote": offered,
            "reasons": state["risk"]["approval"],
            "request": state["classification"]["text"],
        }
    )
    verdict = Verdict(spoken["verdict"])
    if verdict is Verdict.EDITED:
        quote = as_dict(edited(quote_of(offered), int(spoken["total"])))
        return {"quote": quote, "open_quote": quote, "risk": state["risk"] | {"approval": []}}
    if verdict is Verdict.APPROVED:
        return {"risk": state["risk"] | {"approval": []}}
    reasons = [f"approval_{verdict.value}"]
    risk: dict[str, Any] = {"outcome": "handoff", "reasons": reasons, "approval": []}
    return {"quote": None, "open_quote": None, "risk": state["risk"] | risk}
