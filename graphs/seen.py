"""The turn's pictures as the state holds them, and what is to be said of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from domain.deadlines import hours_left
from domain.decisions import RiskDecision, RiskOutcome
from domain.picture_risk import CustomerRecord, PictureDecision, Reason, assess_picture, together
from domain.pictures import PictureFacts, PictureKind
from graphs.approved import quote_in
from graphs.context import TurnContext
from graphs.state import ConversationState

_ELSEWHERE = frozenset({"high_value", "unclear_request", "blacklist"})
"""Codes of reasons that the graph settles in a way of its own."""
_ORDERS = frozenset({"quoted", "unclear_request"})


def facts_from(stored: Iterable[dict[str, Any]]) -> list[PictureFacts]:
    return [
        PictureFacts(**one | {"kind": PictureKind(one["kind"]), "marks": tuple(one["marks"])})
        for one in stored
    ]


def facts_of(state: ConversationState) -> list[PictureFacts]:
    return facts_from(state.get("pictures") or [])


def about_pictures(
    state: ConversationState, context: TurnContext, decision: RiskDecision
) -> tuple[RiskDecision, tuple[Reason, ...]]:
    """``decision``, or the stricter one that the pictures ask for, with its reasons.

    Only work on pictures is judged: one that comes with a question that knowledge answers is none.
    """
    unseen = [one["problem"] for one in state.get("unseen") or [] if one["problem"]]
    facts = facts_of(state)
    if _ORDERS.isdisjoint(decision.reasons) or not (facts or unseen):
        return decision, ()
    judged = [_judge(state, context, one, "") for one in facts]
    judged += [_judge(state, context, None, problem) for problem in unseen]
    found = together(judged)
    reasons = tuple(reason for reason in found.reasons if reason.code not in _ELSEWHERE)
    if not reasons:
        return decision, ()
    missing = ("image",) if reasons[0].outcome is RiskOutcome.CLARIFY else ()
    codes = tuple(reason.code for reason in reasons)
    return RiskDecision(reasons[0].outcome, codes, missing), reasons


def _record(context: TurnContext) -> CustomerRecord:
    kept = context.orders.record if context.orders is not None else None
    return kept or CustomerRecord(level=context.customer.level)


def _judge(
    state: ConversationState, context: TurnContext, facts: PictureFacts | None, problem: str
) -> PictureDecision:
    offered, now = quote_in(state), datetime.fromtimestamp(context.now, context.services.zone)
    book = context.services.price_book
    return assess_picture(
        facts,
        state["classification"]["text"],
        book.service(offered.service) if offered else None,
        offered,
        book=book,
        customer=_record(context),
        hours=hours_left(state["classification"]["text"], now),
        problem=problem,
    )
