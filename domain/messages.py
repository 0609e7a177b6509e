"""A customer's message as every channel hands it over."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from domain.ids import ContactId, ConversationId, contact_id, conversation_id

MAX_TEXT_CHARS = 4_000
MAX_ID_CHARS = 128
MAX_NAME_CHARS = 128
MAX_URL_CHARS = 2_048


class MessageKind(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    FILE = "file"
    LINK = "link"
    LOCATION = "location"
    EVENT = "event"


ReplyRoute = Literal["response", "push", "poll"]
"""How an answer leaves: in the HTTP response, pushed to the channel, or fetched by the caller."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """``kind`` of a MessageKind, at ``url`` (never fetched at intake)."""

    kind: str
    url: str


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message, unique on (channel, account, channel_message_id).

    ``sent_at`` and ``received_at`` are seconds since the epoch; ``route`` says how an answer that
    nobody waits for any more goes out. ``event``: what a message of kind EVENT tells of, e.g.
    ``payment``.
    """

    channel: str
    account: str
    channel_message_id: str
    chat_id: str
    sender_id: str
    text: str
    kind: MessageKind = MessageKind.TEXT
    sender_name: str = ""
    attachments: tuple[Attachment, ...] = ()
    sent_at: float = 0.0
    received_at: float = 0.0
    route: Literal["push", "poll"] = "poll"
    event: str = ""
    conversation: ConversationId = field(init=False)
    contact: ContactId = field(init=False)

    def __post_init__(self) -> None:
        conversation = conversation_id(self.channel, self.account, self.chat_id, self.sender_id)
        object.__setattr__(self, "conversation", conversation)
        object.__setattr__(self, "contact", contact_id(self.channel, self.account, self.sender_id))
