"""The customer waits for a person, waits no longer, or has just spoken with one."""

from domain.decisions import Action, Effect, EffectKind, as_dict
from domain.desk import Mode
from graphs.at_desk import MAX_QUESTION_CHARS, desk_effect, marked, queue_word
from graphs.context import TurnContext
from graphs.desk import AtDesk
from graphs.memory import kept_of
from graphs.state import ConversationState, Update, after_orders


async def desk(state: ConversationState, context: TurnContext) -> Update:
    heard = state["classification"].get("desk") or {"does": "wait"}
    if heard["does"] == "leave":
        return _said(state, context, _render(context, "queue_left"), [desk_effect("leave")])
    if heard["does"] == "mark":
        word, effect, kept = marked(state.get("desk") or {}, context, heard)
        return _said(state, context, word, [effect]) | {"desk": kept}
    if heard["does"] == "wait":
        return _waits(state, context)
    return _returned(state, context, asks=heard["does"] == "asked")


def _returned(state: ConversationState, context: TurnContext, *, asks: bool) -> Update:
    """A person gave the conversation back; what was open before is not asked about any more."""
    returned = context.desk.returned if context.desk is not None else None
    assert returned is not None
    if not asks:
        return _said(state, context, "", [])
    rating = {
        "handoff": returned.handoff,
        "question": returned.question[:MAX_QUESTION_CHARS],
        "at": context.now,
    }
    done = [desk_effect("asked", handoff=returned.handoff)]
    kept = {**(state.get("desk") or {}), "rating": rating}
    return _said(state, context, _render(context, "ask_mark"), done) | {"desk": kept}


def _waits(state: ConversationState, context: TurnContext) -> Update:
    """The place in the queue, now and then; what came is kept for the person in any case."""
    at, kept = context.desk or AtDesk(Mode.QUEUED), state.get("desk") or {}
    if not kept.get("urgent") and (urgent := _urgent(state)) is not None:
        said = _said(state, context, _render(context, "queue_urgent"), [urgent])
        return said | {"desk": {**kept, "told_at": context.now, "urgent": True}}
    if context.now - kept.get("told_at", 0.0) < context.services.desk.told_s:
        return _said(state, context, "", [])
    place = queue_word(context, at.standing, joined=False)
    said = _said(state, context, f"{place}{_render(context, 'queue_leave')}", [])
    return said | {"desk": {**kept, "told_at": context.now}}


def _urgent(state: ConversationState) -> Effect | None:
    """Who must not wait moves up: the hand-over that waits takes the higher priority."""
    found = state["classification"]
    rule, mood = found["rule"] or {}, found.get("mood", "")
    ruled = rule.get("action") == "handoff" and rule.get("priority") == "high"
    if not ruled and mood != "strong":
        return None
    payload = {
        "reason": rule["category"] if ruled else "negative",
        "priority": "high",
        "target": "desk",
        "question": found["text"],
        "mood": mood,
    }
    return Effect(EffectKind.HANDOFF, "handoff", payload)


def _render(context: TurnContext, template: str) -> str:
    return context.services.templates.render(template, seed=context.turn_id)


def _said(
    state: ConversationState, context: TurnContext, content: str, done: list[Effect]
) -> Update:
    content, effects = after_orders(state, content, [as_dict(one) for one in done])
    update: Update = {
        "decision": {
            "action": Action.REPLY.value if content else Action.NONE.value,
            "decision": "desk",
            "content": content,
            "confidence": 1.0,
            "citations": [],
            "source": "desk",
        },
        "risk": {"outcome": "accept", "reasons": ["desk"], "missing": [], "priority": "normal"},
        "effects": effects,
    }
    if not content:
        return update
    context.emit("token", {"text": content})
    message = as_dict(Effect(EffectKind.MESSAGE, "reply", {"text": content}))
    return update | {
        "effects": [message, *effects],
        **kept_of(state, content, "人工"),
    }
