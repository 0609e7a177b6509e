"""The answer: small talk, quote, grounded answer, or a question back."""

import logging
from collections.abc import Sequence
from typing import Any

from domain.approvals import quote_of
from domain.decisions import Action, Effect, EffectKind, Evidence, as_dict
from domain.grounding import cited, without_marks
from domain.order_words import total_said
from domain.placeholders import tails
from domain.pricing import format_yuan, quote_lines
from graphs.at_desk import MAX_QUESTION_CHARS
from graphs.chatter import CHATTER, chatted
from graphs.checked import CheckedStream
from graphs.context import Prompted, TurnContext
from graphs.focus import focus_of
from graphs.memory import remembered
from graphs.order_words import OrderWords
from graphs.ordering import confirmed_order, quoted_order, waiting_for_yes
from graphs.prompts import NO_ANSWER, RULES, grounded_answer
from graphs.state import ConversationState, Update, after_orders
from graphs.templates import NAMES
from graphs.tiers import addressed, worded
from graphs.trusted import as_sources, trusted_evidence
from tools.models.calls import ChatMessage
from tools.models.errors import ModelsExhausted
from tools.models.gateway import ModelGateway

log = logging.getLogger(__name__)
MAX_CITATION_CHARS = 120
MAX_OPTIONS = 3
_OFFERS_BEHIND = frozenset({"answer", "chat"})
_SET_PHRASES = frozenset({"greeting", "thanks", "farewell", "confirm"})


async def reply(state: ConversationState, context: TurnContext) -> Update:
    """Gives ``decision``, the message effect, and the reply as the newest message."""
    outcome = state["risk"]["outcome"]
    named = state["risk"].get("template", "")
    if outcome == "decline":
        decision = _of_pictures(state, context, "decline", named or "decline_content")
    elif outcome == "clarify" and named:
        decision = _of_pictures(state, context, "clarify", named)
    elif outcome == "clarify":
        decision = _ask_back(state, context)
    elif "order_confirmed" in state["risk"]["reasons"]:
        decision = _confirmed(state, context)
    elif state.get("quote") is not None:
        decision = _quoted(state, context)
    elif "chat" in state["risk"]["reasons"]:
        decision = await _small_talk(state, context)
    else:
        return _finish(state, context, await _answer(state, context))
    context.emit("token", {"text": decision["content"]})
    if decision["decision"] == "quote":
        return _finish(state, context, decision, quoted_order(state, context))
    if decision["decision"] == "order":
        done = _finish(state, context, decision, confirmed_order(state, context))
        return done | {"open_quote": None, "bargain": None}
    return _finish(state, context, decision)


def _finish(
    state: ConversationState,
    context: TurnContext,
    decision: dict[str, Any],
    done: Sequence[Effect] = (),
) -> Update:
    effects = [as_dict(one) for one in done]
    said, offered = _with_offer(state, context, decision)
    content, effects = after_orders(state, said, effects)
    message = Effect(EffectKind.MESSAGE, "reply", {"text": content})
    return {
        "decision": decision | {"content": content},
        "effects": [as_dict(message), *effects],
        **offered,
        **remembered(state, content, decision["decision"]),
    }


def _with_offer(
    state: ConversationState, context: TurnContext, decision: dict[str, Any]
) -> tuple[str, Update]:
    """Who is dissatisfied again is offered a person, behind the answer; not behind a question or a
    quote, where a yes means something else."""
    found, content = state["classification"], decision["content"]
    if not found.get("offers_person") or decision["decision"] not in _OFFERS_BEHIND:
        return content, {}
    word = context.services.templates.render("offer_person", seed=context.turn_id)
    context.emit("token", {"text": f"\n{word}"})
    desk = {**(state.get("desk") or {}), "offered": found["text"][:MAX_QUESTION_CHARS]}
    return f"{content}\n{word}", {"desk": desk}


def _decision(
    content: str, kind: str, source: str, confidence: float, citations: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "action": Action.REPLY.value,
        "decision": kind,
        "content": content,
        "confidence": round(confidence, 4),
        "citations": citations,
        "source": source,
    }


def _say(
    state: ConversationState, context: TurnContext, kind: str, template: str, **fields: str
) -> dict[str, Any]:
    content = context.services.templates.render(template, seed=context.turn_id, **fields)
    confidence = state["classification"]["confidence"]
    return _decision(content, kind, f"template:{template}", confidence, [])


def _of_pictures(
    state: ConversationState, context: TurnContext, kind: str, template: str
) -> dict[str, Any]:
    evidence = "；".join(state["risk"].get("evidence", ())[:2])
    takes = NAMES[template].known
    return _say(state, context, kind, template, **({"evidence": evidence} if takes else {}))


