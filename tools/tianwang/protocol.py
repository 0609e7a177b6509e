"""Tianwang's protocol (seed 000): the order of a task, and the callback at its end. No I/O.

An order is read strictly in meaning and tolerantly in form: a number may be an id, null is left
out, a time may be written in several ways; but a keyword that is empty, or two fields that
contradict each other, are refused.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal, Self
from unicodedata import normalize
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from domain.errors import InvalidInput
from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS
from domain.tasks import PAYMENT_WORDS, Matching, TaskPriority, Trigger, TriggerKind
from domain.text import is_one_line, one_line
from domain.trigger_text import trigger_key
from tools.nulls import NullsLeftOut
from tools.signatures import SigningHeaders

EVENT_ID_HEADER = "X-Tianwang-Event-Id"
TIMESTAMP_HEADER = "X-Tianwang-Timestamp"
SIGNATURE_HEADER = "X-Tianwang-Signature"
MAX_KEYWORDS = 100
MAX_KEYWORD_CHARS = 128
MAX_TIMEOUT_HOURS = 8_760
MAX_RETRIES = 20
FARTHEST_S = 10 * 366 * 86_400
_MAX_DEPTH = 16
_MAX_INTEGER = 2**63 - 1
_EPOCH = datetime.fromtimestamp(0, UTC)
_HEADERS = SigningHeaders(TIMESTAMP_HEADER, SIGNATURE_HEADER)


# Fields


def _refuse(reason: str, field: str = "") -> PydanticCustomError:
    """``field``: what is wrong within the model that refuses."""
    return PydanticCustomError("empty", "{reason}", {"reason": reason, "field": field})


def _identifier(value: str) -> str:
    if not value or not is_one_line(value):
        raise _refuse("不能为空,也不能含有控制字符")
    return value


def _keyword(value: str) -> str:
    shown = one_line(value)
    if not trigger_key(shown):
        raise _refuse("关键词不能为空,也不能只有空格")
    return shown


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise _refuse("应为数字")
    return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _moment(value: object) -> datetime:
    """ISO 8601, ``YYYY-MM-DD HH:MM:SS``, either with an offset or without."""
    problem = _refuse("不是合法的时间,应写成 2026-02-28 09:00:00,可带时区如 +08:00")
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise problem
    written = normalize("NFKC", value).strip()
    if ":" not in written:
        raise problem  # a date alone does not say when
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        raise problem from None


def _plain(value: Any, depth: int = 0) -> Any:
    """JSON that every database and every JSON writer takes."""
    if depth > _MAX_DEPTH:
        raise _refuse(f"嵌套超过 {_MAX_DEPTH} 层")
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode().replace("\0", "")
    if isinstance(value, dict):
        return {_plain(str(name)): _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise _refuse("应为有限的数字")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise _refuse("超出允许的范围")
    return value


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_identifier)
]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(one_line)]
Keyword = Annotated[
    str, Field(min_length=1, max_length=MAX_KEYWORD_CHARS), AfterValidator(_keyword)
]
Keywords = Annotated[tuple[Keyword, ...], Field(max_length=MAX_KEYWORDS), BeforeValidator(_several)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-02-28 09:00:00"]}),
]


class _Part(NullsLeftOut):
    model_config = ConfigDict(
        extra="ignore", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True
    )


# Triggers


class _Watching(_Part):
    """A field that is not known is refused: what narrows a trigger must not be passed over."""

    model_config = ConfigDict(extra="forbid")


class _Saying(_Watching):
    """``customer_id``: whose messages count. ``match``: ours; ``exact_match`` true is ``exact``."""

    customer_id: Annotated[Name, Field(max_length=MAX_ID_CHARS)] = ""
    customer_name: Name = ""
    exact_match: bool = False
    match: Annotated[Matching, BeforeValidator(_lower)] = Matching.AGREEMENT

    @property
    def matching(self) -> Matching:
        return Matching.EXACT if self.exact_match else self.match

    @model_validator(mode="after")
    def _not_both_ways(self) -> Self:
        if {"match", "exact_match"} <= self.model_fields_set and self.exact_match != (
            self.match is Matching.EXACT
        ):
            raise _refuse(
                f"与 match={self.match.value!r} 矛盾:exact_match 为 true 即 match 为 'exact'",
                "exact_match",
            )
        return self

    def words(self) -> tuple[str, ...]:
        raise NotImplementedError


class SpecifiedCustomerReply(_Saying):
    """The customer named answers with the keyword; ``customer_id`` defaults to the task's."""

    type: Literal["specified_customer_reply"]
    keyword: Keyword

    def words(self) -> tuple[str, ...]:
        return (self.keyword,)


class CustomerReply(_Saying):
    """Any customer answers with the keyword, or only ``customer_id`` where it is given."""

    type: Literal["customer_reply"]
    keyword: Keyword

    def words(self) -> tuple[str, ...]:
        return (self.keyword,)


