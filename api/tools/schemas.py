"""Tools and their answers, as callers from outside see them."""

from functools import cache
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel

from api.platform.schemas import ErrorOut
from engine.tool_desk import KEY_FIELD
from tools.registry import Tool

MAX_KEY_CHARS = 200
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=KEY_FIELD,
        min_length=1,
        max_length=MAX_KEY_CHARS,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same arguments gets the same answer and does nothing.",
    ),
]


class ToolOut(BaseModel):
    """``roles`` may use it; the schemas are JSON Schema of arguments and result."""

    name: str
    title: str
    description: str
    roles: list[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolsOut(BaseModel):
    tools: list[ToolOut]


class EffectOut(BaseModel):
    kind: str
    name: str


class AnswerOut(BaseModel):
    """``effects``: what was brought about; ``duplicate``: it was the first call that did."""

    tool: str
    result: dict[str, Any]
    effects: list[EffectOut]
    duplicate: bool


@cache
def described(tool: Tool[Any]) -> dict[str, Any]:
    """Made once: pydantic builds schemas anew each time."""
    return tool.described()
