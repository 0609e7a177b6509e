"""A turn as it is shown, from its rows and what was kept of it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.answers import quote_shown
from engine.reviews.records import Recorded
from engine.reviews.views import OpenedTurn, PromptView, StepView
from graphs.context import NodeRun, Prompted
from storage.reviews import Review, TurnFacts

_UNSHOWN = frozenset({"messages", "effects"})
NEVER_AGAIN = frozenset({"act"})
"""Its tools did what they did."""
_COMPARED = ("decision", "intent", "content", "confidence")
SAME_CONFIDENCE = 0.005


def opened(
    facts: TurnFacts,
    kept: Recorded | None,
    reviews: Sequence[Review],
    calls: Sequence[dict[str, Any]],
    *,
    keep_s: float,
) -> OpenedTurn:
    retrieval = given(kept.runs, "retrieval") if kept else None
    answer = facts.result
    found = retrieval["evidence"] if retrieval else answer.get("evidence") or ()
    quote = given(kept.runs, "quote") if kept else None
    confidence = retrieval["confidence"] if retrieval else answer.get("retrieval_confidence")
    return OpenedTurn(
        turn_id=facts.turn_id,
        conversation_id=facts.conversation_id,
        channel=facts.channel,
        account=facts.account,
        contact_id=facts.contact_id,
        customer=facts.customer_name or facts.contact_id.rpartition(":")[2],
        level=kept.customer.level if kept else facts.level,
        status=facts.status,
        error=facts.error,
        started_ts=facts.started_ts,
        ended_ts=facts.ended_ts,
        said=facts.messages,
        text=asked(facts, kept),
        resumed=kept.resume if kept else None,
        answer=answer,
        steps=steps(kept.runs, again=True) if kept else (),
        classification=given(kept.runs, "classification") if kept else None,
        evidence=tuple(found),
        retrieval_confidence=confidence,
        quote=quote_shown(quote) if quote else answer.get("quote"),
        prompts=prompts(kept.prompts) if kept else (),
        calls=tuple(calls),
        tasks=kept.tasks if kept else (),
        recorded=kept is not None,
        kept_until_ts=kept.at_ts + keep_s if kept else None,
        reviews=tuple(reviews),
    )


def asked(facts: TurnFacts, kept: Recorded | None) -> str:
    """The customer's words as the graph was asked."""
    if kept is not None:
        return kept.said[1] if kept.said else ""
    return "\n".join(one.text for one in facts.messages if one.text)


def given(runs: Sequence[NodeRun], key: str) -> Any:
    """The last value that a node gave to ``key``."""
    return next((run.update[key] for run in reversed(runs) if key in run.update), None)


def steps(runs: Sequence[NodeRun], *, again: bool) -> tuple[StepView, ...]:
    return tuple(
        StepView(
            run.name,
            run.ms,
            {key: value for key, value in run.update.items() if key not in _UNSHOWN},
            run.goes_to,
            again and run.name not in NEVER_AGAIN,
        )
        for run in runs
    )


def prompts(found: Sequence[Prompted]) -> tuple[PromptView, ...]:
    return tuple(
        PromptView(
            one.purpose,
            tuple({"role": m.role, "content": m.content} for m in one.messages),
            one.answer,
            one.refused,
        )
        for one in found
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """In what an answer differs."""
    found = [name for name in _COMPARED if not _same(name, old.get(name), new.get(name))]
    if _cited(old) != _cited(new):
        found.append("evidence")
    if (old.get("quote") or {}).get("total") != (new.get("quote") or {}).get("total"):
        found.append("quote")
    if sorted(old.get("nodes") or ()) != sorted(new.get("nodes") or ()):
        found.append("path")
    return tuple(found)


def _same(name: str, old: Any, new: Any) -> bool:
    if name == "confidence":
        return abs(float(old or 0) - float(new or 0)) <= SAME_CONFIDENCE
    return bool(old == new)


def _cited(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["id"], one.get("quote", "")) for one in answer.get("citations") or ()]
