"""Field types that every surface shares: identifiers, names, texts, within the domain's limits."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS
from domain.text import clean


def _printable(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("不能为空,也不能含有控制字符")
    return value.strip()


def _cleaned(value: str) -> str:
    return clean(value)


def _something(value: str) -> str:
    if not clean(value):
        raise ValueError("不能为空")
    return clean(value)


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_printable)
]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_cleaned)]
OptionalText = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_cleaned)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(_something)]
