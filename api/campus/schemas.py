"""Requests and answers of seed 002."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Identifier, Text
from api.knowledge.schemas import Answer, Question

MAX_KEYWORDS = 50
MAX_PAIRS = 200


class ChatRequest(BaseModel):
    """``msg_id`` where the caller has one: the same id again gets the same answer."""

    user_id: Identifier
    msg: Text
    msg_id: Identifier | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "user_1", "msg": "商品多少钱？"}]}
    )


class TransferRequest(BaseModel):
    user_id: Identifier

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "user_1"}]})


class ServiceReply(BaseModel):
    """``msg_id`` where the caller has one: the same id again is not said again. ``end``: the bot
    answers again after this reply."""

    user_id: Identifier
    service_msg: Text
    msg_id: Identifier | None = None
    end: bool = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "user_1",
                    "service_msg": "您好，我是人工客服，请问有什么可以帮助您的吗？",
                }
            ]
        }
    )


class ChatRecord(BaseModel):
    """``role``: user, ai (the bot) or service (a person). ``time``: in the service's time zone,
    ``YYYY-MM-DD HH:MM:SS``."""

    role: Literal["user", "ai", "service"]
    content: str
    time: str


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    code: int = 200


class ChatAnswer(_Open):
    """``ai_reply`` is empty while a person has the conversation (``mode`` human); ``queue_num`` is
    null for who does not wait."""

    ai_reply: str
    need_transfer: bool
    chat_records: list[ChatRecord]


class Transferred(_Open):
    """``queue_num``: 1 is next, 0 is with a person already."""

    msg: str
    queue_num: int
    service_status: Literal["online", "offline"]


class QueueState(_Open):
    """``queue_num``: null for who does not wait, and where no ``user_id`` is given."""

    msg: str
    queue_num: int | None
    service_status: Literal["online", "offline"]
    queue_length: int
    max_queue_length: int


class ServiceReplied(_Open):
    service_msg: str
    chat_records: list[ChatRecord]


class Records(_Open):
    total: int
    page: int
    limit: int
    chat_records: list[ChatRecord]


class CustomPair(BaseModel):
    """One answer and the keywords that ask for it; the first keyword names the pair."""

    model_config = ConfigDict(extra="forbid")

    keywords: Annotated[list[Question], Field(min_length=1, max_length=MAX_KEYWORDS)]
    answer: Answer

    @model_validator(mode="before")
    @classmethod
    def _one_keyword(cls, body: object) -> object:
        if not isinstance(body, dict) or "keyword" not in body:
            return body
        if "keywords" in body:
            raise PydanticCustomError("empty", "keyword 和 keywords 只能填写一项")
        rest = {name: value for name, value in body.items() if name != "keyword"}
        return rest | {"keywords": [body["keyword"]]}


class CustomPairs(BaseModel):
    """``{"pairs": [...]}``, or one pair's fields by themselves."""

    pairs: Annotated[list[CustomPair], Field(min_length=1, max_length=MAX_PAIRS)]

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "keywords": ["宿舍送货", "送到寝室吗"],
                    "answer": "校内订单当天 18:00 送到宿舍楼下。",
                },
                {"pairs": [{"keyword": "学生优惠", "answer": "凭学生证结算时减 5 元。"}]},
            ]
        },
    )

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, body: object) -> object:
        if isinstance(body, dict) and "pairs" not in body:
            return {"pairs": [body]}
        return body

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for pair in self.pairs:
            if pair.keywords[0] in seen:
                raise PydanticCustomError("empty", "同一个关键词出现了两次", {"field": "pairs"})
            seen.add(pair.keywords[0])
        return self


class PairOut(BaseModel):
    id: str
    keywords: list[str]
    answer: str
    updated_at: str


class PairsOut(_Open):
    total: int
    page: int
    limit: int
    pairs: list[PairOut]


class PairsSaved(_Open):
    msg: str
    pairs: list[PairOut]


class CampusError(BaseModel):
    code: int
    msg: str
    field: str | None = None
