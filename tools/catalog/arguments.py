"""What the tools' arguments and results are made of."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS
from domain.text import clean, is_one_line, one_line
from tools.nulls import NullsLeftOut

MAX_TITLE_CHARS = 100
MAX_REASON_CHARS = 200
MAX_TAG_CHARS = 32
MAX_PICTURES = 20

Priority = Literal["low", "normal", "high"]


class Arguments(NullsLeftOut):
    """An argument that is null counts as left out."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True
    )


class Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


SenderId = Annotated[str, Field(description="客户在渠道中的 ID")]
ConversationId = Annotated[str, Field(description="会话 ID")]
ChannelName = Annotated[str, Field(description="渠道")]


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _on_one_line(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


def _identifier(value: str) -> str:
    # No template either: whom a call is for must never come from what a customer wrote.
    if not is_one_line(value):
        raise PydanticCustomError("printable", "不能包含控制字符")
    if "{{" in value:
        raise PydanticCustomError("template", "不能使用 {{…}} 字段")
    return value


def _web_address(value: str) -> str:
    if not value.lower().startswith(("http://", "https://")):
        raise PydanticCustomError("url", "必须是 http:// 或 https:// 开头的地址")
    if not is_one_line(value) or any(sign.isspace() or sign in '{}<>"\\^`|' for sign in value):
        raise PydanticCustomError("url", "地址不能包含空白、花括号、控制字符或 {{…}} 字段")
    try:
        parts = urlsplit(value)
        usable, named = bool(parts.hostname) and parts.port != 0, parts.username is not None
    except ValueError:
        usable, named = False, False
    if not usable:
        raise PydanticCustomError("url", "地址中的主机名或端口不正确")
    if named:
        raise PydanticCustomError("url", "地址不能带用户名或密码")
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Cleaned = BeforeValidator(_cleaned)
OneLine = BeforeValidator(_on_one_line)

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), Cleaned]
OptionalText = Annotated[str, Field(max_length=MAX_TEXT_CHARS), Cleaned]
Title = Annotated[str, Field(max_length=MAX_TITLE_CHARS), OneLine]
Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), OneLine]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), OneLine]
Given = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), OneLine]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS), OneLine]
Tags = Annotated[tuple[Tag, ...], Field(max_length=20), AfterValidator(_distinct)]
WebAddress = Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_web_address)]
Pictures = Annotated[
    tuple[WebAddress, ...], Field(max_length=MAX_PICTURES), AfterValidator(_distinct)
]
CustomerId = Annotated[
    str,
    Field(
        max_length=3 * MAX_ID_CHARS,
        description="客户 ID:渠道中的用户 ID,或「渠道:账号:用户 ID」;不填即当前客户",
    ),
    AfterValidator(_identifier),
]
