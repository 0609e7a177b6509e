"""The conversation's state: small, bounded, plain values. Full history is rows, not state."""

from typing import Annotated, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

WINDOW_MESSAGES = 11
"""Five rounds, what the widest dialogue type (consult, seed 003) may look back on, and the message
that comes now."""

MAX_SUMMARY_CHARS = 300
MAX_ENTITY_VALUES = 5


def window(left: list[AnyMessage], right: Any) -> list[AnyMessage]:
    """`add_messages`, cut to the newest WINDOW_MESSAGES."""
    return add_messages(left, right)[-WINDOW_MESSAGES:]  # type: ignore[arg-type,return-value,index]


class ConversationState(TypedDict, total=False):
    """First what a conversation keeps; below what one turn writes anew.

    ``turn``: number of the last one; ``session``: its number ``no``, the ``turn`` it began with and
    ``before``, the summary of the one before it; ``topic``: `graphs.following`; ``facts``: rows of
    `graphs.facts`.
    ``wanted``: the words that the open quote is for. ``bargain``: how far a talk about its price
    has come: round, kind, asked (fen).
    ``asked_which``: changes that are clear, where we asked which order they are for: amendments,
    candidates. ``desk``: what `graphs.at_desk` keeps. ``unanswered``: messages whose answer waited
    for a person's word and was not sent. ``upset``: how many of the last messages in a row were
    negative; ``paused``: until when a trigger of the rules rests, by its id.

    ``classification``: text, intent, confidence, dialogue_type, sentiment, entities, rule, images.
    ``retrieval``: a domain Retrieval as dict. ``quote``: a Quote as dict. ``risk``: outcome,
    reasons, missing, priority. ``decision``: action, decision, content, confidence, citations,
    source. ``effects``: Effect dicts, which the engine turns into rows. ``acts``: of tasks that
    the turn fired: task_id, tool, said, error. ``pictures``: PictureFacts of the turn's pictures as
    dicts; ``unseen``: of those that could not be looked at, source and problem. ``ordered``: what
    was said and done (Effect dicts) of open orders before the rest of the message is answered.
    """

    messages: Annotated[list[AnyMessage], window]
    summary: str
    entities: dict[str, list[str]]
    turn: int
    session: dict[str, Any]
    topic: dict[str, Any] | None
    facts: list[list[Any]]
    open_quote: dict[str, Any] | None
    bargain: dict[str, Any] | None
    wanted: str
    asked_which: dict[str, Any] | None
    desk: dict[str, Any] | None
    unanswered: list[str]
    upset: int
    paused: dict[str, float]

    classification: dict[str, Any]
    retrieval: dict[str, Any] | None
    quote: dict[str, Any] | None
    risk: dict[str, Any]
    decision: dict[str, Any]
    effects: list[dict[str, Any]]
    acts: list[dict[str, Any]]
    pictures: list[dict[str, Any]]
    unseen: list[dict[str, str]]
    ordered: dict[str, Any]


def after_orders(
    state: ConversationState, content: str, effects: list[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    """The answer behind what was said and done of open orders in the same turn."""
    ordered = state.get("ordered") or {}
    whole = "\n".join([*ordered.get("said", ()), *filter(None, [content])])
    return whole, [*effects, *ordered.get("effects", ())]


Update = dict[str, Any]
"""What a node returns: the keys of the state that it changes."""


def last_customer_message(state: ConversationState) -> tuple[str, list[str]]:
    """Text and image URLs of the newest customer message (Studio may send content blocks)."""
    for message in reversed(state.get("messages", [])):
        if isinstance(message, HumanMessage):
            return _content(message.content)
    return "", []


def _content(content: str | list[Any]) -> tuple[str, list[str]]:
    if isinstance(content, str):
        return content, []
    texts, images = [], []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif block.get("type") == "text":
            texts.append(str(block.get("text", "")))
        elif block.get("type") == "image_url":
            link = block.get("image_url")
            images.append(str(link.get("url", "") if isinstance(link, dict) else link))
        elif block.get("type") == "image":
            images.append(str(block.get("url", "")))
    return "\n".join(texts), images


def contents(messages: list[AnyMessage]) -> list[str]:
    """What each says, in words."""
    return [_content(one.content)[0] for one in messages]


def earlier_questions(state: ConversationState, turns: int) -> list[str]:
    """The customer's messages before the newest one, oldest first, the last ``turns`` of them."""
    asked = [
        _content(m.content)[0] for m in state.get("messages", []) if isinstance(m, HumanMessage)
    ]
    return asked[:-1][-turns:]
