"""Checkpoints in fewer bytes and less time.

LangGraph's serializer writes a chat message as a pydantic dump and reads it back by validation,
0.05 ms each; a window of ten is a fifth of a message's whole cost. Plain messages, which nearly
all are, become short lists instead; whatever carries more is left to LangGraph.
"""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

COMPACT = "kefu1"
_CHANNEL = "messages"
_ROLES: dict[type[BaseMessage], str] = {HumanMessage: "h", AIMessage: "a"}
_CLASSES: dict[str, type[BaseMessage]] = {"h": HumanMessage, "a": AIMessage}


class CheckpointSerializer(JsonPlusSerializer):
    """The kind ``kefu1`` marks a checkpoint whose ``messages`` channel holds (role, id, text)."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        values = obj.get("channel_values") if isinstance(obj, dict) else None
        messages = values.get(_CHANNEL) if isinstance(values, dict) else None
        if not isinstance(messages, list) or not all(map(_is_plain, messages)):
            return super().dumps_typed(obj)
        short = [[_ROLES[type(m)], m.id, m.content] for m in messages]
        kind, body = super().dumps_typed(
            {**obj, "channel_values": {**obj["channel_values"], _CHANNEL: short}}
        )
        return (COMPACT, body) if kind == "msgpack" else super().dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, body = data
        if kind != COMPACT:
            return super().loads_typed(data)
        obj = super().loads_typed(("msgpack", body))
        values = obj["channel_values"]
        values[_CHANNEL] = [
            _CLASSES[role](content=text, id=id_) for role, id_, text in values[_CHANNEL]
        ]
        return obj


def _is_plain(message: Any) -> bool:
    """Role, id and text are all that it carries."""
    if type(message) not in _ROLES or not isinstance(message.content, str):
        return False
    if message.additional_kwargs or message.response_metadata or message.name:
        return False
    return not (
        isinstance(message, AIMessage)
        and (message.tool_calls or message.invalid_tool_calls or message.usage_metadata)
    )
