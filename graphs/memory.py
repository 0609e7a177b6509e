"""What a conversation remembers beyond its window, bounded."""

from langchain_core.messages import AIMessage

from domain.mentions import named
from graphs.facts import noted
from graphs.state import MAX_ENTITY_VALUES, MAX_SUMMARY_CHARS, ConversationState, Update

_KEPT = ("order_no", "phone", "error_code", "power_kw", "amount", "quantity", "date")
MAX_GIST_CHARS = 40
_OUTCOMES = {
    "answer": "已答",
    "quote": "已报价",
    "order": "已下单",
    "dispatch": "已派单",
    "clarify": "已追问",
    "decline": "已婉拒",
    "offer": "可转人工",
    "rule": "已答",
}


def merge_entities(old: dict[str, list[str]], new: dict[str, list[str]]) -> dict[str, list[str]]:
    """Newest values first, at most MAX_ENTITY_VALUES a kind."""
    merged = dict(old)
    for kind in _KEPT:
        if kind in new:
            values = dict.fromkeys([*new[kind], *old.get(kind, [])])
            merged[kind] = list(values)[:MAX_ENTITY_VALUES]
    return merged


def summarise(state: ConversationState, outcome: str, content: str = "") -> str:
    """The old summary with one more line for this turn: what was asked, and what the answer
    ``content`` named; the oldest lines fall off. Small talk leaves none."""
    if outcome == "chat":
        return state.get("summary", "")
    question = state["classification"]["text"].replace("\n", " ")[:MAX_GIST_CHARS]
    gist = "、".join(named(content))[:MAX_GIST_CHARS]
    told = ":".join(filter(None, [_OUTCOMES.get(outcome, outcome), gist]))
    lines = [*state.get("summary", "").split("\n"), f"客户:{question} → {told}"]
    lines = [line for line in lines if line]
    while len("\n".join(lines)) > MAX_SUMMARY_CHARS and len(lines) > 1:
        lines.pop(0)
    return "\n".join(lines)


def remembered(state: ConversationState, content: str, outcome: str) -> Update:
    """What the state keeps of a reply; of one that waits for a person's word, nothing before it is
    sent."""
    if state["classification"].get("drafts"):
        return {}
    return kept_of(state, content, outcome)


def kept_of(state: ConversationState, content: str, outcome: str) -> Update:
    """Of what was said to the customer; where that is nothing, of what was asked."""
    update: Update = {"summary": summarise(state, outcome, content)}
    if content:
        update["messages"] = [AIMessage(content=content)]
        update["facts"] = noted(state.get("facts", ()), content, state.get("turn", 0), ours=True)
    return update
