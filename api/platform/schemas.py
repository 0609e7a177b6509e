"""Requests and answers of seed 003; more fields are allowed in answers."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Identifier, Name, OptionalText, WebAddress
from domain.messages import MessageKind


class AttachmentIn(BaseModel):
    kind: Literal["image", "voice", "file", "link"] = "image"
    url: WebAddress


class MessageIn(BaseModel):
    """``sender_id`` where the client has one; else the sender's name stands for the person."""

    id: Identifier
    chat_id: Identifier
    sender: Identifier
    sender_id: Identifier | None = None
    sender_name: Name = ""
    content: OptionalText = ""
    type: MessageKind = MessageKind.TEXT
    timestamp: datetime | None = None
    attachments: Annotated[list[AttachmentIn], Field(max_length=9)] = []

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.content and not self.attachments and self.type is MessageKind.TEXT:
            raise PydanticCustomError("empty", "不能为空", {"field": "content"})
        return self


class MessageRequest(BaseModel):
    """``deadline_s``: how long the caller waits for the answer; default by setting."""

    agent_id: Identifier
    message: MessageIn
    deadline_s: Annotated[float, Field(gt=0, le=120)] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent_id": "agent_001",
                    "message": {
                        "id": "msg_123",
                        "chat_id": "group_456",
                        "sender": "用户A",
                        "content": "充电桩怎么安装？",
                        "type": "text",
                        "timestamp": "2025-01-19T10:00:00",
                    },
                }
            ]
        }
    )


class AnswerOut(BaseModel):
    """The contract of seed 003, and what explains the answer."""

    model_config = ConfigDict(extra="allow")

    action: Literal["reply", "escalate", "wait", "none"]
    content: str
    confidence: float
    message_id: str
    turn_id: str | None = None
    conversation_id: str
    decision: str
    evidence: list[dict[str, Any]] = []
    quote: dict[str, Any] | None = None
    nodes: list[str] = []
    duplicate: bool = False


class ErrorDetail(BaseModel):
    code: str
    message: str
    field: str | None = None


class ErrorOut(BaseModel):
    error: ErrorDetail
