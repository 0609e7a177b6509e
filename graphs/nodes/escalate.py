"""A person takes over: hand-over row, notice to staff, word to the customer. No model is asked."""

from datetime import datetime
from typing import Any

from domain.decisions import Action, Effect, EffectKind, as_dict
from domain.intents import Intent
from domain.pricing import format_yuan
from graphs.at_desk import MAX_QUESTION_CHARS, goes_round, queue_word, with_handed
from graphs.chatter import CHATTER, chatted
from graphs.context import TurnContext
from graphs.memory import kept_of, remembered
from graphs.notices import customer_named
from graphs.ordering import confirmed_order, designers_order
from graphs.state import ConversationState, Update, after_orders
from graphs.talk import is_work
from graphs.tiers import worded

_DESIGNER_WORK = frozenset({Intent.FIND_IMAGE.value, Intent.PROCESS_IMAGE.value})
_TEMPLATES = {
    "complaint": "handoff_complaint",
    "sensitive": "handoff_sensitive",
    "low_confidence": "handoff_low_confidence",
    "human_request": "handoff",
}
_REASONS = {
    "complaint": "客户投诉",
    "sensitive": "命中敏感词",
    "low_confidence": "知识库没有把握回答",
    "evidence": "知识条目含有可疑指令,未作答",
    "human_request": "客户要求人工",
    "order_lookup": "需要查询订单",
    "blacklist": "受限客户",
    "rule": "命中业务规则",
    "negative": "客户情绪持续不满",
    "order_confirmed": "客户确认报价，请安排制作",
    "bargain": "客户议价，请与客户沟通",
    "order_cancel": "客户要取消已交付的订单",
    "order_requirements": "订单要求过长，请与客户核对",
    "order_price": "订单要求改动后的价格需要确认",
    "approval_rejected": "报价未获批准，请与客户沟通",
    "approval_expired": "报价审批超时，请与客户沟通",
}
MAX_NOTICE_QUESTION_CHARS = 500


async def escalate(state: ConversationState, context: TurnContext) -> Update:
    reason = state["risk"]["reasons"][0]
    if reason == "low_confidence" and (talk := await chatted(state, context)) is not None:
        return _small_talk(state, context, talk)
    if goes_round(state, context, reason):
        return _offers_person(state, context)
    content = await _word_to_customer(state, context, reason)
    context.emit("token", {"text": content})
    decision = {
        "action": Action.ESCALATE.value,
        "decision": "handoff",
        "content": content,
        "confidence": round(_confidence(state), 4),
        "citations": [],
        "source": "template",
        "reason": reason,
    }
    done = _orders(state, context, reason)
    tuhui = context.orders is not None and context.orders.dispatching
    if state["risk"].get("desk") == "designer" and tuhui:
        # Tuhui's designers are told by the dispatch.
        decision["decision"] = "dispatch"
        effects = done
    else:
        effects = [_handoff(state, reason), _notice(state, context, reason), *done]
    if reason == "low_confidence":
        effects.append(_unknown(state))
    content, follow = after_orders(state, content, [as_dict(one) for one in effects])
    handed = any(effect.kind is EffectKind.HANDOFF for effect in effects)
    waits = is_work(decision)
    keeps = remembered if waits else kept_of
    return {
        **({"desk": with_handed(state, context)} if handed else {}),
        **({"unanswered": []} if state.get("unanswered") and not waits else {}),
        "decision": decision | {"content": content},
        "open_quote": None if reason == "order_confirmed" else state.get("open_quote"),
        "effects": [as_dict(_message(content)), *follow],
        **keeps(state, content, f"转人工({_REASONS.get(reason, reason)})"),
    }


def _small_talk(state: ConversationState, context: TurnContext, talk: str) -> Update:
    """Instead of a person; that nobody knew is written down all the same."""
    context.emit("token", {"text": talk})
    decision = {
        "action": Action.REPLY.value,
        "decision": "chat",
        "content": talk,
        "confidence": round(_confidence(state), 4),
        "citations": [],
        "source": CHATTER,
    }
    return {
        "decision": decision,
        "effects": [as_dict(_message(talk)), as_dict(_unknown(state))],
        **remembered(state, talk, "chat"),
    }


def _offers_person(state: ConversationState, context: TurnContext) -> Update:
    """The same question went to a person before: that is said, and a person offered, instead of
    handing it over for ever. That nobody knew is written down all the same."""
    word = context.services.templates.render("handoff_again", seed=context.turn_id)
    context.emit("token", {"text": word})
    decision = {
        "action": Action.REPLY.value,
        "decision": "offer",
        "content": word,
        "confidence": round(_confidence(state), 4),
        "citations": [],
        "source": "template:handoff_again",
    }
    content, effects = after_orders(state, word, [as_dict(_unknown(state))])
    question = state["classification"]["text"][:MAX_QUESTION_CHARS]
    return {
        "decision": decision | {"content": content},
        "desk": {**(state.get("desk") or {}), "offered": question},
        "effects": [as_dict(_message(content)), *effects],
        **remembered(state, content, "offer"),
    }


