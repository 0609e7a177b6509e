"""What does the customer want? Rules first, then the trained classifier; no model needed."""

from typing import Any

from domain.campaigns import opted
from domain.intents import DIALOGUE_TYPE, Intent
from domain.negotiation import counter_offer
from domain.rules import RuleHit
from graphs.at_desk import (
    beside_desk,
    heard_at_desk,
    is_drafted,
    is_queued,
    kept_at_desk,
    wants_person,
    with_unanswered,
)
from graphs.classifier.entities import entities
from graphs.context import TurnContext
from graphs.following import followed
from graphs.heard import beside_offers, calls_off, heard_of_orders
from graphs.memory import merge_entities
from graphs.mood import Mood, mood_of
from graphs.recap import recapped
from graphs.ruling import Ruled, allowed, nothing_ruled, ruled
from graphs.state import ConversationState, Update, last_customer_message
from graphs.talk import chosen_option, is_order_no, was_asked_for, was_quoted

MAX_CLASSIFIED_CHARS = 2_000
A_PERSON = RuleHit("human_request", "offer", "normal", "handoff")
"""A yes to the person that was offered."""
UPSET = RuleHit("negative", "upset", "high", "handoff")
"""Negative messages in a row, where policy hands over then."""
_INTENT_OF_RULE = {"human_request": Intent.HUMAN, "complaint": Intent.COMPLAINT}


async def classify(state: ConversationState, context: TurnContext) -> Update:
    """Gives ``classification`` and clears what an earlier turn left in the state.

    Of messages that fire tasks only what they ask besides counts.
    """
    text, images = last_customer_message(state)
    settled = bool(context.fired) and not (context.asks or images or context.attachments)
    text = context.asks or text
    images += [a.url for a in context.attachments if a.kind == "image"]
    state, text, images = with_unanswered(state, context, text, images)
    said, services = text, context.services
    at_desk = None if settled else heard_at_desk(text, state, context)
    text = beside_desk(at_desk) or text
    mood = await mood_of(text, state, context)
    hit = services.rules.match(text[:MAX_CLASSIFIED_CHARS], contact_id=context.customer.contact_id)
    hit = A_PERSON if wants_person(at_desk) else hit
    triggers = _triggered(text, hit, mood, state, context, settled=settled)
    hit = _decides(hit, triggers, mood, context, at_desk)
    bargains = was_quoted(state) and counter_offer(text[:MAX_CLASSIFIED_CHARS]) is not None
    heard = None
    if not (settled or (hit is not None and hit.action == "handoff")):
        heard = _heard(text, state, context, has_picture=bool(images))
        if bargains and not calls_off(heard):
            # «不做了，太贵了» haggles no more; «便宜5块，再加个边框» changes what the price is of.
            heard = _heard(beside_offers(text), state, context, has_picture=bool(images))
            heard = heard if heard is not None and heard["kind"] == "amend" else None
    bargains = bargains and heard is None
    text = (heard["rest"] if heard else "") or text
    images = images or _picture_in_talk(state)
    busy = settled or bargains or bool(heard or images or at_desk) or was_quoted(state)
    text = text[:MAX_CLASSIFIED_CHARS]
    text = chosen_option(state, text) or text
    found = entities(text)
    (intent, confidence), opts = _intent(text, hit, context), opted(text)
    if opts is not None and not _names_intent(hit):
        intent, confidence = Intent.FAREWELL, 1.0
    elif not _names_intent(hit) and is_order_no(text, found.get("order_no", [])):
        intent, confidence = Intent.ORDER_STATUS, 1.0
    return {
        "classification": {
            "text": text,
            "intent": intent.value,
            "confidence": round(confidence, 4),
            "dialogue_type": DIALOGUE_TYPE[intent].value,
            "sentiment": mood.feeling.sentiment.value,
            "mood": mood.word,
            "entities": found,
            "rule": _rule(hit),
            "triggers": allowed(triggers.found, hit, busy=busy or opts is not None),
            "offers_person": _offers(mood, context, at_desk),
            "images": images,
            "looks": bool(images) and services.pictures is not None,
            "bargains": bargains,
            "orders": heard,
            "tasks": [fired.task_id for fired in context.fired],
            "settled": settled,
            "opts": opts,
            "desk": at_desk,
            "queued": is_queued(context),
            "drafts": is_drafted(context),
        },
        "entities": merge_entities(state.get("entities", {}), found),
        **await recapped(followed(state, context, said, DIALOGUE_TYPE[intent]), context),
        "upset": mood.upset,
        "paused": triggers.paused,
        "retrieval": None,
        "quote": None,
        "effects": [],
        "acts": [],
        "pictures": [],
        "unseen": [],
        "ordered": {},
        "asked_which": None,
        **kept_at_desk(state, context, at_desk, said),
    }


def _names_intent(hit: RuleHit | None) -> bool:
    return hit is not None and hit.category in _INTENT_OF_RULE


def _intent(text: str, hit: RuleHit | None, context: TurnContext) -> tuple[Intent, float]:
    if hit is not None and hit.category in _INTENT_OF_RULE:
        return _INTENT_OF_RULE[hit.category], 1.0
    prediction = context.services.classifier.predict(text)
    return prediction.intent, prediction.confidence


def _triggered(
    text: str,
    hit: RuleHit | None,
    mood: Mood,
    state: ConversationState,
    context: TurnContext,
    *,
    settled: bool,
) -> Ruled:
    if settled or not text.strip():
        return nothing_ruled(state, context)
    text = text[:MAX_CLASSIFIED_CHARS]
    intent, confidence = _intent(text, hit, context)
    return ruled(text, intent, confidence, mood, state, context)


def _decides(
    hit: RuleHit | None,
    triggers: Ruled,
    mood: Mood,
    context: TurnContext,
    at_desk: dict[str, Any] | None,
) -> RuleHit | None:
    """Words that hand over go first, then a trigger, then the customer's mood."""
    if hit is not None and hit.action == "handoff":
        return hit
    if triggers.hit is not None:
        return triggers.hit
    policy = context.services.mood
    calm = at_desk is not None or is_queued(context) or mood.upset < policy.turns
    return hit if calm or policy.does != "handoff" else UPSET


def _offers(mood: Mood, context: TurnContext, at_desk: dict[str, Any] | None) -> bool:
    """Every so many negative messages in a row; who waits for a person has been heard."""
    policy = context.services.mood
    if policy.does != "offer" or not mood.upset or mood.upset % policy.turns:
        return False
    return at_desk is None and not is_queued(context) and not is_drafted(context)


def _heard(
    text: str, state: ConversationState, context: TurnContext, *, has_picture: bool
) -> dict[str, Any] | None:
    """What is said of open orders; an answer to what we asked of a new one is none."""
    if was_asked_for(state, "service"):
        return None
    return heard_of_orders(text, state, context.orders, has_picture=has_picture)


def _picture_in_talk(state: ConversationState) -> list[str]:
    """The picture of the last message, where we asked what is to be done with it."""
    if not was_asked_for(state, "service"):
        return []
    return list(state["classification"]["images"])


def _rule(hit: RuleHit | None) -> dict[str, Any] | None:
    if hit is None:
        return None
    return {
        "category": hit.category,
        "word": hit.word,
        "priority": hit.priority,
        "action": hit.action,
        "id": hit.rule,
    }