class CustomerKeyword(_Saying):
    """Any customer says one of the keywords, or only ``customer_id`` where it is given."""

    type: Literal["customer_keyword"]
    keywords: Annotated[
        tuple[Keyword, ...],
        Field(min_length=1, max_length=MAX_KEYWORDS),
        BeforeValidator(_several),
    ]

    def words(self) -> tuple[str, ...]:
        return _once(self.keywords)


class CustomerPayment(_Saying):
    """The task's customer pays: one of the words, or the channel's payment event."""

    type: Literal["customer_payment"]
    keywords: Keywords = ()

    def words(self) -> tuple[str, ...]:
        return _once(self.keywords or PAYMENT_WORDS)


class TimeReach(_Watching):
    """``time`` without an offset is read in the service's time zone."""

    type: Literal["time_reach"]
    time: Moment


def _once(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _by_type(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Errors are told where the caller sees them: ``trigger.keyword``, without the type's name."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if item is not None}
        value = kept | {"type": _lower(kept["type"])} if "type" in kept else kept
    try:
        return handler(value)
    except ValidationError as error:
        problems = [_without_tag(problem) for problem in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, problems) from None


def _without_tag(problem: ErrorDetails) -> InitErrorDetails:
    kind, given = problem["type"], problem["input"]
    if kind == "union_tag_not_found":
        return InitErrorDetails(type="missing", loc=("type",), input=given)
    if kind == "union_tag_invalid":
        known = "、".join(TriggerKind)
        unknown = _refuse(f"未知的触发类型,可用:{known}")
        return InitErrorDetails(type=unknown, loc=("type",), input=given)
    context = problem.get("ctx", {})
    same = PydanticCustomError(kind, "{text}", {**context, "text": problem["msg"]})
    return InitErrorDetails(type=same, loc=problem["loc"][1:], input=given)


TaskTrigger = Annotated[
    Annotated[
        SpecifiedCustomerReply | CustomerReply | CustomerKeyword | CustomerPayment | TimeReach,
        Field(discriminator="type"),
    ],
    WrapValidator(_by_type),
]


# The order


class TaskCustomer(_Part):
    """``channel`` and ``account``: where to reach the customer; default: where it wrote last."""

    id: Identifier
    name: Name = ""
    channel: Annotated[Name, BeforeValidator(_lower)] = ""
    account: Name = ""


class TaskAction(_Part):
    """``type`` names a tool; every other field is an argument of it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_plain)]] = Field(init=False)

    type: Annotated[Identifier, BeforeValidator(_lower)]
    message: Annotated[str, BeforeValidator(_plain)] = ""
    file_url: Annotated[str, BeforeValidator(_plain)] = ""

    def arguments(self) -> dict[str, Any]:
        """For the tool's call; an empty ``message`` or ``file_url`` counts as left out."""
        named = {"message": self.message, "file_url": self.file_url}
        return {name: text for name, text in named.items() if text} | dict(self.model_extra or {})


EXAMPLE: dict[str, Any] = {
    "task_id": "TASK_20260227_001",
    "type": "send_file_after_reply",
    "customer": {"id": "customer_123", "name": "小明"},
    "trigger": {
        "type": "specified_customer_reply",
        "customer_id": "customer_123",
        "customer_name": "小明",
        "keyword": "好的",
        "exact_match": False,
    },
    "action": {"type": "send_message", "message": "这是您要的文件"},
    "priority": "normal",
    "timeout_hours": 24,
    "created_by": "设计师 lz",
}
"""Seed 000's first."""


class TaskOrder(_Part):
    """The body of POST /api/task/receive."""

    task_id: Identifier
    type: Identifier
    customer: TaskCustomer
    trigger: TaskTrigger
    action: TaskAction
    priority: Annotated[TaskPriority, BeforeValidator(_lower)] = TaskPriority.NORMAL
    timeout_hours: Annotated[
        float, Field(gt=0, le=MAX_TIMEOUT_HOURS, allow_inf_nan=False), BeforeValidator(_no_boolean)
    ] = 24
    max_retry: Annotated[int, Field(ge=0, le=MAX_RETRIES), BeforeValidator(_no_boolean)] = 3
    created_by: Name = ""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    @model_validator(mode="after")
    def _one_customer(self) -> Self:
        named = self.trigger.customer_id if isinstance(self.trigger, SpecifiedCustomerReply) else ""
        if named and named != self.customer.id:
            raise _refuse(
                f"{named!r} 与 customer.id {self.customer.id!r} 不一致", "trigger.customer_id"
            )
        return self

    @property
    def kind(self) -> TriggerKind:
        return TriggerKind(self.trigger.type)

    def trigger_for(self, zone: tzinfo) -> Trigger:
        """What to watch for; ``zone`` is that of a time without an offset."""
        watched = self.trigger
        if isinstance(watched, TimeReach):
            return Trigger(kind=self.kind, customer_id=self.customer.id, at=self.fires_at(zone))
        return Trigger(
            kind=self.kind,
            keywords=watched.words(),
            customer_id=self._whose(watched),
            customer_name=watched.customer_name,
            matching=watched.matching,
        )

    def _whose(self, watched: _Saying) -> str:
        if isinstance(watched, CustomerReply | CustomerKeyword):
            return watched.customer_id
        return watched.customer_id or self.customer.id

    def fires_at(self, zone: tzinfo) -> float | None:
        """Seconds since the epoch; None for what waits for a message."""
        if not isinstance(self.trigger, TimeReach):
            return None
        moment = self.trigger.time
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return (aware - _EPOCH).total_seconds()

    def expires_at(self, received_at: float) -> float | None:
        """End of the wait for a message; None for time_reach: how late is too late is a setting."""
        if isinstance(self.trigger, TimeReach):
            return None
        return received_at + self.timeout_hours * 3_600

    def check_times(self, now: float, zone: tzinfo) -> None:
        """For an order that is new; a repeat may well come after its time.

        Raises InvalidInput for a time that is past or more than ten years ahead.
        """
        at = self.fires_at(zone)
        if at is None:
            return
        if at <= now:
            raise InvalidInput("trigger.time", f"该时间已过去 {_length(now - at)}")
        if at - now > FARTHEST_S:
            raise InvalidInput("trigger.time", "该时间在 10 年以后")

    def arguments(self) -> dict[str, Any]:
        """Arguments of the tool ``action.type``."""
        return self.action.arguments()

    def canonical(self, zone: tzinfo) -> dict[str, Any]:
        """The same for orders that mean the same, however written; plain JSON values."""
        return {
            "task_id": self.task_id,
            "type": self.type,
            "customer": self.customer.model_dump(),
            "trigger": self._canonical_trigger(zone),
            "action": {"type": self.action.type, **self.arguments()},
            "priority": self.priority.value,
            "timeout_hours": float(self.timeout_hours),
            "max_retry": self.max_retry,
            "created_by": self.created_by,
        }

    def _canonical_trigger(self, zone: tzinfo) -> dict[str, Any]:
        watched, meant = self.trigger, self.trigger_for(zone)
        if isinstance(watched, TimeReach):
            return {"type": watched.type, "time": meant.at}
        several = isinstance(watched, CustomerKeyword | CustomerPayment)
        words = {"keywords": sorted(meant.keywords)} if several else {"keyword": meant.keywords[0]}
        return {
            "type": watched.type,
            "customer_id": meant.customer_id,
            "customer_name": meant.customer_name,
            **words,
            "match": meant.matching.value,
        }

    def differences(self, old: dict[str, Any], zone: tzinfo) -> list[str]:
        """Dotted names of what differs from an earlier order's ``canonical``."""
        return list(_different(old, self.canonical(zone), ""))


def _different(old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[str]:
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _different(before, after, f"{place}{name}.")
        elif before != after:
            yield f"{place}{name}"


def _length(seconds: float) -> str:
    """In the largest unit that is at least one: ``3 天``, ``5 小时``."""
    for size, unit in ((86_400, "天"), (3_600, "小时"), (60, "分钟")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{math.ceil(seconds)} 秒"


# Callbacks


@dataclass(frozen=True, slots=True)
class CallbackEvent:
    """``event_id`` names it for good; ``sequence`` counts the events of one task from 1.

    ``event``: ``task.`` and the status. Times as the API tells them: local, without an offset.
    """

    event_id: str
    sequence: int
    event: str
    task_id: str
    type: str
    status: str
    customer_id: str | None
    created_by: str | None
    created_at: str | None
    triggered_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = None
    retry_count: int = 0
    result: dict[str, Any] | None = None


def callback_body(event: CallbackEvent) -> bytes:
    """The JSON that is signed and posted, byte for byte the same at every attempt."""
    written = json.dumps(asdict(event), ensure_ascii=False, separators=(",", ":"))
    return written.encode("utf-8", "replace")


def callback_headers(
    secret: str | None, event_id: str, body: bytes, *, now: float
) -> dict[str, str]:
    """Without ``secret`` only the event's id; percent-encoded, since headers are ASCII and an id
    may hold a task's id that is not."""
    signed = _HEADERS.signed(secret, body, now=now) if secret else {}
    return {EVENT_ID_HEADER: quote(event_id), **signed}


def verify(
    secret: str, timestamp: str | None, signature: str | None, body: bytes, *, now: float
) -> None:
    """What a receiver does with the two headers and the raw body.

    Raises InvalidInput with status 401 for a missing, stale, future or wrong signature.
    """
    _HEADERS.check(secret, timestamp, signature, body, now=now)
