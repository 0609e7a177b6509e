"""What callers send about customers. What they get is `engine.customers.views`."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Identifier, Name, WithoutNul
from api.platform.schemas import ErrorOut
from domain.text import clean, one_line
from storage.customers import MAX_TAGS

MAX_REMARK_CHARS = 500
MAX_ADDRESS_CHARS = 300
MAX_TAG_CHARS = 64
MAX_YUAN = Decimal(100_000_000)
_PHONE = re.compile(r"\+?\d(?:[ -]?\d){4,19}")
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}


def _phone(value: str) -> str:
    value = one_line(value)
    if value and not _PHONE.fullmatch(value):
        raise ValueError("应为电话号码,如 13800138000 或 010-12345678")
    return value


def _tag(value: str) -> str:
    value = one_line(value)
    if not value:
        raise ValueError("不能为空")
    return value


CustomerId = Annotated[int, Path(ge=1, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, description="next_cursor of the page before.")]
Search = Annotated[
    str,
    Query(
        max_length=128,
        description="A part of a name, of a contact id or of a remark; a whole telephone number.",
    ),
    WithoutNul,
]
TagQuery = Annotated[str, Query(max_length=MAX_TAG_CHARS), WithoutNul]
LevelName = Literal["white", "gray", "black"]
StateName = Literal["new", "potential", "deal", "repurchase", "churn"]
Remark = Annotated[str, Field(max_length=MAX_REMARK_CHARS), AfterValidator(clean)]
Phone = Annotated[str, Field(max_length=24), AfterValidator(_phone)]
Address = Annotated[str, Field(max_length=MAX_ADDRESS_CHARS), AfterValidator(one_line)]
Tag = Annotated[str, Field(max_length=MAX_TAG_CHARS), AfterValidator(_tag)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
RowId = Annotated[int, Field(ge=1, le=2**62)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CustomerChange(Strict):
    """What is left out stays. ``level``: whatever the score says, «auto»: as it says."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"remark": "要发票", "level": "white"}]}
    )

    name: Name | None = None
    remark: Remark | None = None
    phone: Phone | None = None
    address: Address | None = None
    state: StateName | None = None
    level: LevelName | Literal["auto"] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.changes():
            raise PydanticCustomError("empty", "至少填写一项要修改的内容")
        return self

    def changes(self) -> dict[str, str]:
        found: dict[str, str] = self.model_dump(exclude_none=True)
        level = found.pop("level", None)
        return found | ({} if level is None else {"pinned": "" if level == "auto" else level})


class TagsIn(Strict):
    add: Tags = []
    remove: Tags = []

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.add and not self.remove:
            raise PydanticCustomError("empty", "add 和 remove 至少填写一项")
        if set(self.add) & set(self.remove):
            raise PydanticCustomError("empty", "同一个标签不能既添加又移除")
        return self


class MergeIn(Strict):
    """``other``: who is this customer, too."""

    other: RowId


class UnmergeIn(Strict):
    """``merge``: the number of the merge, as it is listed."""

    merge: RowId


class DealIn(Strict):
    """``key``: names the deal for good; sent again with another ``amount`` (yuan) that counts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"key": "erp-20260301-17", "amount": 998.0}]},
    )

    key: Identifier
    amount: Annotated[Decimal, Field(ge=0, le=MAX_YUAN, max_digits=11, decimal_places=2)]
    note: Remark = ""

    @property
    def fen(self) -> int:
        return int(self.amount * 100)


class FeedbackIn(Strict):
    """``rating``: 1 to 5; from 4 on it is positive."""

    key: Identifier
    rating: Annotated[int, Field(ge=1, le=5)]


class EraseIn(Strict):
    """``contact_id``: the customer's, so that nobody erases another by a slip."""

    contact_id: Annotated[str, Field(min_length=1, max_length=600)]


class ErasedOut(BaseModel):
    """``digest``: what stands for the customer in the audit log. ``rows``: by table."""

    digest: str
    rows: dict[str, int]
    files: int
