"""Routing functions are pure: state in, node names out."""

from langgraph.graph import END

from domain.decisions import RiskOutcome
from domain.intents import DIALOGUE_TYPE, DialogueType, Intent
from graphs.state import ConversationState
from graphs.talk import was_quoted
from graphs.trusted import trusted_evidence

_PRICED = frozenset({Intent.PRICE, Intent.FIND_IMAGE, Intent.PROCESS_IMAGE})
_PERSON = frozenset({Intent.HUMAN, Intent.COMPLAINT})
_SURE = 0.6
_ON_EVIDENCE = frozenset({"evidence", "uncertain", "vague", "off_topic"})
"""Reasons of `risk_check` that send the customer to what knowledge says."""


def after_classify(state: ConversationState) -> list[str]:
    """Tasks that the messages fire act first, then comes what else is asked."""
    return ["act"] if state["classification"].get("tasks") else what_is_asked(state)


def after_act(state: ConversationState) -> list[str]:
    return [END] if state["classification"]["settled"] else what_is_asked(state)


def what_is_asked(state: ConversationState) -> list[str]:
    """Pictures are looked at before anything is said of them."""
    found = state["classification"]
    handed = found["rule"] and found["rule"]["action"] == "handoff"
    return ["look"] if found.get("looks") and not handed else after_look(state)


def after_look(state: ConversationState) -> list[str]:
    """What is said of open orders is done before the rest is answered."""
    return ["order"] if state["classification"].get("orders") else after_order(state)


def after_order(state: ConversationState) -> list[str]:
    """A rule that hands over, small talk and a plain wish for a person need no search."""
    found = state["classification"]
    if found.get("orders"):
        if state["ordered"].get("person"):
            return ["escalate"]
        if not found["orders"]["rest"]:
            return [END]
    intent = Intent(found["intent"])
    if found["rule"] and found["rule"]["action"] == "handoff":
        return ["risk_check"]
    if found.get("bargains"):
        return ["price_estimate"]
    goes_on = was_quoted(state) and "quantity" in found["entities"]
    if found["images"] or intent in _PRICED or goes_on:
        return ["retrieve", "price_estimate"]
    settled = intent in _PERSON or DIALOGUE_TYPE[intent] is DialogueType.CHAT
    if settled and found["confidence"] >= _SURE:
        return ["risk_check"]
    return ["retrieve"]


def after_risk_check(state: ConversationState) -> str:
    """A quote that a person has to approve stops at `approve` before anybody is told of it."""
    return "approve" if state["risk"].get("approval") else after_approve(state)


def after_approve(state: ConversationState) -> str:
    handed_over = state["risk"]["outcome"] == RiskOutcome.HANDOFF.value
    return "escalate" if handed_over or _has_nothing_to_say(state) else "reply"


def _has_nothing_to_say(state: ConversationState) -> bool:
    """The entry that would answer gives orders instead: a person has to look at it."""
    leans = not _ON_EVIDENCE.isdisjoint(state["risk"].get("reasons", ()))
    return leans and not trusted_evidence(state.get("retrieval"))
