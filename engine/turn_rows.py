"""What a run decided, as the rows that its commit writes. Pure."""

from typing import Any

from langchain_core.messages import HumanMessage

from domain.decisions import EffectKind
from domain.ids import TurnId, effect_key, turn_id
from engine.waiting import MessageKey
from graphs.context import TurnContext
from graphs.state import ConversationState
from storage.inbox import Claim
from storage.outbox import NewDelivery
from storage.turns import EffectRecord, HandoffRow, ReplyRow

NOTHING_SAID: ConversationState = {"messages": []}
"""What a run is given that nobody's words began."""
_SOLVED = frozenset({"answer", "quote", "chat", "task", "order", "rule"})


def reply_row(
    context: TurnContext, decision: dict[str, Any], tokens: int, latency_ms: int
) -> ReplyRow | None:
    """None where tasks said all that was to be said."""
    if not decision["content"]:
        return None
    return ReplyRow(
        message_id=effect_key(TurnId(context.turn_id), "reply"),
        content=decision["content"],
        confidence=decision["confidence"],
        evidence_ids=tuple(item["id"] for item in decision["citations"]),
        tokens_total=tokens,
        latency_ms=latency_ms,
    )


def said_in(claim: Claim) -> ConversationState:
    text = "\n".join(m.text for m in claim.messages if m.text)
    return {"messages": [HumanMessage(content=text, id=f"m{claim.messages[-1].row_id}")]}


def turn_of(claim: Claim) -> TurnId:
    return turn_id(claim.conversation_id, claim.messages[0].row_id, claim.received)


def keys_of(claim: Claim) -> list[MessageKey]:
    return [(claim.channel, claim.account, m.channel_message_id) for m in claim.messages]


def outcome_of(decision: dict[str, Any], *, handed: bool) -> str:
    if handed or decision["decision"] == "dispatch":
        return "transferred"
    return "solved" if decision["decision"] in _SOLVED else "unsolved"


def settles(decision: dict[str, Any], *, handed: bool) -> bool:
    """Whether the turn says how the session stands: what is said of the queue, of a talk that a
    person ended, or to that person, changes nothing about that."""
    return handed or decision["decision"] != "desk"


def handoff_in(state: dict[str, Any]) -> HandoffRow | None:
    for effect in state["effects"]:
        if effect["kind"] == EffectKind.HANDOFF:
            return HandoffRow(**effect["payload"])
    return None


def unknown_in(state: dict[str, Any]) -> tuple[str, float] | None:
    for effect in state["effects"]:
        if effect["kind"] == EffectKind.UNKNOWN_QUESTION:
            return effect["payload"]["content"], effect["payload"]["confidence"]
    return None


def effect_records(turn_id: str, effects: list[dict[str, Any]]) -> tuple[EffectRecord, ...]:
    """Messages are rows of the history; every other effect is recorded under its key."""
    return tuple(
        EffectRecord(effect_key(TurnId(turn_id), e["name"]), str(e["kind"]), e["payload"])
        for e in effects
        if e["kind"] != EffectKind.MESSAGE
    )


def message_delivery(
    claim: Claim, turn_id: str, key: str, payload: dict[str, Any], now: float
) -> NewDelivery:
    return NewDelivery(
        message_id=key,
        queue=claim.conversation_id,
        kind="message",
        channel=claim.channel,
        account=claim.account,
        conversation_id=claim.conversation_id,
        turn_id=turn_id,
        payload={
            "chat_id": claim.chat_id,
            "to": claim.sender_id,
            "text": payload["text"],
            "created_at": now,
        },
    )


def notice_delivery(claim: Claim, turn_id: str, key: str, payload: dict[str, Any]) -> NewDelivery:
    return NewDelivery(
        message_id=key,
        queue=f"notice:{key}",
        kind="notice",
        channel="staff",
        account="",
        conversation_id=claim.conversation_id,
        turn_id=turn_id,
        payload=payload,
    )
