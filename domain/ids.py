"""Identifiers. A conversation's id is also its LangGraph thread id."""

import hashlib
import uuid
from typing import NewType

ConversationId = NewType("ConversationId", str)
ContactId = NewType("ContactId", str)
TurnId = NewType("TurnId", str)
EffectKey = NewType("EffectKey", str)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=12).hexdigest()


def conversation_id(channel: str, account: str, chat_id: str, sender_id: str) -> ConversationId:
    """One conversation per sender and chat: members of one group never share a thread."""
    return ConversationId("c_" + _digest(channel, account, chat_id, sender_id))


def contact_id(channel: str, account: str, sender_id: str) -> ContactId:
    """The person behind a sender id, as one channel account sees them."""
    return ContactId(f"{channel}:{account}:{sender_id}")


def turn_id(conversation: str, first_message: int, received: int) -> TurnId:
    """The same for every replay of a turn over the same messages.

    ``first_message``: row id of the oldest one; ``received``: the conversation's count so far.
    """
    return TurnId("t_" + _digest(conversation, str(first_message), str(received)))


def new_message_id() -> str:
    """For callers that have no message id of their own (seed 002's ``/api/ai_chat``)."""
    return "m_" + uuid.uuid4().hex


def effect_key(turn_id: TurnId, effect: str) -> EffectKey:
    """Idempotency key of one effect of one turn: a replayed turn produces the same keys."""
    return EffectKey(f"{turn_id}:{effect}")
