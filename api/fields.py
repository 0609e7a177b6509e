"""Field types that every surface shares: identifiers, names, texts, within the domain's limits."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS
from domain.text import clean, is_one_line, one_line

_WEB_ADDRESS = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


def _identifier(value: str) -> str:
    if not value.strip() or not is_one_line(value):
        raise ValueError("不能为空,也不能含有控制字符")
    return value.strip()


def _something(value: str) -> str:
    if not clean(value):
        raise ValueError("不能为空")
    return clean(value)


def _web_address(value: str) -> str:
    if not _WEB_ADDRESS.fullmatch(value) or not is_one_line(value):
        raise ValueError("应为 http:// 或 https:// 开头的地址")
    return value


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_identifier)
]


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("不能含有空字符")
    return value


WithoutNul = AfterValidator(_without_nul)
"""For texts that the database is asked for: PostgreSQL takes none with a NUL."""

Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(one_line)]
OptionalText = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(clean)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(_something)]
WebAddress = Annotated[
    str, Field(min_length=1, max_length=MAX_URL_CHARS), AfterValidator(_web_address)
]
