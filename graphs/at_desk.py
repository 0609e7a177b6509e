"""What a message says to the human desk, and what the talk keeps of it.

``desk`` of the state: ``handed``, the questions that went to a person (``question``, ``at`` in
seconds, ``times``); ``rating``, the talk that the customer was asked to mark (``handoff``,
``question``, ``at``); ``offered``, the question for which a person was offered; ``told_at``, when
the customer was last told of the queue.
"""

from typing import Any

from langchain_core.messages import RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from domain.decisions import Effect, EffectKind, as_dict
from domain.desk import Mode
from domain.desk_talk import is_same_question, leaves_queue, mark_of
from domain.orders import OrderStatus
from domain.text import letters
from graphs.context import TurnContext
from graphs.desk import Standing
from graphs.showing import show_first
from graphs.state import ConversationState, Update
from graphs.talk import YES
from storage.clock import iso

MAX_HANDED = 5
MAX_QUESTION_CHARS = 200
_A_PERSON = YES | frozenset(
    ["要", "需要", "要的", "需要的", "转", "转吧", "可以", "行", "麻烦了", "麻烦转一下", "帮我转"]
)
LOW_MARK = 2
"""From here down the customer is offered a person again."""
_UNSAID: Update = {"decision": {}, "risk": {}, "asked_which": None}
_FORGOTTEN: Update = {
    **_UNSAID,
    "summary": "",
    "entities": {},
    "facts": [],
    "topic": None,
    "open_quote": None,
    "bargain": None,
    "wanted": "",
    "unanswered": [],
}
_CUT: Update = {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)], **_FORGOTTEN}
"""Of a talk that a person has brought to its end nothing is open any more."""
_OWN_REASONS = frozenset({"low_confidence", "evidence", "order_lookup"})
"""The bot's, which would hand the same question over for ever."""


def heard_at_desk(
    text: str, state: ConversationState, context: TurnContext
) -> dict[str, Any] | None:
    """``does``: ``asked`` (a person gave the conversation back, the customer is to be asked for a
    mark) or ``returned``, ``leave`` the queue, ``wait`` in it, give a ``mark`` (with ``mark``,
    ``handoff``, ``question``), want the ``person`` that was offered (with ``question``). ``rest``:
    what else is said."""
    desk = context.desk
    if desk is not None and desk.returned is not None:
        if text:
            return None
        return {"does": "asked" if desk.returned.asks_mark else "returned"}
    if desk is not None and desk.mode is Mode.QUEUED:
        if leaves_queue(text):
            return {"does": "leave"}
        return {"does": "wait"} if desk.is_firm(context.services.desk) else None
    return _answered(text, state.get("desk") or {}, context)


def _answered(text: str, kept: dict[str, Any], context: TurnContext) -> dict[str, Any] | None:
    """The answer to what the customer was asked: for a mark, or whether to call a person."""
    offered, rating = kept.get("offered"), kept.get("rating")
    if offered and letters(text) in _A_PERSON:
        return {"does": "person", "question": offered}
    if not rating or context.now - rating["at"] > context.services.desk.mark_s:
        return None
    found = mark_of(text)
    if found is None:
        return None
    if _accepts_work(text, rating["at"], context):
        return None
    about = {name: rating[name] for name in ("handoff", "question")}
    return {"does": "mark", "mark": found[0], "rest": found[1], **about}


def _accepts_work(text: str, asked_at: float, context: TurnContext) -> bool:
    """«满意» is said of work that was delivered after the question about the talk."""
    orders = context.orders
    delivered = orders.latest(OrderStatus.DELIVERED) if orders is not None else None
    return (
        delivered is not None
        and delivered.updated_at > iso(asked_at)
        and not any(sign.isdigit() for sign in text)
    )


def with_unanswered(
    state: ConversationState, context: TurnContext, text: str, images: list[str]
) -> tuple[ConversationState, str, list[str]]:
    """An answer that waited for a person's word was not sent: nothing of it was said, and what it
    was to is asked still, unless that person has answered it."""
    waiting, desk = state.get("unanswered") or [], context.desk
    answered = desk is not None and desk.answered
    if desk is not None and desk.returned is not None:
        # A talk that was resolved owes nothing; one that was just given back is the bot's.
        if answered or desk.returned.asks_mark:
            waiting = []
        images = list(state["classification"]["images"]) if waiting else []
        return {**state, **_FORGOTTEN}, "\n".join(waiting), images  # type: ignore[typeddict-item]
    if not waiting:
        return state, text, images
    if not answered:
        images = images or list(state["classification"]["images"])
        text = "\n".join(filter(None, [*waiting, text]))
    return {**state, **_UNSAID}, text, images  # type: ignore[typeddict-item]