async def _small_talk(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    intent, opts = state["classification"]["intent"], state["classification"].get("opts")
    if opts is not None:
        return _say(state, context, "chat", f"opted_{opts}")
    said = await chatted(state, context) if intent not in _SET_PHRASES else None
    if said is not None:
        return _decision(said, "chat", CHATTER, state["classification"]["confidence"], [])
    template = worded(intent if intent in _SET_PHRASES else "smalltalk", context)
    return _say(state, context, "chat", template, **addressed(template, context))


def _ask_back(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    missing = state["risk"]["missing"]
    if "order_no" in missing:
        return _say(state, context, "clarify", "ask_order_no")
    if "image" in missing:
        return _say(state, context, "clarify", "ask_image")
    if "service" in missing:
        services = context.services.price_book.services[:MAX_OPTIONS]
        return _offer_options(state, context, [f"{service.name}多少钱" for service in services])
    retrieval = state["retrieval"] or {}
    evidence = trusted_evidence(retrieval)[:MAX_OPTIONS]
    decision = _offer_options(state, context, [item.question for item in evidence])
    decision["confidence"] = round(retrieval["confidence"], 4)
    decision["citations"] = [_citation(item) for item in evidence]
    return decision


def _offer_options(
    state: ConversationState, context: TurnContext, options: list[str]
) -> dict[str, Any]:
    """``options`` stay in the decision, so that the next turn understands 「2」 or 「是的」."""
    if len(options) == 1:
        decision = _say(state, context, "clarify", "clarify_one", question=options[0])
    else:
        listed = "\n".join(f"{number}. {option}" for number, option in enumerate(options, 1))
        decision = _say(state, context, "clarify", "clarify_many", options=listed)
    return {**decision, "options": options}


def _quoted(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    quote = state["quote"]
    assert quote is not None
    items = quote_lines(quote_of(quote))
    template, total = "quote", format_yuan(quote["total"])
    if state["classification"].get("bargains"):
        template = f"bargain_{(state.get('bargain') or {})['kind']}"
        total += "起" if quote["estimate"] else ""
    elif quote["estimate"]:
        template = "quote_start" if state["classification"]["images"] else "quote_estimate"
    decision = _say(
        state,
        context,
        "quote",
        template,
        service=quote["service_name"],
        items=items,
        total=total,
        valid_hours=str(quote["valid_hours"]),
    )
    decision["confidence"] = 1.0
    decision["source"] = f"price_book:{quote['book_version']}"
    return decision


def _confirmed(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    orders, quote = context.orders, state["open_quote"]
    assert orders is not None
    assert quote is not None
    row = waiting_for_yes(state, orders)
    if row is not None:
        said = OrderWords(context.services.templates, context.turn_id).confirmed(row)
        decision = _decision(said, "order", "template:order_confirmed", 1.0, [])
    else:
        offered = quote_of(quote)
        fields = {"service": offered.service_name, "price": total_said(offered)}
        decision = _say(state, context, "order", "order_taken", **fields)
    return decision | {"confidence": 1.0}


async def _answer(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    """From evidence: by a model where there is one and no exact match, else the best entry."""
    retrieval = state["retrieval"]
    assert retrieval is not None
    evidence = trusted_evidence(retrieval)
    models = context.services.models
    if models is not None and models.available and not retrieval["exact"]:
        generated = await _generate(state, context, models, evidence)
        if generated is not None:
            text, used = generated
            citations = [_citation(item) for item in used]
            return _decision(text, "answer", "model", retrieval["confidence"], citations)
    best = evidence[0]
    content = context.services.templates.render("answer", seed=context.turn_id, answer=best.answer)
    context.emit("token", {"text": content})
    source = "exact" if retrieval["exact"] else "knowledge"
    return _decision(content, "answer", source, retrieval["confidence"], [_citation(best)])


async def _generate(
    state: ConversationState,
    context: TurnContext,
    models: ModelGateway,
    evidence: list[Evidence],
) -> tuple[str, list[Evidence]] | None:
    """The model's answer and what it cites; None where knowledge has to answer by itself."""
    question, customer = state["classification"]["text"], context.customer.name
    policy = context.services.talk
    focus = focus_of(state, policy)
    prompt = grounded_answer(question, evidence, focus=focus, customer=customer, policy=policy)

    def show(text: str) -> None:
        if context.streams:
            context.emit("token", {"text": text})

    said = (question, customer, *tails(question), *focus.known, *focus.recent)
    stream = CheckedStream(as_sources(evidence), said, RULES, show)
    raw = await _ask(context, models, prompt, stream)
    objections = [] if raw is None or NO_ANSWER in raw else stream.finish(raw)
    refused = tuple(one.kind for one in objections)
    context.prompts.append(Prompted("reply", tuple(prompt), raw, refused))
    if raw is None:
        return None
    text = without_marks(raw)
    if NO_ANSWER in raw or objections or not text:
        if objections:
            log.warning("model answer dropped: %s", [one.kind for one in objections[:5]])
        context.emit("restart", {})
        return None
    return text, [evidence[number - 1] for number in cited(raw)] or evidence[:1]


async def _ask(
    context: TurnContext, models: ModelGateway, prompt: list[ChatMessage], stream: CheckedStream
) -> str | None:
    async def on_token(text: str) -> None:
        stream.feed(text)

    async def on_restart() -> None:
        stream.restart()
        context.emit("restart", {})

    try:
        answer = await models.generate(
            prompt,
            purpose="reply",
            deadline=context.services.model_deadline_s,
            on_token=on_token if context.streams else None,
            on_restart=on_restart if context.streams else None,
            names=(context.customer.name,),
        )
    except ModelsExhausted as error:
        context.calls.extend(error.calls)
        log.warning("no model answered, knowledge does: %s", error)
        context.emit("restart", {})
        return None
    context.calls.extend(answer.calls)
    return answer.text


def _citation(item: Evidence) -> dict[str, Any]:
    return {
        "id": item.id,
        "question": item.question,
        "source": item.source,
        "position": item.position,
        "score": item.score,
        "quote": item.answer[:MAX_CITATION_CHARS],
    }
