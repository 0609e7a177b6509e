"""What members write to the application, and do there (reference wecom.md, 5.4). Values in, values
out."""

import hashlib

from domain.messages import (
    MAX_ID_CHARS,
    MAX_TEXT_CHARS,
    MAX_URL_CHARS,
    Attachment,
    InboundMessage,
    MessageKind,
)
from domain.text import clean, is_one_line
from tools.wecom.kf_messages import MEDIA_SCHEME
from tools.wx import xml
from tools.wx.xml import Fields, refused

CHANNEL = "wecom_app"
ENTER, CLICK = "enter_agent", "click"
_EVENT = "event"
_MAX_NAME_CHARS = 64
_MEDIA = {
    "image": (MessageKind.IMAGE, ""),
    "voice": (MessageKind.VOICE, "[语音]"),
    "video": (MessageKind.FILE, "[视频]"),
    "file": (MessageKind.FILE, "[文件]"),
}


def member_message(fields: Fields) -> InboundMessage:
    """``account``: the application's AgentID; a click says its key. What is of a kind that did not
    exist when this was written is of kind EVENT, with the kind as its ``event``.

    Raises CallbackRefused for what is no message of the platform's.
    """
    msgtype = _field(fields, "MsgType").lower()[:_MAX_NAME_CHARS]
    event = _field(fields, "Event").lower()[:_MAX_NAME_CHARS] if msgtype == _EVENT else ""
    if msgtype == _EVENT and not event:
        raise refused("缺少 Event")
    member, at = _identifier(fields, "FromUserName"), _created(fields)
    kind, text, attachments = _content(msgtype, event, fields)
    return InboundMessage(
        channel=CHANNEL,
        account=_identifier(fields, "AgentID"),
        channel_message_id=_event_id(member, at, event, fields)
        if msgtype == _EVENT
        else _identifier(fields, "MsgId"),
        chat_id=member,
        sender_id=member,
        sender_name=member,
        text=text[:MAX_TEXT_CHARS],
        kind=kind,
        attachments=attachments,
        sent_at=float(at),
        route="push",
        event=event or (msgtype if kind is MessageKind.EVENT else ""),
    )


def _content(
    msgtype: str, event: str, fields: Fields
) -> tuple[MessageKind, str, tuple[Attachment, ...]]:
    if msgtype == "text":
        return MessageKind.TEXT, _field(fields, "Content"), ()
    if msgtype in _MEDIA:
        kind, shown = _MEDIA[msgtype]
        return kind, shown, _media(fields, kind)
    if msgtype == "location":
        return MessageKind.LOCATION, _place(fields), ()
    if msgtype == "link":
        parts = (_field(fields, name) for name in ("Title", "Description", "Url"))
        return MessageKind.LINK, "\n".join(filter(None, parts)), ()
    if event == CLICK:
        # The company has chosen the key: it is what the member says by touching the button.
        return MessageKind.TEXT, _field(fields, "EventKey"), ()
    return MessageKind.EVENT, "", ()


def _place(fields: Fields) -> str:
    where = ", ".join(filter(None, (_field(fields, name) for name in ("Location_X", "Location_Y"))))
    label = _field(fields, "Label")
    return f"[位置] {label}（{where}）" if where else f"[位置] {label}".strip()


def _media(fields: Fields, kind: MessageKind) -> tuple[Attachment, ...]:
    media_id = _field(fields, "MediaId")
    if not media_id or len(media_id) > MAX_URL_CHARS // 2 or not is_one_line(media_id):
        return ()
    return (Attachment(kind.value, MEDIA_SCHEME + media_id),)


def _event_id(member: str, at: int, event: str, fields: Fields) -> str:
    """Events have no MsgId: the member and the second tell them apart, and what happened."""
    what = f"{event}\x1f{_field(fields, 'EventKey')}".encode()
    return f"event:{member}:{at}:{hashlib.blake2b(what, digest_size=6).hexdigest()}"


def _created(fields: Fields) -> int:
    created = xml.text(fields, "CreateTime")
    if not (created.isascii() and created.isdigit() and len(created) <= 11):
        raise refused("CreateTime 不是整数秒")
    return int(created)


def _identifier(fields: Fields, name: str) -> str:
    value = xml.text(fields, name).strip()
    if not value or len(value) > MAX_ID_CHARS // 2 or not is_one_line(value):
        raise refused(f"缺少 {name} 或不能使用")
    return value


def _field(fields: Fields, name: str) -> str:
    return clean(xml.text(fields, name))
