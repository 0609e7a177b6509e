"""Where a conversation stands when a message comes: which turn, which session, which topic."""

from typing import Any

from domain.intents import DialogueType
from domain.topics import changes
from graphs.context import TurnContext
from graphs.facts import noted
from graphs.state import ConversationState, Update, contents

PAUSE_TURNS = 3
"""A new session puts what was named before so many turns further away."""
MAX_COMPARED = 6
"""Messages of the topic that a new one is compared with."""


def followed(
    state: ConversationState, context: TurnContext, said: str, kind: DialogueType
) -> Update:
    """``said``: the customer's words of this turn. What the state keeps of where it stands."""
    return followed_by(state, context.session, said, kind)


def followed_by(
    state: ConversationState, session: int | None, said: str, kind: DialogueType
) -> Update:
    """``session``: its number; None where there are none (Studio)."""
    turn = state.get("turn", 0) + 1
    update: Update = {}
    known = state.get("session") or {}
    if session is not None and session != known.get("no"):
        resumed = bool(known)
        turn += PAUSE_TURNS if resumed else 0
        before = state.get("summary", "") or known.get("before", "") if resumed else ""
        update["session"] = {"no": session, "turn": turn, "before": before}
        update |= {"summary": "", "topic": None} if resumed else {}
    topic = update.get("topic", state.get("topic"))
    return {
        **update,
        "turn": turn,
        "topic": _topic(state, topic, said, kind, turn),
        "facts": noted(state.get("facts", ()), said, turn, ours=False),
    }


def _topic(
    state: ConversationState, topic: dict[str, Any] | None, said: str, kind: DialogueType, turn: int
) -> dict[str, Any]:
    """``turn`` and ``why`` of its beginning, and the ``type`` of its last message that was no small
    talk."""
    if topic is None:
        return {"turn": turn, "type": kind.value, "why": ""}
    before = DialogueType(topic["type"])
    inside = min(2 * (turn - topic["turn"]), MAX_COMPARED)
    earlier = contents(state.get("messages", [])[:-1])[-inside:] if inside > 0 else []
    last = before if before is not DialogueType.CHAT else None
    why = changes(said, earlier, kind=kind, before=last)
    if why is not None:
        return {"turn": turn, "type": kind.value, "why": why}
    return topic if kind is DialogueType.CHAT else {**topic, "type": kind.value}
