"""The format of a scripted conversation (docs/reviews.md), read and written.

A file holds one conversation, or several behind lines of ``---``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from domain.intents import Intent
from domain.messages import MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS
from engine.regressions.lines import Document, ScriptError, documents_of

ENDINGS = (".yaml", ".yml")
MAX_TURNS = 50
MAX_ITEMS = 20
NOTHING = ("no", "false", "none", "无", "否")
ANYTHING = ("yes", "true", "any", "有", "是")


def _refuse(reason: str) -> PydanticCustomError:
    return PydanticCustomError("script", "{reason}", {"reason": reason})


def _listed(value: Any) -> Any:
    """One may be written without being a list."""
    return [value] if isinstance(value, str) else value


_Part = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Parts = Annotated[
    tuple[_Part, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_ITEMS)
]
_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS)
]
_Url = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL_CHARS)
]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARS)]


def _price(value: Any) -> Any:
    """Yuan as a person writes them; ``no`` says that there is none."""
    if not isinstance(value, str):
        return value
    said = value.strip().removesuffix("元").strip()
    return "no" if said in NOTHING else said


def _yes_or_no(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    said = value.strip()
    return "no" if said in NOTHING else "any" if said in ANYTHING else said


def _word(value: Any) -> Any:
    """On a quote: yes, no, or another total."""
    said = _yes_or_no(value)
    return "yes" if said == "any" else _price(said)


_Yuan = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]


class Expect(BaseModel):
    """What must be true of an answer. Of ``decision`` and ``intent`` one of those named; of the
    others each one.

    ``evidence``: id, question or source (``file.md`` or ``file.md#heading``) of an entry that the
    answer stands on. ``quote``: total in yuan, or ``no``. ``handoff``: its reason, ``any`` or
    ``no``. ``passes``: nodes that the turn went through.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Parts | None = None
    intent: Annotated[tuple[Intent, ...], BeforeValidator(_listed)] | None = None
    contains: Parts | None = None
    absent: Parts | None = None
    evidence: Parts | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    quote: Annotated[Literal["no"] | _Yuan, BeforeValidator(_price)] | None = None
    handoff: Annotated[_Part, BeforeValidator(_yes_or_no)] | None = None
    passes: Parts | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Expect":
        if not self.model_fields_set:
            raise _refuse("expect 里没有写任何期望")
        return self


class Step(BaseModel):
    """One turn of the customer's. ``say`` may be several messages that arrive together; ``images``
    are addresses, or files beside the script. Or a person's word on the quote that waits:
    ``approve`` yes, no, or its total in yuan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    say: Annotated[tuple[_Text, ...], BeforeValidator(_listed)] = ()
    images: Annotated[tuple[_Url, ...], BeforeValidator(_listed), Field(max_length=MAX_ITEMS)] = ()
    approve: Annotated[Literal["yes", "no"] | _Yuan, BeforeValidator(_word)] | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Step":
        if not self.say and not self.images and self.approve is None:
            raise _refuse("每一轮都要有 say 或 images（或 approve）")
        if (self.say or self.images) and self.approve is not None:
            raise _refuse("approve 单独作一轮，不能和 say、images 写在一起")
        if len(self.text) > MAX_TEXT_CHARS:
            raise _refuse(f"一轮不能超过 {MAX_TEXT_CHARS} 字")
        return self

    @property
    def text(self) -> str:
        return "\n".join(self.say)


class Customer(BaseModel):
    """Who speaks; what is not said is as of somebody who writes for the first time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name = ""
    level: Literal["white", "gray", "black"] = "gray"
    score: Annotated[int, Field(ge=0, le=100)] = 60


class Script(BaseModel):
    """A conversation. Without one ``expect`` nothing could fail, so that is none. ``source``:
    channel:account that it was saved from; agents who may not see that do not see the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000)] = ""
    source: Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)] = ""
    customer: Customer = Customer()
    turns: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_TURNS)]

    @model_validator(mode="after")
    def _expects_something(self) -> "Script":
        if not any(step.expect for step in self.turns):
            raise _refuse("没有一轮写了 expect，什么也检查不了")
        return self


@dataclass(frozen=True, slots=True)
class ReadScript:
    """``lines``: of each turn. ``folder``: beside which pictures are looked for."""

    script: Script
    file: str
    line: int
    lines: tuple[int, ...]
    folder: Path

    @property
    def name(self) -> str:
        return self.script.name or Path(self.file).stem


def read_scripts(path: Path, *, shown: str = "") -> list[ReadScript]:
    """Every conversation of a file. Raises ScriptError with the file (as ``shown``) and line."""
    file = shown or str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScriptError(file, 1, f"读不了：{error.strerror}") from error
    return scripts_of(file, data, path.parent)


def scripts_of(file: str, data: bytes, folder: Path) -> list[ReadScript]:
    """Raises ScriptError."""
    found = [_read(document, folder) for document in documents_of(file, data)]
    if not found:
        raise ScriptError(file, 1, "文件是空的")
    return found


def _read(document: Document, folder: Path) -> ReadScript:
    if not isinstance(document.value, dict):
        raise ScriptError(document.file, document.line(), "应以 turns: 开头，下面列出每一轮")
    try:
        script = Script.model_validate(document.value)
    except ValidationError as error:
        # A misspelt field is often why another one is missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise _told(document, first) from None
    lines = tuple(document.line(("turns", at)) for at in range(len(script.turns)))
    return ReadScript(script, document.file, document.line(), lines, folder)


def script_files(paths: Iterable[Path]) -> list[Path]:
    """Files named, and those of folders named, in their order. Raises ScriptError where a path
    leads nowhere or to nothing."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in ENDINGS)
            if not inside:
                raise ScriptError(str(path), 1, "文件夹里没有 .yaml 文件")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ScriptError(str(path), 1, "没有这个文件或文件夹")
    return list(dict.fromkeys(found))


# Errors ----------------------------------------------------------------------------------------

_FIELDS: dict[str, type[BaseModel]] = {"expect": Expect, "customer": Customer, "turns": Step}
_TOLD = {
    "missing": "缺少这一项",
    "string_type": "应为文字",
    "string_too_short": "不能为空",
    "string_too_long": "超过 {max_length} 字",
    "too_short": "不能为空",
    "too_long": "最多 {max_length} 项",
    "float_parsing": "应为数字",
    "int_parsing": "应为整数",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "finite_number": "应为数字",
    "literal_error": "应为 {expected} 之一",
    "enum": "应为 {expected} 之一",
    "tuple_type": "应为列表",
    "model_type": "应为缩进的字段",
    "script": "{reason}",
}


def _told(document: Document, error: ErrorDetails) -> ScriptError:
    path = tuple(step for step in error["loc"] if not str(step).startswith(("literal[", "constr")))
    path = tuple(step for step in path if step not in {"float", "function-before[_price()"})
    line = document.line(path)
    where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")
    reason = _reason(error, path)
    return ScriptError(document.file, line, f"{where}：{reason}" if where else reason)


def _reason(error: ErrorDetails, path: Sequence[str | int]) -> str:
    if error["type"] == "extra_forbidden":
        owner = next((str(s) for s in reversed(path[:-1]) if isinstance(s, str)), "")
        known = _FIELDS.get(owner, Script).model_fields
        return f"没有这个字段；可以写 {'、'.join(known)}"
    if error["type"] == "literal_error" and "no" in str(error.get("ctx", {}).get("expected", "")):
        return f"应为以元为单位的数字，或 {'yes、no' if 'approve' in path else 'no'}"
    told = _TOLD.get(error["type"])
    if told is None:
        return error["msg"]
    context = error.get("ctx", {})
    if "expected" in context:
        context["expected"] = "、".join(re.findall(r"'([^']*)'", str(context["expected"])))
    return told.format(**context)


# Writing ---------------------------------------------------------------------------------------


def written(script: Script, *, comment: str = "") -> str:
    """As a person would have written it: nothing that is the default, one value without a list."""
    plain: dict[str, Any] = {}
    for key in ("name", "note", "source"):
        if value := getattr(script, key):
            plain[key] = value
    if customer := script.customer.model_dump(exclude_defaults=True):
        plain["customer"] = customer
    plain["turns"] = [_plain_step(step) for step in script.turns]
    text = yaml.dump(plain, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + text


class _Dumper(yaml.SafeDumper):
    """Lines of a text stay lines; lists stand under their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _plain_step(step: Step) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key in ("say", "images"):
        if value := getattr(step, key):
            plain[key] = _one_or_all(value)
    if step.approve is not None:
        plain["approve"] = _short(step.approve)
    if step.expect is not None:
        found = step.expect.model_dump(mode="json", exclude_none=True)
        plain["expect"] = {
            key: _one_or_all(value) if isinstance(value, list) else _short(value)
            for key, value in found.items()
        }
    return plain


_WRITTEN = {"no": "无", "any": "有", "yes": "是"}


def _one_or_all(values: Sequence[str]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _short(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _WRITTEN.get(value, value) if isinstance(value, str) else value
