"""Where a run stops for a person's word: a quote to approve, a draft to send. The word comes as an
event of the conversation's inbox, and the next turn goes on with it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.approvals import Verdict
from domain.decisions import Action, as_dict
from engine.answers import MAX_EVIDENCE_SHOWN
from graphs.context import TurnContext
from graphs.templates import Templates
from graphs.trusted import trusted_evidence
from storage import approvals, drafts
from storage.approvals import NewApproval
from storage.drafts import NewDraft
from storage.inbox import Claim
from storage.turns import TurnCommit


@dataclass(frozen=True, slots=True)
class Stop:
    """``shows``: what the turn's state is to show meanwhile, instead of what waits."""

    shows: dict[str, Any]
    approval: NewApproval | None = None
    draft: NewDraft | None = None


def stopped(
    state: dict[str, Any], context: TurnContext, *, approval_s: float, now: float
) -> Stop | None:
    """Takes the interrupt out of ``state``."""
    for stop in state.pop("__interrupt__", ()):
        asked = stop.value
        if asked.get("kind") == "quote_approval":
            expires = now + approval_s
            reasons = tuple(asked["reasons"])
            new = NewApproval(asked["quote"], reasons, asked["request"], expires)
            return Stop(_awaiting_approval(context), approval=new)
        if asked.get("kind") == "draft":
            return Stop(_drafted(asked), draft=NewDraft(asked["text"], _evidence(state)))
    return None


def _awaiting_approval(context: TurnContext) -> dict[str, Any]:
    """What the customer is told meanwhile, and staff."""
    templates: Templates = context.services.templates
    content = templates.render("awaiting_approval", seed=context.turn_id)
    decision = {
        "action": Action.REPLY.value,
        "decision": "approval",
        "content": content,
        "confidence": 1.0,
        "citations": [],
        "source": "template:awaiting_approval",
    }
    notice = {
        "title": "报价待审批",
        "text": f"会话 {context.conversation_id} 的报价需要主管确认后才会发给客户。",
        "priority": "high",
        "reason": "quote_approval",
    }
    effects = [
        {"kind": "message", "name": "reply", "payload": {"text": content}},
        {"kind": "notice", "name": "notice", "payload": notice},
    ]
    # The quote is not the customer's to see before somebody has approved it.
    return {"decision": decision, "effects": effects, "quote": None}


def _evidence(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a draft that rests on knowledge, as answers show it."""
    if not state["decision"]["citations"]:
        return []
    known = trusted_evidence(state.get("retrieval"))
    return [as_dict(item) for item in known[:MAX_EVIDENCE_SHOWN]]


def _drafted(asked: dict[str, Any]) -> dict[str, Any]:
    decision = {
        "action": Action.NONE.value,
        "decision": "draft",
        "content": "",
        "confidence": asked["confidence"],
        "citations": [],
        "source": "draft",
    }
    return {"decision": decision, "effects": [], "quote": None}


def spoken(connection: Connection, claim: Claim) -> dict[str, Any] | None:
    """A person's word on what this conversation's last run stopped at; None: there is none."""
    if claim.checkpoint is None or not claim.checkpoint.pending:
        return None
    event = claim.messages[-1].event
    draft = drafts.spoken(connection, event)
    if draft is not None:
        decided = draft.status in {"approved", "edited", "discarded"}
        if draft.conversation_id != claim.conversation_id or not decided:
            return None
        return {"verdict": draft.status, "text": draft.text}
    row = approvals.spoken(connection, event)
    if row is None or row["conversation_id"] != claim.conversation_id:
        return None
    if row["status"] not in set(Verdict):
        return None
    return {"verdict": row["status"], "total": row["quote"]["total"], "note": row["note"]}


def keep(connection: Connection, claim: Claim, turn: TurnCommit, stop: Stop | None) -> None:
    """What is waited for now, instead of what was."""
    went_on = claim.checkpoint is not None and claim.checkpoint.pending and turn.run.checkpoints
    conversation, now = claim.conversation_id, turn.ended
    if stop is not None and stop.approval is not None:
        approvals.open_approval(
            connection,
            stop.approval,
            conversation_id=conversation,
            contact_id=claim.contact_id,
            turn_id=turn.turn_id,
            now=now,
        )
    elif went_on:
        approvals.supersede(connection, conversation, now=now)
    if stop is not None and stop.draft is not None:
        drafts.open_draft(
            connection, stop.draft, conversation_id=conversation, turn_id=turn.turn_id, now=now
        )
    elif went_on:
        drafts.supersede(connection, conversation, now=now)
