"""What of the conversation goes into a prompt: as little as the question needs.

Instead of the history: the names, numbers and codes that the question may lean on, the last
questions of the topic where it cannot be understood alone, and the summary where the customer comes
back or asks about earlier. Everything is counted with the counter of the token budgets.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AnyMessage, HumanMessage

from domain.intents import CONTEXT_TURNS, DialogueType
from domain.text import letters
from domain.topics import leans
from graphs.facts import Fact, asked_for, codes_of, facts_of, need
from graphs.state import ConversationState, contents, earlier_questions
from tools.models.tokens import estimate_tokens

CUSTOMER, US = "客户", "客服"
MAX_LINE_CHARS = 40
MAX_BARE_CHARS = 8
"""A message of so few characters that leans on others says nothing without them."""
RESUMED_TURNS = 3
"""For as many turns of a new session the summary of the last one is told."""
_LEAST_NEED = -2.5
"""Below it a fact is left out even where there is room."""
_PINNED = ("order_no", "phone")
"""Kinds of entities of which the customer's last one is always known."""
_EARLIER = re.compile("之前|刚才|刚刚|上次|上回|前面|前几天|昨天|说过|提过|问过|聊过|那天")


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """``budget``: tokens of a whole call; ``talk``: of them for the conversation; ``summary``: more
    of them for its summary, where that is told; ``verbatim``: a talk of no more is told as it
    was. ``shortens``: a model is asked to shorten a summary that is longer, for ``shortens_s``."""

    budget: int = 2_400
    talk: int = 78
    summary: int = 80
    verbatim: int = 39
    shortens: bool = False
    shortens_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Focus:
    """``known``: in the order of the talk. ``recent``: the last questions, or all that was said
    where that is little, oldest first, each with who said it. ``summary``: of what was before the
    window."""

    known: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    summary: str = ""


def window(state: ConversationState) -> list[str]:
    """The customer's questions of this topic before the present one, oldest first: as many as the
    dialogue type looks back on (chat 1, consult 5, business 3)."""
    turns = CONTEXT_TURNS[DialogueType(state["classification"]["dialogue_type"])]
    topic = state.get("topic")
    inside = min(turns, state.get("turn", 0) - topic["turn"]) if topic else turns
    return earlier_questions(state, inside) if inside > 0 else []


def focus_of(state: ConversationState, policy: ContextPolicy) -> Focus:
    text = state["classification"]["text"]
    turn = state.get("turn", 0)
    said_now = letters(text)
    whole = _in_full(state, policy.verbatim)
    if whole:
        known = [value for value in _pinned(state, said_now) if not _holds(whole, value)]
        return Focus(tuple(known), tuple(whole), _summary(state, text, policy.summary))
    facts = [one for one in facts_of(state.get("facts", ())) if letters(one.value) not in said_now]
    pinned = _pinned(state, said_now)
    recent = _recent(window(state), text, policy.talk // 2)
    left = policy.talk - _tokens(recent)
    known = _chosen(facts, pinned, lambda fact: need(fact, turn) + asked_for(fact, text), left)
    return Focus(tuple(known), tuple(recent), _summary(state, text, policy.summary))


def _in_full(state: ConversationState, budget: int) -> list[str]:
    """The whole talk where it is short; empty else."""
    asked = len(window(state))
    if not asked or asked < state.get("turn", 1) - 1:
        return []
    lines = [
        f"{CUSTOMER if isinstance(one, HumanMessage) else US}:{' '.join(said.split())}"
        for one, said in _told(state.get("messages", [])[:-1], asked)
    ]
    return lines if _tokens(lines) <= budget else []


def _told(messages: Sequence[AnyMessage], asked: int) -> list[tuple[AnyMessage, str]]:
    """The last ``asked`` questions with what was answered to them."""
    begins = [at for at, one in enumerate(messages) if isinstance(one, HumanMessage)][-asked:]
    inside = list(messages[begins[0] :]) if begins else []
    return list(zip(inside, contents(inside), strict=True))


def _holds(lines: Sequence[str], value: str) -> bool:
    return any(value in line for line in lines)


def _pinned(state: ConversationState, said_now: str) -> list[str]:
    entities = state.get("entities", {})
    newest = (entities[kind][0] for kind in _PINNED if entities.get(kind))
    return [value for value in newest if letters(value) not in said_now]


def _chosen(
    facts: Sequence[Fact], pinned: Sequence[str], needed: Callable[[Fact], float], budget: int
) -> list[str]:
    """As many as ``budget`` holds, the most needed first; what another one contains, and a code
    that is known, need not be said."""
    ranked = sorted(((needed(one), -at) for at, one in enumerate(facts)), reverse=True)
    wanted = [facts[-at].value for score, at in ranked if score >= _LEAST_NEED]
    chosen: list[str] = []
    known: frozenset[str] = frozenset()
    for value in (*pinned, *wanted):
        cost, codes = estimate_tokens(f"{value}、"), codes_of(value)
        if cost > budget or (codes and codes <= known) or any(value in one for one in chosen):
            continue
        chosen.append(value)
        known |= codes
        budget -= cost
    order = {fact.value: at for at, fact in enumerate(facts)}
    return sorted(chosen, key=lambda value: order.get(value, -1))


def _recent(questions: Sequence[str], text: str, budget: int) -> list[str]:
    """Nothing where ``text`` can be understood alone; what it leans on is known by name."""
    if not _is_bare(text):
        return []
    lines: list[str] = []
    for question in reversed(questions):
        line = f"{CUSTOMER}:{' '.join(question.split())[:MAX_LINE_CHARS]}"
        budget -= estimate_tokens(line) + 1
        if budget < 0:
            break
        lines.insert(0, line)
    return lines


def _is_bare(text: str) -> bool:
    return len(letters(text)) <= MAX_BARE_CHARS and leans(text)


def _summary(state: ConversationState, text: str, budget: int) -> str:
    """The last session's on coming back, this one's where the customer speaks of earlier."""
    session = state.get("session") or {}
    back = state.get("turn", 0) - session.get("turn", 0) < RESUMED_TURNS
    before = str(session.get("before", "")) if back else ""
    here = state.get("summary", "") if _EARLIER.search(text) else ""
    return _newest_lines("\n".join(filter(None, [before, here])), budget)


def _newest_lines(summary: str, budget: int) -> str:
    lines: list[str] = []
    for line in reversed(summary.split("\n")):
        budget -= estimate_tokens(line) + 1
        if budget < 0:
            break
        lines.insert(0, line)
    return "\n".join(lines).strip()


def _tokens(lines: Sequence[str]) -> int:
    return sum(estimate_tokens(line) + 1 for line in lines)
