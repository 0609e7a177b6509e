"""What callers send about turns and kept conversations. What they get is `engine.reviews.views`."""

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.fields import OptionalText, Text
from domain.intents import Intent
from domain.reviews import Fault
from domain.text import one_line
from engine.regressions.lines import MAX_BYTES
from engine.regressions.script import Expect

MAX_NAME = 80
RegressionName = Annotated[str, Path(pattern=r"^\w[\w-]{0,79}$", max_length=MAX_NAME)]
_KeptName = Annotated[str, Field(pattern=r"^\w[\w-]{0,79}$", max_length=MAX_NAME)]
RowId = Annotated[int, Path(ge=1, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
ReviewStates = Literal["open", "fixed", "dismissed"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RerunIn(Strict):
    """``from_node``: one of the turn's steps. ``text``: other words of the customer; ``intent``:
    of the message, behind ``classify`` only; ``level``: the customer's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"from_node": "retrieve", "text": "帆布袋有拉链吗"}]},
    )

    from_node: Annotated[str, Field(min_length=1, max_length=64)]
    text: Text | None = None
    intent: Intent | None = None
    level: Literal["white", "gray", "black"] | None = None


class MarkIn(Strict):
    """``correct``: what should have been said; ``question``: what it answers, default: the
    customer's words."""

    fault: Fault
    note: OptionalText = ""
    correct: OptionalText = ""
    question: OptionalText = ""


class ExpectIn(Expect):
    """As in a script, see docs/reviews.md."""


class SaveIn(Strict):
    """``name``: of the file, default: made of the question. ``expect``: of this turn's answer,
    default: what it was judged to be, else what it was."""

    name: _KeptName | None = None
    expect: ExpectIn | None = None
    note: Annotated[str, Field(max_length=2_000), AfterValidator(one_line)] = ""
    replace: bool = False


class SettleIn(Strict):
    state: ReviewStates


class ScriptIn(Strict):
    """``text``: YAML, see docs/reviews.md."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]


class RunIn(Strict):
    """``names``: default: all. ``models``: ask the configured models too."""

    names: Annotated[list[_KeptName], Field(max_length=500)] = []
    models: bool = False


class ReportOut(BaseModel):
    """As `kefu eval conversations --json` prints it."""

    model_config = ConfigDict(extra="allow")

    conversations: int
    passed: int
    failed: int
    turns: int
    seconds: float
    results: list[dict[str, Any]]
