"""Where a run goes while a person is waited for, has to approve, or has just spoken."""

from typing import Any

import pytest
from langgraph.graph import END

from graphs.routing import (
    after_act,
    after_classify,
    after_escalate,
    after_order,
    after_reply,
    after_risk_check,
)
from graphs.state import ConversationState


def state(intent: str = "usage", **more: Any) -> ConversationState:
    found = {"intent": intent, "confidence": 0.9, "rule": None, "images": [], "entities": {}}
    made: ConversationState = {"classification": found | more.pop("found", {})}
    return made | more  # type: ignore[return-value]


def queued(outcome: str, *reasons: str, intent: str = "usage", **risk: Any) -> ConversationState:
    risk |= {"outcome": outcome, "reasons": list(reasons)}
    retrieval = {"confidence": 0.9, "exact": True, "evidence": []}
    known = [{"id": "e", "question": "问", "answer": "答", "source": "a", "category": ""}]
    retrieval["evidence"] = [one | {"score": 1.0, "position": ""} for one in known]
    return state(intent, found={"queued": True}, risk=risk, retrieval=retrieval)


SAID = [
    ({"does": "leave"}, ["desk"]),
    ({"does": "wait"}, ["desk"]),
    ({"does": "asked"}, ["desk"]),
    ({"does": "returned"}, ["desk"]),
    ({"does": "mark", "mark": 5, "rest": ""}, ["desk"]),
    # What is asked besides is answered.
    ({"does": "mark", "mark": 5, "rest": "怎么安装"}, ["retrieve"]),
    ({"does": "person", "question": "怎么安装"}, ["retrieve"]),
]


@pytest.mark.parametrize(("heard", "nodes"), SAID)
def test_what_is_said_to_the_desk_is_its_affair(heard: dict[str, Any], nodes: list[str]) -> None:
    assert after_classify(state(found={"desk": heard})) == nodes


def test_tasks_act_also_while_a_person_is_waited_for() -> None:
    waits = state(found={"desk": {"does": "wait"}, "tasks": ["t"], "settled": False})
    assert after_classify(waits) == ["act"]
    assert after_act(waits) == ["desk"]


IN_QUEUE = [
    # What the bot surely knows it says.
    (queued("accept", "evidence"), "reply"),
    (queued("accept", "quoted", intent="price"), "reply"),
    (queued("clarify", "order_lookup", intent="order_status"), "reply"),
    (queued("decline", "forbidden_content"), "reply"),
    (queued("accept", "chat", intent="thanks"), "reply"),
    # Everything else waits, and nothing is handed over a second time.
    (queued("clarify", "uncertain"), "desk"),
    (queued("clarify", "vague"), "desk"),
    (queued("accept", "chat", intent="greeting"), "desk"),
    (queued("accept", "chat", intent="smalltalk"), "desk"),
    (queued("handoff", "low_confidence"), "desk"),
    (queued("handoff", "complaint", intent="complaint"), "desk"),
    # But work for a designer goes its way.
    (queued("handoff", "order_confirmed", intent="confirm"), "escalate"),
    (queued("handoff", "too_hard", desk="designer"), "escalate"),
]


@pytest.mark.parametrize(("at", "node"), IN_QUEUE)
def test_in_the_queue_only_what_is_sure_is_said(at: ConversationState, node: str) -> None:
    assert after_risk_check(at) == node


def test_an_order_that_needs_a_person_is_told_to_who_waits_already() -> None:
    orders = {"kind": "amend", "rest": ""}
    waits = state(
        found={"queued": True, "orders": orders},
        ordered={"person": True},
        risk={"outcome": "handoff", "reasons": ["order_cancel"]},
    )
    assert after_order(waits) == ["desk"]


@pytest.mark.parametrize("drafts", [True, False])
def test_in_copilot_mode_every_answer_is_a_draft_first(drafts: bool) -> None:
    then = "draft" if drafts else END
    found = {"drafts": drafts, "orders": {"kind": "progress", "rest": ""}}
    at = state(found=found, ordered={})
    assert after_reply(at) == then
    assert after_order(at) == [then]
    ordered = {"decision": "handoff", "reason": "order_confirmed"}
    for said in ({"decision": "chat"}, {"decision": "offer"}, {"decision": "dispatch"}, ordered):
        assert after_escalate(state(found=found, decision=said)) == then
    handed = {"decision": "handoff", "reason": "complaint"}
    assert after_escalate(state(found=found, decision=handed)) == END
