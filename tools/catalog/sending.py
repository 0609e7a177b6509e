"""Texts, files and pictures to a customer, now or later."""

from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from domain.decisions import Effect, EffectKind, as_dict
from domain.errors import InvalidInput
from domain.messages import MAX_NAME_CHARS
from domain.text import one_line
from tools.catalog.arguments import (
    Arguments,
    ChannelName,
    ConversationId,
    CustomerId,
    Name,
    OneLine,
    OptionalText,
    Result,
    SenderId,
    Text,
    WebAddress,
)
from tools.catalog.people import reachable, reachable_later
from tools.registry import STAFF, Recipient, Tool, ToolCall, ToolOutcome

MAX_AHEAD_DAYS = 366
_UNNAMED = {"file": "文件", "image": "图片"}
Sendable = Literal["text", "file", "image"]


def _instant(value: str) -> str:
    try:
        if value and ":" not in value:  # a bare date would be midnight, which nobody means
            raise ValueError(value)
        if value:
            datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("time", "不是有效的时间,例如 2026-02-28 09:00:00") from None
    return value


class SendMessage(Arguments):
    message: Annotated[Text, Field(description="要发送的文字")]
    customer_id: CustomerId = ""


class SendFile(Arguments):
    file_url: Annotated[WebAddress, Field(description="文件地址,http(s)")]
    message: Annotated[OptionalText, Field(description="先于文件发送的文字")] = ""
    file_name: Annotated[Name, Field(description="显示的文件名;不填则取自地址")] = ""
    customer_id: CustomerId = ""


class SendImage(Arguments):
    image_url: Annotated[WebAddress, Field(description="图片地址,http(s)")]
    message: Annotated[OptionalText, Field(description="先于图片发送的文字")] = ""
    customer_id: CustomerId = ""


class ScheduleMessage(Arguments):
    message: Annotated[OptionalText, Field(description="届时发送的文字")] = ""
    time: Annotated[
        str,
        Field(max_length=40, description="发送时间,如 2026-02-28 09:00:00;不带时区时按系统时区"),
        OneLine,
        AfterValidator(_instant),
    ] = ""
    delay_minutes: Annotated[
        int | None,
        Field(ge=1, le=MAX_AHEAD_DAYS * 24 * 60, description="多少分钟后发送;与 time 二选一"),
    ] = None
    file_url: Annotated[WebAddress | None, Field(description="届时发送的文件地址,http(s)")] = None
    customer_id: CustomerId = ""

    @model_validator(mode="after")
    def _says_what_and_when(self) -> Self:
        if not self.message and self.file_url is None:
            raise PydanticCustomError("empty", "message 和 file_url 至少填写一项")
        if bool(self.time) == (self.delay_minutes is not None):
            raise PydanticCustomError("when", "time 和 delay_minutes 必须且只能填写一项")
        return self


class Queued(Result):
    """``messages``: how many go out, in order."""

    customer_id: SenderId
    conversation_id: ConversationId
    channel: ChannelName
    messages: int = Field(description="将依次发送的消息条数")


class Scheduled(Result):
    customer_id: SenderId
    conversation_id: ConversationId
    channel: ChannelName
    due_at: str = Field(description="发送时间(ISO 8601,带时区)")


def message_effect(
    to: Recipient, text: str, *, kind: Sendable = "text", url: str = "", name: str = ""
) -> Effect:
    payload = {"to": as_dict(to), "type": kind, "text": text, "url": url, "name": name}
    return Effect(EffectKind.MESSAGE, "message" if kind == "text" else kind, payload)


async def _send_message(call: ToolCall, args: SendMessage) -> ToolOutcome:
    to = await reachable(call, args.customer_id)
    return _queued(to, message_effect(to, args.message))


async def _send_file(call: ToolCall, args: SendFile) -> ToolOutcome:
    to = await reachable(call, args.customer_id)
    name = args.file_name or _file_name(args.file_url, "file")
    return _queued(to, *_with_text(to, args.message, "file", args.file_url, name))


async def _send_image(call: ToolCall, args: SendImage) -> ToolOutcome:
    to = await reachable(call, args.customer_id)
    name = _file_name(args.image_url, "image")
    return _queued(to, *_with_text(to, args.message, "image", args.image_url, name))


async def _schedule_message(call: ToolCall, args: ScheduleMessage) -> ToolOutcome:
    to = await reachable_later(call, args.customer_id)
    due_at = _due_at(call, args)
    arguments: dict[str, Any] = {"message": args.message} if args.message else {}
    if args.file_url is not None:
        arguments["file_url"] = args.file_url
    payload = {
        "due_at": due_at,
        "to": as_dict(to),
        "action": "send_message" if args.file_url is None else "send_file",
        "arguments": arguments,
    }
    shown = datetime.fromtimestamp(due_at, call.zone).isoformat(timespec="seconds")
    result = Scheduled(
        customer_id=to.sender_id,
        conversation_id=to.conversation_id,
        channel=to.channel,
        due_at=shown,
    )
    return ToolOutcome(result.model_dump(), (Effect(EffectKind.SCHEDULE, "schedule", payload),))


def _with_text(
    to: Recipient, text: str, kind: Literal["file", "image"], url: str, name: str
) -> tuple[Effect, ...]:
    # Two messages: a channel that fails at the file must not send the text a second time.
    sent = message_effect(to, "", kind=kind, url=url, name=name)
    return (message_effect(to, text), sent) if text else (sent,)


def _file_name(url: str, kind: Literal["file", "image"]) -> str:
    name = PurePosixPath(unquote(urlsplit(url).path)).name.rpartition("\\")[2]
    return one_line(name)[-MAX_NAME_CHARS:] or _UNNAMED[kind]


def _queued(to: Recipient, *effects: Effect) -> ToolOutcome:
    result = Queued(
        customer_id=to.sender_id,
        conversation_id=to.conversation_id,
        channel=to.channel,
        messages=len(effects),
    )
    return ToolOutcome(result.model_dump(), effects)


def _due_at(call: ToolCall, args: ScheduleMessage) -> float:
    if args.delay_minutes is not None:
        return call.now + args.delay_minutes * 60
    moment = datetime.fromisoformat(args.time)
    due_at = (moment if moment.tzinfo else moment.replace(tzinfo=call.zone)).timestamp()
    if due_at <= call.now:
        raise InvalidInput("time", "该时间已经过去")
    if due_at > call.now + timedelta(days=MAX_AHEAD_DAYS).total_seconds():
        raise InvalidInput("time", f"最多提前 {MAX_AHEAD_DAYS} 天")
    return due_at


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "send_message",
        "给客户发送一条文字消息。",
        SendMessage,
        Queued,
        STAFF,
        _send_message,
        title="发送消息",
    ),
    Tool(
        "send_file",
        "给客户发送一个文件(网址),可先发一段文字。",
        SendFile,
        Queued,
        STAFF,
        _send_file,
        title="发送文件",
    ),
    Tool(
        "send_image",
        "给客户发送一张图片(网址),可先发一段文字。",
        SendImage,
        Queued,
        STAFF,
        _send_image,
        title="发送图片",
    ),
    Tool(
        "schedule_message",
        "在指定时间或若干分钟后给客户发送文字或文件。",
        ScheduleMessage,
        Scheduled,
        STAFF,
        _schedule_message,
        title="定时发送",
    ),
)
