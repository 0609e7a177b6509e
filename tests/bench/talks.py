"""A conversation as the graph remembers it, without the graph: the functions that its nodes call,
on a state that goes from turn to turn. For measuring what prompts hold."""

from dataclasses import dataclass, field

from langchain_core.messages import HumanMessage

from domain.intents import DIALOGUE_TYPE
from graphs.classifier.entities import entities
from graphs.classifier.model import IntentClassifier
from graphs.focus import ContextPolicy, Focus, focus_of
from graphs.following import followed_by
from graphs.memory import kept_of, merge_entities
from graphs.prompts import told
from graphs.state import ConversationState, window
from tools.models.tokens import estimate_tokens

PER_MESSAGE = 4
"""What `tools.models.tokens.count` adds for each message's role."""


@dataclass
class Talk:
    classifier: IntentClassifier
    policy: ContextPolicy = field(default_factory=ContextPolicy)
    state: ConversationState = field(default_factory=lambda: ConversationState(messages=[]))
    history: int = 0
    """Tokens of all that was said, as messages of their own."""

    def asks(self, text: str, *, session: int | None = None) -> Focus:
        state = self.state
        kind = DIALOGUE_TYPE[self.classifier.predict(text).intent]
        found = entities(text)
        state["messages"] = window(state["messages"], [HumanMessage(text)])
        state["entities"] = merge_entities(state.get("entities", {}), found)
        state["classification"] = {"text": text, "dialogue_type": kind.value, "entities": found}
        state.update(followed_by(state, session, text, kind))  # type: ignore[typeddict-item]
        return focus_of(state, self.policy)

    def is_answered(self, question: str, text: str) -> None:
        update = kept_of(self.state, text, "answer")
        messages = window(self.state["messages"], update.pop("messages", []))
        self.state.update(update)  # type: ignore[typeddict-item]
        self.state["messages"] = messages
        self.history += tokens(question) + tokens(text)


def tokens(text: str) -> int:
    return estimate_tokens(text) + PER_MESSAGE


def told_text(focus: Focus) -> str:
    """The conversation's part of the prompt."""
    return "\n\n".join(told(focus))
