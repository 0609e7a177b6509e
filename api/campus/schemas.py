"""Requests and answers of seed 002."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from api.fields import Identifier, Text


class ChatRequest(BaseModel):
    """``msg_id`` where the caller has one: the same id again gets the same answer."""

    user_id: Identifier
    msg: Text
    msg_id: Identifier | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "user_1", "msg": "商品多少钱？"}]}
    )


class ChatRecord(BaseModel):
    """``time``: in the service's time zone, ``YYYY-MM-DD HH:MM:SS``."""

    role: Literal["user", "ai"]
    content: str
    time: str


class ChatAnswer(BaseModel):
    model_config = ConfigDict(extra="allow")

    code: int = 200
    ai_reply: str
    need_transfer: bool
    chat_records: list[ChatRecord]


class CampusError(BaseModel):
    code: int
    msg: str
    field: str | None = None
