"""What callers send about knowledge, and the pages they ask for."""

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.fields import Identifier, Name, Text, WithoutNul
from api.platform.schemas import ErrorOut
from domain.instructions import gives_orders
from domain.messages import MAX_NAME_CHARS
from domain.text import clean, letters, one_line
from knowledge.documents import MAX_ANSWER_CHARS, MAX_QUESTION_CHARS

MAX_ENTRIES = 200
MAX_ALIASES = 50
MAX_TAGS = 20
MAX_TOP_K = 50
MAX_NOTE_CHARS = 500
MANUAL = "manual"

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
}
RowId = Annotated[int, Path(ge=1, le=2**62)]
AnyRowId = Annotated[int, Field(ge=1, le=2**62)]
PageNumber = Annotated[int, Query(ge=1, le=10_000, description="From 1.")]
PageSize = Annotated[int, Query(ge=1, le=200)]
TopK = Annotated[int | None, Query(ge=1, le=MAX_TOP_K, description="Default by setting.")]
Filter = Annotated[Annotated[str, WithoutNul] | None, Query(max_length=MAX_QUESTION_CHARS)]


def _informing(value: str) -> str:
    value = clean(value)
    if not letters(value):
        raise ValueError("不能为空")
    if gives_orders(value):
        raise ValueError("内容像是写给模型的指令")
    return value


def _named(value: str) -> str:
    if not one_line(value):
        raise ValueError("不能为空")
    return one_line(value)


Question = Annotated[str, Field(max_length=MAX_QUESTION_CHARS), AfterValidator(_informing)]
Answer = Annotated[str, Field(max_length=MAX_ANSWER_CHARS), AfterValidator(_informing)]
Aliases = Annotated[list[Question], Field(max_length=MAX_ALIASES)]
Tag = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_named)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
Source = Annotated[str, Field(max_length=2 * MAX_NAME_CHARS), AfterValidator(_named)]
Note = Annotated[str, Field(max_length=MAX_NOTE_CHARS), AfterValidator(one_line)]


class Strict(BaseModel):
    """A misspelt field is refused, rather than an edit that does less than was meant."""

    model_config = ConfigDict(extra="forbid")


class KbQuery(BaseModel):
    """Seed 004's test of the knowledge base; it sends ``query`` alone."""

    query: Text
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = None
    category: Name | None = None
    explain: bool = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "如何退款?"}]})


class EntryIn(Strict):
    """``source``: ``document#topic`` or ``document``; an entry's id follows from it and the
    question."""

    question: Question
    answer: Answer
    aliases: Aliases = []
    category: Name = ""
    tags: Tags = []
    source: Source = MANUAL


class EntriesIn(Strict):
    """``{"entries": [...]}``, or one entry's fields by themselves."""

    entries: Annotated[list[EntryIn], Field(min_length=1, max_length=MAX_ENTRIES)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"question": "多久发货？", "answer": "付款后 48 小时内发货。", "category": "物流"},
                {"entries": [{"question": "多久发货？", "answer": "付款后 48 小时内发货。"}]},
            ]
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, body: Any) -> Any:
        if isinstance(body, dict) and "entries" not in body:
            return {"entries": [body]}
        return body


class EntryChange(Strict):
    """What is not given stays. ``content_hash``, as it was read: 409 if the entry has changed
    since."""

    question: Question | None = None
    answer: Answer | None = None
    aliases: Aliases | None = None
    category: Name | None = None
    tags: Tags | None = None
    content_hash: Identifier | None = None


class ImportFields(Strict):
    """``refresh``: entries that left these files go; ``rebuild``: the base holds exactly these."""

    category: Name | None = None
    tags: Tags = []
    refresh: bool = False
    rebuild: bool = False


class UndoIn(Strict):
    """``force``: give up what was changed later."""

    force: bool = False
    note: Note = ""


class RollbackIn(Strict):
    """Everything after version ``to`` is undone; 0: all there is."""

    to: Annotated[int, Field(ge=0, le=2**62)]
    note: Note = ""


class ClusterAnswer(Strict):
    """``accept`` false: the answer waits for review."""

    answer: Answer
    question: Question | None = None
    accept: bool = True


class Reason(Strict):
    reason: Note = ""


class MergeIn(Strict):
    """All questions of cluster ``gone`` join the one of the address."""

    gone: AnyRowId


class MoveIn(Strict):
    """``to`` null: a new cluster of its own."""

    to: AnyRowId | None


class AcceptIn(Strict):
    """Edits; ``replaces``: the id of an entry whose answer this is to be."""

    question: Question | None = None
    answer: Answer | None = None
    aliases: Aliases | None = None
    replaces: Identifier | None = None


ClusterStates = Literal["open", "answered", "dismissed"]
SuggestionStates = Literal["pending", "approved", "rejected", "dropped", "undone"]