def is_queued(context: TurnContext) -> bool:
    return context.desk is not None and context.desk.mode is Mode.QUEUED


def is_drafted(context: TurnContext) -> bool:
    """Whether a person has to approve what the bot would say."""
    return context.desk is not None and context.desk.mode is Mode.COPILOT


def beside_desk(heard: dict[str, Any] | None) -> str:
    """What there is to answer beside what was said to the desk."""
    if heard is None:
        return ""
    return str(heard.get("rest") or (heard["question"] if wants_person(heard) else ""))


def wants_person(heard: dict[str, Any] | None) -> bool:
    return heard is not None and heard["does"] == "person"


def kept_at_desk(
    state: ConversationState, context: TurnContext, heard: dict[str, Any] | None, said: str
) -> Update:
    """What the state keeps once that was heard: a mark beside a question is taken with thanks, and
    what was asked of the customer is asked no more (an answer comes at once or never)."""
    update: Update = {}
    if is_drafted(context):
        update["unanswered"] = [said]
    elif state.get("unanswered"):
        update["unanswered"] = []
    if state.get("unanswered"):
        update |= _UNSAID
    if context.desk is not None and context.desk.returned is not None:
        update |= _CUT
    kept = state.get("desk") or {}
    if kept.get("rating") or kept.get("offered"):
        update["desk"] = {**kept, "rating": None, "offered": ""}
    if heard is not None and heard["does"] == "mark" and heard["rest"]:
        word, effect, update["desk"] = marked(kept, context, heard)
        show_first(word, context)
        update["ordered"] = {"said": [word], "effects": [as_dict(effect)]}
    return update


def marked(
    kept: dict[str, Any], context: TurnContext, heard: dict[str, Any]
) -> tuple[str, Effect, dict[str, Any]]:
    """The word of thanks, the mark, and ``desk`` of the state."""
    low = heard["mark"] <= LOW_MARK
    effect = desk_effect("mark", handoff=heard["handoff"], rating=heard["mark"])
    offered = heard["question"] if low and not heard["rest"] else ""
    word = context.services.templates.render(
        "marked_low" if low else "marked", seed=context.turn_id
    )
    return word, effect, {**kept, "rating": None, "offered": offered}


def desk_effect(do: str, **payload: Any) -> Effect:
    return Effect(EffectKind.DESK, f"desk:{do}", {"do": do, **payload})


def goes_round(state: ConversationState, context: TurnContext, reason: str) -> bool:
    """Whether the bot has handed the same question over as often as it may."""
    found, policy = state["classification"], context.services.desk
    if reason not in _OWN_REASONS or found["images"]:
        return False
    return any(
        one["times"] >= policy.loop_limit and is_same_question(one["question"], found["text"])
        for one in _lately(state, context)
    )


def with_handed(state: ConversationState, context: TurnContext) -> dict[str, Any]:
    """``desk`` of the state once this turn's question goes to a person."""
    question = state["classification"]["text"][:MAX_QUESTION_CHARS]
    handed = _lately(state, context)
    same = [one for one in handed if is_same_question(one["question"], question)]
    others = [one for one in handed if one not in same]
    times = 1 + sum(one["times"] for one in same)
    one = {"question": question, "at": context.now, "times": times}
    return {"handed": [*others, one][-MAX_HANDED:], "told_at": context.now}


def _lately(state: ConversationState, context: TurnContext) -> list[dict[str, Any]]:
    since = context.now - context.services.desk.loop_s
    handed: list[dict[str, Any]] = (state.get("desk") or {}).get("handed", [])
    return [one for one in handed if one["at"] >= since]


def queue_word(context: TurnContext, standing: Standing, *, joined: bool) -> str:
    """How long it may take, honestly; ``joined``: behind the word that a person was called, where
    nothing is to be added if somebody comes at once."""
    templates, seed = context.services.templates, context.turn_id
    if not standing.open:
        return templates.render("queue_closed", seed=seed, opens=standing.opens)
    if standing.full and standing.ahead:
        return templates.render("queue_full", seed=seed, ahead=str(standing.ahead))
    if standing.ahead:
        return templates.render("queue_ahead", seed=seed, ahead=str(standing.ahead))
    return "" if joined else templates.render("queue_next", seed=seed)
