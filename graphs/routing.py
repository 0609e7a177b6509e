"""Routing functions are pure: state in, node names out."""

from typing import Any

from langgraph.graph import END

from domain.decisions import RiskOutcome
from domain.intents import DIALOGUE_TYPE, DialogueType, Intent
from graphs.state import ConversationState
from graphs.talk import is_work, was_quoted
from graphs.trusted import trusted_evidence

_PRICED = frozenset({Intent.PRICE, Intent.FIND_IMAGE, Intent.PROCESS_IMAGE})
_PERSON = frozenset({Intent.HUMAN, Intent.COMPLAINT})
_SURE = 0.6
_ON_EVIDENCE = frozenset({"evidence", "uncertain", "vague", "off_topic"})
"""Reasons of `risk_check` that send the customer to what knowledge says."""
_AT_DESK = frozenset({"asked", "returned", "leave", "wait"})
_UNSURE = frozenset({"uncertain", "vague", "off_topic"})
_SAID_IN_QUEUE = frozenset({Intent.THANKS, Intent.FAREWELL, Intent.CONFIRM})


def after_classify(state: ConversationState) -> list[str]:
    """Tasks that the messages fire, and rules, act first, then comes what else is asked."""
    found = state["classification"]
    acts = found.get("tasks") or _rules_act(found)
    return ["act"] if acts else what_is_asked(state)


def after_act(state: ConversationState) -> list[str]:
    found = state["classification"]
    if (found.get("triggers") or {}).get("reply") is not None:
        return [after_reply(state)]
    return [END] if found["settled"] else what_is_asked(state)


def _rules_act(found: dict[str, Any]) -> bool:
    triggers = found.get("triggers") or {}
    return bool(triggers.get("acts") or triggers.get("reply"))


def what_is_asked(state: ConversationState) -> list[str]:
    """What is said to the desk is its affair; pictures are looked at before anything is said of
    them."""
    found = state["classification"]
    if _is_the_desks(found.get("desk")):
        return ["desk"]
    handed = found["rule"] and found["rule"]["action"] == "handoff"
    return ["look"] if found.get("looks") and not handed else after_look(state)


def _is_the_desks(heard: dict[str, Any] | None) -> bool:
    if heard is None:
        return False
    return heard["does"] in _AT_DESK or (heard["does"] == "mark" and not heard["rest"])


def after_look(state: ConversationState) -> list[str]:
    """What is said of open orders is done before the rest is answered."""
    return ["order"] if state["classification"].get("orders") else after_order(state)


def after_order(state: ConversationState) -> list[str]:
    """A rule that hands over, small talk and a plain wish for a person need no search."""
    found = state["classification"]
    if found.get("orders"):
        if state["ordered"].get("person"):
            return [_to_person(state)]
        if not found["orders"]["rest"]:
            return [after_reply(state)]
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
    if state["risk"]["outcome"] == RiskOutcome.HANDOFF.value or _has_nothing_to_say(state):
        return _to_person(state)
    return "desk" if _is_left_to_the_desk(state) else "reply"


def after_reply(state: ConversationState) -> str:
    """In copilot mode a person approves it first."""
    return "draft" if state["classification"].get("drafts") else END


def after_escalate(state: ConversationState) -> str:
    """Handing over needs nobody's word; an order, and what is said instead of handing over, do."""
    decision = state["decision"]
    handed = decision["decision"] == "handoff" and not is_work(decision)
    return END if handed else after_reply(state)


def _to_person(state: ConversationState) -> str:
    """Who waits for one already is told so; work for a designer goes its way all the same."""
    risk = state["risk"]
    designer = risk.get("desk") == "designer" or "order_confirmed" in risk.get("reasons", ())
    queued = (state.get("classification") or {}).get("queued")
    return "desk" if queued and not designer else "escalate"


def _is_left_to_the_desk(state: ConversationState) -> bool:
    """While a person is waited for the bot says only what it surely knows."""
    found = state.get("classification") or {}
    if not found.get("queued"):
        return False
    reasons = state["risk"].get("reasons", ())
    idle = "chat" in reasons and Intent(found["intent"]) not in _SAID_IN_QUEUE
    return idle or not _UNSURE.isdisjoint(reasons)


def _has_nothing_to_say(state: ConversationState) -> bool:
    """The entry that would answer gives orders instead: a person has to look at it."""
    leans = not _ON_EVIDENCE.isdisjoint(state["risk"].get("reasons", ()))
    return leans and not trusted_evidence(state.get("retrieval"))
