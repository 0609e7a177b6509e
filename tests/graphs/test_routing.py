"""Routing functions as tables: state in, node names out."""

from typing import Any

import pytest

from domain.intents import Intent
from graphs.routing import after_classify, after_risk_check
from graphs.state import ConversationState

BOTH = ["retrieve", "price_estimate"]
SEARCH = ["retrieve"]
NEITHER = ["risk_check"]
HANDS_OVER = {"category": "complaint", "word": "投诉", "priority": "high", "action": "handoff"}
FLAGS = {"category": "prompt_injection", "word": "x", "priority": "normal", "action": "flag"}


def classified(intent: str, confidence: float = 0.9, **more: Any) -> ConversationState:
    found = {"rule": None, "images": [], "entities": {}, **more}
    return {"classification": {"intent": intent, "confidence": confidence, **found}}


AFTER_CLASSIFY = [
    # A rule that hands over decides alone, whatever else was found.
    (classified("price", rule=HANDS_OVER), NEITHER),
    (classified("find_image", rule=HANDS_OVER, images=["u"]), NEITHER),
    # One that only flags decides nothing.
    (classified("price", rule=FLAGS), BOTH),
    (classified("usage", rule=FLAGS), SEARCH),
    # What has a price is priced and searched, and so is every picture.
    (classified("price"), BOTH),
    (classified("find_image"), BOTH),
    (classified("process_image", 0.1), BOTH),
    (classified("greeting", images=["u"]), BOTH),
    # Small talk and a wish for a person need no search, if that is what they are.
    (classified("greeting"), NEITHER),
    (classified("confirm"), NEITHER),
    (classified("human"), NEITHER),
    (classified("complaint"), NEITHER),
    (classified("human", 0.6), NEITHER),
    (classified("human", 0.59), SEARCH),
    (classified("smalltalk", 0.3), SEARCH),
    # Everything else is looked up.
    (classified("order_status"), SEARCH),
    (classified("payment"), SEARCH),
    (classified("other"), SEARCH),
]


@pytest.mark.parametrize(("state", "nodes"), AFTER_CLASSIFY)
def test_the_next_nodes_follow_from_what_was_found(
    state: ConversationState, nodes: list[str]
) -> None:
    assert after_classify(state) == nodes


@pytest.mark.parametrize("intent", Intent)
@pytest.mark.parametrize("confidence", [0.0, 0.6, 1.0])
def test_every_intent_has_a_way_on(intent: Intent, confidence: float) -> None:
    assert after_classify(classified(intent.value, confidence)) in (BOTH, SEARCH, NEITHER)


@pytest.mark.parametrize(
    ("last", "open_quote", "entities", "nodes"),
    [
        ("quote", {"service": "cutout"}, {"quantity": ["3张"]}, BOTH),
        ("quote", {"service": "cutout"}, {}, NEITHER),
        ("quote", None, {"quantity": ["3张"]}, NEITHER),
        ("answer", {"service": "cutout"}, {"quantity": ["3张"]}, NEITHER),
    ],
)
def test_a_count_is_priced_right_after_a_quote(
    last: str, open_quote: Any, entities: dict[str, list[str]], nodes: list[str]
) -> None:
    state = classified("confirm", entities=entities)
    state["decision"], state["open_quote"] = {"decision": last}, open_quote
    assert after_classify(state) == nodes


@pytest.mark.parametrize(
    ("outcome", "node"),
    [("accept", "reply"), ("clarify", "reply"), ("decline", "reply"), ("handoff", "escalate")],
)
def test_only_a_handover_escalates(outcome: str, node: str) -> None:
    assert after_risk_check({"risk": {"outcome": outcome}}) == node
