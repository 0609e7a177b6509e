"""Accept, ask back, decline, or hand to a person - with reasons."""

from dataclasses import replace
from typing import Any, Literal

from domain.decisions import RiskDecision, RiskOutcome
from domain.intents import Intent, Sentiment
from domain.negotiation import Answer
from domain.pricing import approval_reasons
from domain.risk import TIER_LIMIT, RiskFacts, assess, priority
from domain.tiers import is_over, limits_of
from graphs.approved import quote_in
from graphs.context import TurnContext
from graphs.ordering import is_for_a_person
from graphs.seen import about_pictures
from graphs.state import ConversationState, Update, earlier_questions
from graphs.talk import was_asked_for, was_quoted


async def risk_check(state: ConversationState, context: TurnContext) -> Update:
    facts = _facts(state, context)
    decision = _about_price(state, facts) or assess(facts, context.services.risk_policy)
    decision, of_pictures = about_pictures(state, context, decision)
    taken = RiskDecision(RiskOutcome.HANDOFF, ("order_confirmed",))
    if decision == taken and not is_for_a_person(state, context):
        decision = replace(decision, outcome=RiskOutcome.ACCEPT, missing=())
    risk: dict[str, Any] = {
        "outcome": decision.outcome.value,
        "reasons": list(decision.reasons),
        "missing": list(decision.missing),
        "priority": priority(decision, facts),
        "approval": _approval(state, context, decision),
    }
    if TIER_LIMIT in decision.reasons:
        risk["template"] = "tier_limited"
    if of_pictures:
        risk["template"] = of_pictures[0].template
        risk["evidence"] = [reason.evidence for reason in of_pictures]
        risk["desk"] = of_pictures[0].desk
    return {"risk": risk}


def _about_price(state: ConversationState, facts: RiskFacts) -> RiskDecision | None:
    """A talk about the price ends with a quote, or with a person once the book's rounds are over;
    what rules and the blacklist hand over stays handed over."""
    bargain = state.get("bargain")
    if not state["classification"].get("bargains") or bargain is None or facts.rule_hands_over:
        return None
    limits = limits_of(facts.level)
    if is_over(facts.level, facts.last_hour):
        return None
    if bargain["kind"] == Answer.PERSON.value or not limits.discounts:
        return RiskDecision(RiskOutcome.HANDOFF, ("bargain",))
    return RiskDecision(RiskOutcome.ACCEPT, ("quoted",))


def _approval(state: ConversationState, context: TurnContext, decision: RiskDecision) -> list[str]:
    """Why a person has to approve the quote that the customer would be told now."""
    offered = quote_in(state)
    if offered is None or decision.outcome is not RiskOutcome.ACCEPT:
        return []
    return list(approval_reasons(context.services.price_book, offered))


def _facts(state: ConversationState, context: TurnContext) -> RiskFacts:
    found = state["classification"]
    rule = found["rule"] or {}
    retrieval = state.get("retrieval")
    return RiskFacts(
        text=found["text"],
        intent=Intent(found["intent"]),
        intent_confidence=found["confidence"],
        sentiment=Sentiment(found["sentiment"]),
        rule=rule.get("category", ""),
        rule_hands_over=rule.get("action") == "handoff",
        level=context.customer.level,
        retrieval=retrieval["confidence"] if retrieval else None,
        exact=bool(retrieval and retrieval["exact"]),
        quoted=state.get("quote") is not None,
        has_image=bool(found["images"]),
        has_order_no="order_no" in state.get("entities", {}),
        offer=_offer(state, context),
        opening=not earlier_questions(state, 1),
        last_hour=context.customer.last_hour,
        urgent=_urgent(found),
    )


def _urgent(found: dict[str, Any]) -> bool:
    """A trigger says so, or the entry of the rules that hands over."""
    rule, triggers = found["rule"] or {}, found.get("triggers") or {}
    handed = rule.get("action") == "handoff" and rule.get("priority") == "high"
    return handed or bool(triggers.get("urgent"))


def _offer(state: ConversationState, context: TurnContext) -> Literal["", "open", "needs_image"]:
    """A picture comes first where it decides the price; a design starts without one."""
    quote = state.get("open_quote")
    if not quote or not was_quoted(state):
        return ""
    service = context.services.price_book.service(quote["service"])
    designed = service is not None and service.starting_price
    waits = quote["estimate"] and not designed and was_asked_for(state, "image")
    return "needs_image" if waits else "open"
