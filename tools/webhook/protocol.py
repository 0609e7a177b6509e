"""The webhook channel's protocol: signature, what comes in, what goes out. No input or output.

``X-Kefu-Signature: sha256=<hex of HMAC-SHA-256(secret, timestamp + "." + raw body)>`` with
``X-Kefu-Timestamp`` in whole seconds since the epoch, in both directions. Both sides keep
``message_id`` to recognise a message that is delivered twice.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Literal, NewType, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from domain.errors import InvalidInput
from domain.messages import (
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    MAX_URL_CHARS,
    Attachment,
    InboundMessage,
    MessageKind,
)
from domain.text import clean, is_one_line, one_line
from tools.signatures import SigningHeaders

CHANNEL = "webhook"
TIMESTAMP_HEADER = "X-Kefu-Timestamp"
SIGNATURE_HEADER = "X-Kefu-Signature"
MAX_ATTACHMENTS = 20
_HEADERS = SigningHeaders(TIMESTAMP_HEADER, SIGNATURE_HEADER)
_BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")

VerifiedBody = NewType("VerifiedBody", bytes)
"""A raw body whose signature was checked, or that needs none (loopback without a secret)."""


def signed_headers(secret: str, body: bytes, *, now: float) -> dict[str, str]:
    return _HEADERS.signed(secret, body, now=now)


def verify(
    secret: str, timestamp: str | None, signature: str | None, body: bytes, *, now: float
) -> VerifiedBody:
    """Check a request's two headers against its raw body.

    Raises InvalidInput with status 401 for a missing, stale, future or wrong signature.
    """
    _HEADERS.check(secret, timestamp, signature, body, now=now)
    return VerifiedBody(body)


@dataclass(frozen=True, slots=True)
class OutboundText:
    """An answer to the customer ``to``; ``created_at`` in seconds since the epoch.
    ``attachments``: kind (image, file), url and name each."""

    message_id: str
    conversation_id: str
    account: str
    chat_id: str
    to: str
    text: str
    turn_id: str
    created_at: float
    attachments: tuple[dict[str, str], ...] = ()


def outbound_body(message: OutboundText) -> bytes:
    """The JSON that is signed and posted, byte for byte the same at every attempt."""
    return json.dumps(asdict(message), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def _printable(value: str) -> str:
    if not is_one_line(value):
        raise PydanticCustomError("printable", "不能包含控制字符")
    return value


def _web_address(value: str) -> str:
    if not value.lower().startswith(("http://", "https://")):
        raise PydanticCustomError("url", "必须是 http:// 或 https:// 开头的地址")
    return _printable(value)


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


Identifier = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_printable)
]
Cleaned = BeforeValidator(_cleaned)


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="ignore", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True
    )


class InboundAttachment(_Part):
    kind: Literal["image", "voice", "file", "link"]
    url: Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_web_address)]


class InboundBody(_Part):
    """``timestamp``: seconds since the epoch or ISO 8601; ``chat_id``: default the sender's id;
    ``event``: of type event, what happened, e.g. ``payment``."""

    message_id: Identifier
    chat_id: Annotated[str, Field(max_length=MAX_ID_CHARS), AfterValidator(_printable)] = ""
    sender_id: Identifier
    sender_name: Annotated[
        str, Cleaned, Field(max_length=MAX_NAME_CHARS), AfterValidator(one_line)
    ] = ""
    type: MessageKind = MessageKind.TEXT
    text: Annotated[str, Cleaned, Field(max_length=MAX_TEXT_CHARS)] = ""
    event: Annotated[str, Field(max_length=MAX_ID_CHARS), AfterValidator(_printable)] = ""
    timestamp: datetime | None = None
    attachments: Annotated[tuple[InboundAttachment, ...], Field(max_length=MAX_ATTACHMENTS)] = ()

    @field_validator("sender_name", "text", "chat_id", "event", "attachments", mode="before")
    @classmethod
    def _null_is_left_out(cls, value: object, info: object) -> object:
        if value is not None:
            return value
        return () if getattr(info, "field_name", "") == "attachments" else ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.type is MessageKind.TEXT and not self.text:
            raise PydanticCustomError("empty", "文本消息的 text 不能为空")
        if self.type is not MessageKind.EVENT and not (self.text or self.attachments):
            raise PydanticCustomError("empty", "text 和 attachments 不能都为空")
        return self


def parse_inbound(
    body: VerifiedBody, *, account: str, received_at: float, zone: tzinfo = _BEIJING
) -> InboundMessage:
    """The customer's message in ``body``; ``zone`` is that of a timestamp without one.

    A timestamp in the future counts as ``received_at``: the sender's clock must not reorder a
    conversation. Raises InvalidInput naming the first unusable field.
    """
    try:
        parsed = InboundBody.model_validate_json(body)
    except ValidationError as error:
        raise _invalid_input(error.errors(include_url=False)[0]) from None
    return InboundMessage(
        channel=CHANNEL,
        account=account,
        channel_message_id=parsed.message_id,
        chat_id=parsed.chat_id or parsed.sender_id,
        sender_id=parsed.sender_id,
        text=parsed.text,
        kind=parsed.type,
        sender_name=parsed.sender_name,
        attachments=tuple(Attachment(item.kind, item.url) for item in parsed.attachments),
        sent_at=min(_seconds(parsed.timestamp, zone, received_at), received_at),
        received_at=received_at,
        route="push",
        event=parsed.event if parsed.type is MessageKind.EVENT else "",
    )


def _seconds(moment: datetime | None, zone: tzinfo, default: float) -> float:
    if moment is None:
        return default
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - datetime.fromtimestamp(0, UTC)).total_seconds()


_REASONS = {
    "missing": "缺少必填字段",
    "string_type": "必须是字符串",
    "string_too_short": "不能为空",
    "string_too_long": "太长,最多 {max_length} 个字符",
    "string_unicode": "不是有效的 UTF-8 文本",
    "too_long": "太多,最多 {max_length} 项",
    "enum": "不是支持的类型,可用:{expected}",
    "literal_error": "不是支持的类型,可用:{expected}",
    "model_type": "必须是 JSON 对象",
    "tuple_type": "必须是数组",
}


def _invalid_input(detail: ErrorDetails) -> InvalidInput:
    field = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "json_invalid":
        return InvalidInput("body", "不是有效的 JSON", status=400)
    if detail["type"].startswith(("datetime", "date_", "timezone")):
        return InvalidInput(field, "不是有效的时间,请用秒级时间戳或 ISO 8601")
    reason = _REASONS.get(detail["type"], detail["msg"]).format_map(detail.get("ctx", {}))
    return InvalidInput(field or "body", reason)
