"""What an official account's callback tells (reference wechat_official.md, section 4), and the
replies to it in either form. Values in, values out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.messages import (
    MAX_ID_CHARS,
    MAX_TEXT_CHARS,
    MAX_URL_CHARS,
    Attachment,
    InboundMessage,
    MessageKind,
)
from domain.text import clean, is_one_line
from tools.wx import xml
from tools.wx.envelope import MAX_TEXT_BYTES, PassiveReply
from tools.wx.xml import Fields, refused

CHANNEL = "wechat"
MEDIA_PREFIX = "wechat:"
UNSUPPORTED_TEXT = "【收到不支持的消息类型，暂无法显示】"
_EVENT = "event"
_SUBSCRIBE, _UNSUBSCRIBE, _CLICK, _SCAN = "subscribe", "unsubscribe", "click", "scan"
_WRITE_EVENTS = frozenset({_SUBSCRIBE, _CLICK, _SCAN})
_MAX_FIELD_CHARS = 256


@dataclass(frozen=True, slots=True)
class Incoming:
    """``to``: the account's gh_ id; ``sender``: the customer's OpenID; ``created``: seconds since
    the epoch. ``event`` in lower case; empty for messages."""

    to: str
    sender: str
    created: int
    kind: str
    message_id: str
    event: str
    event_key: str
    fields: Fields

    @property
    def is_gone(self) -> bool:
        return self.event == _UNSUBSCRIBE

    @property
    def has_come(self) -> bool:
        return self.event == _SUBSCRIBE

    @property
    def opens_window(self) -> str:
        """Why we may write to the customer now: ``message``, ``event`` or nothing."""
        if not self.event:
            return "message"
        return "event" if self.event in _WRITE_EVENTS else ""

    def text(self, name: str) -> str:
        return clean(xml.text(self.fields, name))


def incoming(fields: Fields) -> Incoming:
    """Raises CallbackRefused for what is no message of the platform's."""
    kind = xml.text(fields, "MsgType").lower()
    to, sender = _identifier(fields, "ToUserName"), _identifier(fields, "FromUserName")
    created = xml.text(fields, "CreateTime")
    if not (created.isascii() and created.isdigit() and len(created) <= 11):
        raise refused("CreateTime 不是整数秒")
    if kind != _EVENT:
        message_id = _identifier(fields, "MsgId")
        return Incoming(to, sender, int(created), kind, message_id, "", "", fields)
    event = clean(xml.text(fields, "Event")).lower()[:_MAX_FIELD_CHARS]
    key = clean(xml.text(fields, "EventKey"))[:_MAX_FIELD_CHARS]
    # Events have no id: the customer and the second tell them apart, and what happened.
    what = hashlib.blake2b(f"{event}\x1f{key}".encode(), digest_size=6).hexdigest()
    message_id = f"event:{sender}:{created}:{what}"
    return Incoming(to, sender, int(created), kind, message_id, event, key, fields)


def _identifier(fields: Fields, name: str) -> str:
    value = xml.text(fields, name).strip()
    if not value or len(value) > MAX_ID_CHARS // 2 or not is_one_line(value):
        raise refused(f"缺少 {name} 或不能使用")
    return value


def as_message(found: Incoming, *, account: str) -> InboundMessage:
    """As the conversation gets it. What a customer did not say has no text."""
    kind, text, attachments = _content(found)
    return InboundMessage(
        channel=CHANNEL,
        account=account,
        channel_message_id=found.message_id,
        chat_id=found.sender,
        sender_id=found.sender,
        text=text[:MAX_TEXT_CHARS],
        kind=kind,
        attachments=attachments,
        sent_at=float(found.created),
        route="push",
        event=_told(found),
    )


def _content(found: Incoming) -> tuple[MessageKind, str, tuple[Attachment, ...]]:
    match found.kind:
        case "text":
            return MessageKind.TEXT, _written(found), ()
        case "image":
            return MessageKind.IMAGE, "", _media(found, MessageKind.IMAGE)
        case "voice":
            return MessageKind.VOICE, found.text("Recognition"), _media(found, MessageKind.VOICE)
        case "video" | "shortvideo":
            return MessageKind.FILE, "", _media(found, MessageKind.FILE)
        case "location":
            return MessageKind.LOCATION, _place(found), ()
        case "link":
            return MessageKind.LINK, _link(found), ()
        case "event" if found.event == _CLICK:
            # The shop has chosen the key: it is what the customer says by touching the button.
            return MessageKind.TEXT, found.event_key, ()
    return MessageKind.EVENT, "", ()


def _written(found: Incoming) -> str:
    text = found.text("Content")
    return "" if text == UNSUPPORTED_TEXT else text


def _media(found: Incoming, kind: MessageKind) -> tuple[Attachment, ...]:
    media_id = found.text("MediaId")
    if not media_id or len(media_id) > MAX_URL_CHARS // 2 or not is_one_line(media_id):
        return ()
    return (Attachment(kind.value, MEDIA_PREFIX + media_id),)


def _place(found: Incoming) -> str:
    where = ", ".join(filter(None, (found.text("Location_X"), found.text("Location_Y"))))
    label = found.text("Label")
    return f"[位置] {label}（{where}）" if where else f"[位置] {label}".strip()


def _link(found: Incoming) -> str:
    parts = (found.text("Title"), found.text("Description"), found.text("Url"))
    return "\n".join(filter(None, parts))


def _told(found: Incoming) -> str:
    if not found.event:
        return ""
    key = found.event_key if found.event != _CLICK else ""
    return f"{found.event}:{key}"[:MAX_ID_CHARS] if key else found.event[:MAX_ID_CHARS]


def text_reply(found: Incoming, content: str, *, at: int, as_json: bool) -> bytes:
    """A passive reply before it is sealed. ValueError for what the customer would see a system
    error instead of."""
    reply = PassiveReply(found.sender, found.to, at)
    if not as_json:
        return reply.text(content)
    reply.text(content)
    fields: Mapping[str, Any] = {
        "ToUserName": found.sender,
        "FromUserName": found.to,
        "CreateTime": at,
        "MsgType": "text",
        "Content": content,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parts_of(text: str, *, max_bytes: int = MAX_TEXT_BYTES) -> list[str]:
    """``text`` in parts that one message holds each, cut after a line or a sentence if it can."""
    parts, rest = [], text.strip()
    while len(rest.encode("utf-8", "replace")) > max_bytes:
        head = rest.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
        at = _cut(head)
        parts.append(head[:at].rstrip())
        rest = rest[at:].lstrip()
    return [*parts, rest] if rest else parts


def _cut(head: str) -> int:
    for marks in ("\n", "。！？!?；;", "，, "):
        at = max(head.rfind(mark) for mark in marks) + 1
        if at > len(head) // 2:
            return at
    return len(head)