def _unknown(state: ConversationState) -> Effect:
    retrieval = state.get("retrieval")
    asked = {
        "content": state["classification"]["text"],
        "confidence": retrieval["confidence"] if retrieval else 0.0,
    }
    return Effect(EffectKind.UNKNOWN_QUESTION, "unknown", asked)


def _orders(state: ConversationState, context: TurnContext, reason: str) -> list[Effect]:
    if reason == "order_confirmed":
        return confirmed_order(state, context, handed=True)
    if state["risk"].get("desk") == "designer":
        return designers_order(state, context)
    return []


async def _word_to_customer(state: ConversationState, context: TurnContext, reason: str) -> str:
    """That a person was called, and where it may take long, that too."""
    called = _called(state, context, reason)
    if context.stand is None or _target(state, reason) != "desk":
        return called
    standing, urgent = await context.stand(), state["risk"]["priority"] == "high"
    if not standing.open:
        template = "handoff_closed_urgent" if urgent else "handoff_closed"
        templates = context.services.templates
        return templates.render(template, seed=context.turn_id, opens=standing.opens)
    # Whoever must not wait is ahead of those who are counted.
    place = "" if urgent else queue_word(context, standing, joined=True)
    return "\n".join(filter(None, [called, place]))


def _called(state: ConversationState, context: TurnContext, reason: str) -> str:
    template = state["risk"].get("template") or _TEMPLATES.get(reason, "handoff")
    if template == "handoff" and state["classification"]["sentiment"] == "negative":
        template = "handoff_negative"
    return context.services.templates.render(worded(template, context), seed=context.turn_id)


def _confidence(state: ConversationState) -> float:
    """How sure the hand-over is: a rule is certain, else as sure as retrieval was not."""
    if state["classification"]["rule"]:
        return 1.0
    retrieval = state.get("retrieval")
    return float(retrieval["confidence"] if retrieval else state["classification"]["confidence"])


def _message(content: str) -> Effect:
    return Effect(EffectKind.MESSAGE, "reply", {"text": content})


def _target(state: ConversationState, reason: str) -> str:
    if state["risk"].get("desk"):
        return "designer" if state["risk"]["desk"] == "designer" else "desk"
    found = state["classification"]
    drawn = found["intent"] in _DESIGNER_WORK or found["images"] or reason == "order_confirmed"
    return "designer" if drawn else "desk"


def _question(state: ConversationState, reason: str) -> str:
    """The customer's words, with what a person needs to know to understand them."""
    found = state["classification"]
    text = str(found["text"])
    quote = state.get("open_quote")
    if reason == "order_confirmed" and quote:
        total = format_yuan(quote["total"]) + ("起" if quote["estimate"] else "")
        return f"{text}（报价：{quote['service_name']} × {quote['quantity']}，{total}）"
    if reason == "order_lookup" and "order_no" not in found["entities"]:
        return f"{text}（订单号：{state['entities']['order_no'][0]}）"
    return text


def _handoff(state: ConversationState, reason: str) -> Effect:
    payload: dict[str, Any] = {
        "reason": reason,
        "priority": state["risk"]["priority"],
        "target": _target(state, reason),
        "question": _question(state, reason),
        "mood": state["classification"].get("mood", ""),
    }
    return Effect(EffectKind.HANDOFF, "handoff", payload)


def _time(context: TurnContext) -> str:
    return f"{datetime.fromtimestamp(context.now, context.services.zone):%Y-%m-%d %H:%M}"


def _notice(state: ConversationState, context: TurnContext, reason: str) -> Effect:
    templates = context.services.templates
    customer = customer_named(context.customer.name, context.customer.contact_id)
    spoken = "；".join(state["risk"].get("evidence", ())) or _REASONS.get(reason, reason)
    text = templates.render(
        "notice_text",
        customer=customer,
        question=_question(state, reason)[:MAX_NOTICE_QUESTION_CHARS],
        reason=spoken,
        conversation=context.conversation_id,
        time=_time(context),
    )
    payload = {
        "title": templates.render("notice_title", customer=customer, reason=spoken),
        "text": text,
        "priority": state["risk"]["priority"],
        "reason": reason,
    }
    return Effect(EffectKind.NOTICE, "notice", payload)
