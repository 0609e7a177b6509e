"""The answer that callers get: seed 003's {action, content, confidence} and what explains it."""

from typing import Any

from domain.decisions import Action, as_dict
from graphs.context import TurnContext
from graphs.trusted import trusted_evidence

MAX_EVIDENCE_SHOWN = 3


def build_answer(state: dict[str, Any], context: TurnContext, *, latency_ms: int) -> dict[str, Any]:
    """JSON-ready; money in yuan. ``nodes`` in the order in which they ended. ``content``: what
    tasks said, then the answer."""
    decision, found = state["decision"], state["classification"]
    retrieval, acts = state.get("retrieval") or {}, state.get("acts") or []
    said = [line for act in acts for line in act["said"]]
    return {
        "action": decision["action"],
        "content": "\n".join([*said, *filter(None, [decision["content"]])]),
        "confidence": decision["confidence"],
        "decision": decision["decision"],
        "source": decision["source"],
        "turn_id": context.turn_id,
        "conversation_id": context.conversation_id,
        "intent": found["intent"],
        "intent_confidence": found["confidence"],
        "dialogue_type": found["dialogue_type"],
        "sentiment": found["sentiment"],
        "entities": found["entities"],
        "rule": found["rule"],
        "nodes": [name for name, _ in context.nodes],
        "timings_ms": dict(context.nodes),
        "evidence": [as_dict(item) for item in trusted_evidence(retrieval)[:MAX_EVIDENCE_SHOWN]],
        "retrieval_confidence": retrieval.get("confidence"),
        "citations": decision["citations"],
        "quote": quote_shown(state.get("quote")),
        "risk": state["risk"],
        "model": _model(context),
        "tasks": [
            {name: act[name] for name in ("task_id", "tool", "error")}
            for act in acts
            if act["task_id"]
        ],
        "rules": [one["id"] for one in (found.get("triggers") or {}).get("fired", ())],
        "latency_ms": latency_ms,
    }


def quote_shown(quote: dict[str, Any] | None) -> dict[str, Any] | None:
    """A quote of the graph's state as callers see it: money in yuan."""
    if quote is None:
        return None
    return {
        **quote,
        "items": [{**item, "amount": item["amount"] / 100} for item in quote["items"]],
        "total": quote["total"] / 100,
        "floor": quote["floor"] / 100,
        "currency": "CNY",
    }


def _model(context: TurnContext) -> list[dict[str, Any]]:
    return [
        {
            "provider": call.provider,
            "model": call.model,
            "outcome": call.outcome,
            "status": call.status,
            "attempt": call.attempt,
            "latency_ms": round(call.latency_ms),
            "tokens_in": call.tokens_in,
            "tokens_out": call.tokens_out,
        }
        for call in context.calls
    ]


def default_answer(content: str, turn_id: str, conversation_id: str, error: str) -> dict[str, Any]:
    """What a customer gets when every attempt at the turn failed; ``error`` is for operators."""
    return bare_answer(Action.REPLY, content, conversation_id) | {
        "decision": "default",
        "source": "template:default_sentence",
        "turn_id": turn_id,
        "risk": {"outcome": "handoff", "reasons": ["turn_failed", error[:200]], "missing": []},
    }


def bare_answer(action: Action, content: str, conversation_id: str) -> dict[str, Any]:
    return {
        "action": action.value,
        "content": content,
        "confidence": 0.0,
        "decision": action.value,
        "source": "",
        "turn_id": None,
        "conversation_id": conversation_id,
        "intent": "",
        "dialogue_type": "",
        "nodes": [],
        "evidence": [],
        "citations": [],
        "quote": None,
        "risk": None,
        "latency_ms": 0,
    }


def answer_for(
    result: dict[str, Any], message_id: str, *, duplicate: bool = False
) -> dict[str, Any]:
    """The turn's answer as one of its messages sees it: only the last one carries the reply."""
    last = result.get("answers", message_id)
    own = {**result, "message_id": message_id, "duplicate": duplicate}
    own.pop("answers", None)
    if last != message_id:
        own |= {"action": Action.NONE.value, "content": "", "merged_into": last}
    return own
