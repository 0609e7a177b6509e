"""Requests and answers of the desk. What agents see is `engine.desk.views`, sent as it is."""

from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Self

import orjson
from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from api.fields import Identifier, Name, OptionalText, Text, WebAddress, WithoutNul
from api.platform.schemas import ErrorOut
from domain.desk import Agent, AgentRole, Mode, Presence, is_agent_id, is_scope
from domain.text import clean
from engine.desk.views import CannedView

MAX_PASSWORD_CHARS = 256
MIN_PASSWORD_CHARS = 8
MAX_LOAD = 500
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
}


class Shown(Response):
    """Dataclasses as JSON objects, sets in order."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200) -> None:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        super().__init__(content, status_code, headers)

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, default=_listed)


def _listed(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} is no JSON")


def _agent_id(value: str) -> str:
    if not is_agent_id(value):
        raise ValueError("只能使用小写字母、数字和 . _ -,最多 64 个字符")
    return value


def _scope(value: str) -> str:
    if not is_scope(value):
        raise ValueError("应为 *、渠道 或 渠道:账号")
    return value


def _not_blank(value: str) -> str:
    if not clean(value):
        raise ValueError("不能为空")
    return value


AgentId = Annotated[str, AfterValidator(_agent_id)]
Skill = Annotated[Name, Field(max_length=64)]
Search = Annotated[str, Query(max_length=200), AfterValidator(clean), WithoutNul]
Channel = Annotated[str, Query(max_length=128), WithoutNul]
Cursor = Annotated[str | None, Query(max_length=200), WithoutNul]
PageSize = Annotated[int, Query(ge=1, le=200)]
RowId = Annotated[int, Path(ge=1, le=2**62)]
EventId = Annotated[int | None, Query(ge=0, le=2**62)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD_CHARS)]
NewPassword = Annotated[
    SecretStr, Field(min_length=MIN_PASSWORD_CHARS, max_length=MAX_PASSWORD_CHARS)
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignIn(Strict):
    agent: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_not_blank)]
    password: Password


class PresenceIn(Strict):
    status: Presence


class AttachmentIn(Strict):
    kind: Literal["image", "file"] = "image"
    url: WebAddress


class SayIn(Strict):
    """``message_id``: the caller's own name for it; the same one again is said once."""

    message_id: Identifier
    text: OptionalText = ""
    attachments: Annotated[list[AttachmentIn], Field(max_length=9)] = []

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text and not self.attachments:
            raise PydanticCustomError("empty", "不能为空", {"field": "text"})
        return self


class NoteIn(Strict):
    text: Text


class TransferIn(Strict):
    """``to``: an agent; without one it waits for anybody, or for anybody with ``skill``."""

    to: AgentId | Literal[""] = ""
    skill: Skill = ""
    note: OptionalText = ""


class ResolveIn(Strict):
    outcome: Literal["solved", "unsolved", ""] = "solved"
    ask_rating: bool = True


class ModeIn(Strict):
    mode: Mode


class DraftIn(Strict):
    """``text``: of an edit, and of nothing else."""

    decision: Literal["approve", "edit", "discard"]
    text: OptionalText = ""

    @model_validator(mode="after")
    def _edits_something(self) -> Self:
        if (self.decision == "edit") != bool(self.text):
            reason = "只在 decision 为 edit 时填写 text,且必须填写"
            raise PydanticCustomError("value_error", "{reason}", {"reason": reason})
        return self


class CannedIn(Strict):
    """``id``: the one to change; without it a new one."""

    shortcut: Annotated[Name, Field(min_length=1, max_length=32), AfterValidator(_not_blank)]
    title: Annotated[Name, Field(min_length=1)]
    text: Text
    skill: Skill = ""
    id: Annotated[int, Field(ge=1, le=2**62)] | None = None


class AgentIn(Strict):
    """What is left out stays as it is. A new agent needs a password."""

    name: Annotated[Name, Field(min_length=1)] | None = None
    role: AgentRole | None = None
    skills: Annotated[list[Skill], Field(max_length=50)] | None = None
    scopes: (
        Annotated[list[Annotated[str, AfterValidator(_scope)]], Field(max_length=200)] | None
    ) = None
    max_load: Annotated[int, Field(ge=1, le=MAX_LOAD)] | None = None
    enabled: bool | None = None
    password: NewPassword | None = None


class SessionOut(BaseModel):
    """``csrf`` comes with every unsafe request, as X-CSRF-Token; empty for programs, which show
    their key. ``by``: cookie, local (nobody needs to sign in yet) or key."""

    agent: Agent
    csrf: str
    by: Literal["cookie", "local", "key"]


class DoneOut(BaseModel):
    done: bool = True


class CannedOut(BaseModel):
    items: list[CannedView]


class AgentsOut(BaseModel):
    items: list[Agent]
