"""The compact serializer gives back exactly what went in."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from storage.serde import COMPACT, CheckpointSerializer


def a_checkpoint(messages: list[BaseMessage]) -> dict[str, Any]:
    return {"id": "1", "channel_values": {"messages": messages, "entities": {"order_no": ["A1"]}}}


PLAIN: list[BaseMessage] = [
    HumanMessage(content="充电桩多少钱", id="m1"),
    AIMessage(content="998 元起", id="a1"),
]
RICH: list[BaseMessage] = [
    HumanMessage(content=[{"type": "text", "text": "看图"}], id="m1"),
    AIMessage(content="", tool_calls=[{"name": "f", "args": {}, "id": "1"}], id="a1"),
    SystemMessage(content="x", id="s1"),
    HumanMessage(content="x", name="小明", id="m2"),
    AIMessage(content="x", response_metadata={"model": "m"}, id="a2"),
]


def test_plain_messages_are_stored_short_and_come_back_equal() -> None:
    serde = CheckpointSerializer()
    stored = serde.dumps_typed(a_checkpoint(PLAIN))
    assert stored[0] == COMPACT
    assert len(stored[1]) < len(serde.dumps_typed(PLAIN)[1])
    assert serde.loads_typed(stored) == a_checkpoint(PLAIN)


@pytest.mark.parametrize("message", RICH, ids=lambda m: type(m).__name__)
def test_a_message_that_carries_more_comes_back_whole(message: BaseMessage) -> None:
    serde = CheckpointSerializer()
    stored = serde.dumps_typed(a_checkpoint([*PLAIN, message]))
    assert stored[0] != COMPACT
    assert serde.loads_typed(stored) == a_checkpoint([*PLAIN, message])
