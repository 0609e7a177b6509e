"""What the triggers of the rules file make of a message: plain values, which later nodes act on."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain import message_fields
from domain.errors import KefuError
from domain.intents import Intent
from domain.rule_triggers import Fired, Occasion, Step
from domain.rules import RuleHit
from graphs.context import TurnContext
from graphs.mood import Mood
from graphs.state import ConversationState

log = logging.getLogger(__name__)
MAX_PAUSED = 40
CATEGORY = "rule"
"""The reason of a hand-over that a trigger asked for."""
_ADD_TAG = "add_tag"


@dataclass(frozen=True, slots=True)
class Ruled:
    """``found``: for the classification: ``fired`` (id, name, stage, word, flags), ``acts`` (rule,
    key, tool, arguments), ``reply`` (rule, text), ``urgent``. ``hit``: whom a trigger hands over.
    ``paused``: for the state."""

    found: dict[str, Any]
    hit: RuleHit | None = None
    paused: dict[str, float] = field(default_factory=dict)


def ruled(
    text: str,
    intent: Intent,
    confidence: float,
    mood: Mood,
    state: ConversationState,
    context: TurnContext,
) -> Ruled:
    """Triggers that act on ``text``."""
    resting = {
        rule: until for rule, until in state.get("paused", {}).items() if until > context.now
    }
    occasion = Occasion(
        text=text,
        intent=intent,
        intent_confidence=confidence,
        sentiment=mood.feeling.sentiment,
        at=datetime.fromtimestamp(context.now, context.services.zone),
        upset=mood.upset,
        customer=context.customer,
        channel=context.channel,
        account=context.account,
    )
    fired = context.services.rules.fired(occasion, resting)
    return Ruled(_found(fired, occasion, context), _hit(fired), _paused(fired, resting, context))


def nothing_ruled(state: ConversationState, context: TurnContext) -> Ruled:
    return Ruled(
        _plain((), (), None, urgent=False), paused=_paused((), state.get("paused", {}), context)
    )


def allowed(found: dict[str, Any], hit: RuleHit | None, *, busy: bool) -> dict[str, Any]:
    """A reply of a rule takes the place of an answer: not where a person answers, nor where the
    message is about an order, a price or a picture."""
    handed = hit is not None and hit.action == "handoff"
    return {**found, "reply": None} if busy or handed else found


def _found(fired: Sequence[Fired], occasion: Occasion, context: TurnContext) -> dict[str, Any]:
    acts: list[dict[str, Any]] = []
    reply: dict[str, str] | None = None
    urgent = False
    for one in fired:
        values = _values(one, occasion, context)
        for at, step in enumerate(one.trigger.then):
            urgent = urgent or bool(step.priority)
            acted = _act(one, at, step, values)
            if acted is not None:
                acts.append(acted)
            elif reply is None:
                reply = _reply(one, step, values, context)
    return _plain(fired, acts, reply, urgent=urgent)


def _plain(
    fired: Sequence[Fired],
    acts: Sequence[dict[str, Any]],
    reply: dict[str, str] | None,
    *,
    urgent: bool,
) -> dict[str, Any]:
    shown = [
        {
            "id": one.trigger.id,
            "name": one.trigger.name,
            "stage": one.trigger.stage,
            "word": one.word,
            "flags": [step.flag for step in one.trigger.then if step.flag],
        }
        for one in fired
    ]
    return {"fired": shown, "acts": list(acts), "reply": reply, "urgent": urgent}


def _act(fired: Fired, at: int, step: Step, values: Mapping[str, str]) -> dict[str, Any] | None:
    """The call of a tool that ``step`` is, tags being one."""
    tool, arguments = step.tool, step.arguments
    if step.tag:
        tool, arguments = _ADD_TAG, {"tags": list(step.tag)}
    if not tool:
        return None
    rule = fired.trigger.id
    filled = message_fields.fill(arguments, values)
    return {"rule": rule, "key": f"{rule}:{at}", "tool": tool, "arguments": filled}


def _reply(
    fired: Fired, step: Step, values: Mapping[str, str], context: TurnContext
) -> dict[str, str] | None:
    if step.reply:
        text = message_fields.fill({"text": step.reply}, values)["text"]
    elif step.template:
        text = _rendered(step.template, context)
    else:
        return None
    return {"rule": fired.trigger.id, "text": text} if text else None


def _rendered(template: str, context: TurnContext) -> str:
    """Rules are checked when they are taken; a file that was not is no reason to fail a turn."""
    try:
        return context.services.templates.render(template, seed=context.turn_id)
    except (KeyError, ValueError, KefuError):
        log.exception("a rule names a wording that cannot be used: %r", template)
        return ""


def _values(fired: Fired, occasion: Occasion, context: TurnContext) -> dict[str, str]:
    who = context.customer
    return {
        "customer.name": who.name,
        "customer.contact": who.contact_id,
        "customer.level": who.level,
        "customer.state": who.state,
        "conversation.id": context.conversation_id,
        "channel": context.channel,
        "account": context.account,
        "rule.id": fired.trigger.id,
        "rule.name": fired.trigger.name,
        "rule.word": fired.word,
        "time": f"{occasion.at:%Y-%m-%d %H:%M}",
    }


def _hit(fired: Sequence[Fired]) -> RuleHit | None:
    for one in fired:
        for step in one.trigger.then:
            if step.handoff:
                word = one.word or one.trigger.name
                return RuleHit(CATEGORY, word, step.handoff, "handoff", one.trigger.id)
    return None


def _paused(
    fired: Sequence[Fired], resting: Mapping[str, float], context: TurnContext
) -> dict[str, float]:
    """Bounded: of very many those that rest longest."""
    ends = {
        one.trigger.id: context.now + 60 * one.trigger.pause_minutes
        for one in fired
        if one.trigger.pause_minutes
    }
    kept = {rule: until for rule, until in resting.items() if until > context.now} | ends
    longest = sorted(kept.items(), key=lambda one: -one[1])[:MAX_PAUSED]
    return dict(longest)
