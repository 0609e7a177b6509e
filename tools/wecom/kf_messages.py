"""What `sync_msg` returns, read without ever failing: one odd message must not stop the others."""

import hashlib
import json
import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from domain.messages import MAX_TEXT_CHARS, Attachment, MessageKind

MEDIA_SCHEME = "wecom:"
"""Of an attachment's address: what follows is a media_id, good for three days."""
_MAX_ID_CHARS = 128
_MAX_NESTED = 20
_SHOWN_UNKNOWN_CHARS = 500


class Origin(IntEnum):
    UNKNOWN = 0
    CUSTOMER = 3
    SYSTEM = 4
    SERVICER = 5


@dataclass(frozen=True, slots=True)
class KfMessage:
    """``text``: as history shows it. ``event``: of msgtype ``event`` its event_type, and ``fields``
    what it says. ``is_known``: false for a msgtype that did not exist when this was written."""

    msgid: str
    open_kfid: str
    customer: str
    sent_at: float
    origin: Origin
    msgtype: str
    text: str
    kind: MessageKind = MessageKind.TEXT
    attachments: tuple[Attachment, ...] = ()
    servicer: str = ""
    event: str = ""
    fields: dict[str, Any] | None = None
    is_known: bool = True

    def field(self, name: str) -> str:
        """Of an event; numbers as text."""
        return _word(self.fields or {}, name)


def parse_message(given: dict[str, Any], open_kfid: str) -> KfMessage:
    """``open_kfid``: the account that was pulled."""
    msgtype = _word(given, "msgtype")
    found = given.get(msgtype)
    fields: dict[str, Any] = found if isinstance(found, dict) else {}
    kind, text, attachments = _content(msgtype, fields)
    # Of an event the ids are inside.
    inside = fields if msgtype == "event" else given
    return KfMessage(
        msgid=_id(given, "msgid") or _made_up(given),
        open_kfid=open_kfid,
        customer=_id(inside, "external_userid") or _id(given, "external_userid"),
        sent_at=_number(given, "send_time"),
        origin=_origin(given),
        msgtype=msgtype,
        text=text[:MAX_TEXT_CHARS],
        kind=kind,
        attachments=attachments,
        servicer=_id(given, "servicer_userid"),
        event=_word(fields, "event_type") if msgtype == "event" else "",
        fields=fields if msgtype == "event" else None,
        is_known=msgtype in _LINES or msgtype in _MEDIA or msgtype in ("event", "text"),
    )


def plain(text: str) -> str:
    """Without what no database takes: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _content(
    msgtype: str, fields: dict[str, Any]
) -> tuple[MessageKind, str, tuple[Attachment, ...]]:
    if msgtype == "text":
        return MessageKind.TEXT, _word(fields, "content"), ()
    if msgtype in _MEDIA:
        kind, name = _MEDIA[msgtype]
        media_id = _word(fields, "media_id")
        attached = (Attachment(kind.value, MEDIA_SCHEME + media_id),) if media_id else ()
        return kind, "" if kind is MessageKind.IMAGE else f"[{name}]", attached
    if msgtype in _LINES:
        kind, name, names = _LINES[msgtype]
        words = " ".join(filter(None, (_word(fields, one) for one in names)))
        return kind, f"[{name}]{words}{_nested(fields)}", ()
    if msgtype == "event":
        return MessageKind.EVENT, "", ()
    shown = json.dumps(fields, ensure_ascii=False, default=str)[:_SHOWN_UNKNOWN_CHARS]
    return MessageKind.EVENT, plain(f"[暂不支持的消息 {msgtype}]{shown}"), ()


_MEDIA = {
    "image": (MessageKind.IMAGE, "图片"),
    "voice": (MessageKind.VOICE, "语音"),
    "video": (MessageKind.FILE, "视频"),
    "file": (MessageKind.FILE, "文件"),
}
_LINES: dict[str, tuple[MessageKind, str, tuple[str, ...]]] = {
    "location": (MessageKind.LOCATION, "位置", ("name", "address", "latitude", "longitude")),
    "link": (MessageKind.LINK, "链接", ("title", "desc", "url")),
    "business_card": (MessageKind.TEXT, "名片", ("userid",)),
    "miniprogram": (MessageKind.LINK, "小程序", ("title", "appid", "pagepath")),
    "msgmenu": (MessageKind.TEXT, "菜单", ("head_content", "tail_content")),
    "channels_shop_product": (
        MessageKind.TEXT,
        "商品",
        ("title", "sales_price", "shop_nickname", "product_id"),
    ),
    "channels_shop_order": (
        MessageKind.TEXT,
        "订单",
        ("order_id", "product_titles", "price_wording", "state", "shop_nickname"),
    ),
    "merged_msg": (MessageKind.TEXT, "聊天记录", ("title",)),
    "channels": (MessageKind.LINK, "视频号", ("nickname", "title")),
    "meeting": (MessageKind.TEXT, "会议", ()),
    "schedule": (MessageKind.TEXT, "日程", ()),
    "note": (MessageKind.TEXT, "笔记", ()),
}


_NESTED = ("sender_name", "sender", "msg_content", "content")


def _nested(fields: dict[str, Any]) -> str:
    """Lines of forwarded chats and of menus; how their fields are called is not documented."""
    items = fields.get("item") or fields.get("list")
    if not isinstance(items, list):
        return ""
    lines = []
    for item in items[:_MAX_NESTED]:
        if isinstance(item, dict):
            words = (_word(item, name) for name in _NESTED)
            lines.append("\n" + " ".join(filter(None, words)))
    return "".join(lines)


def _word(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return plain(str(value))


def _id(fields: dict[str, Any], name: str) -> str:
    return _word(fields, name)[:_MAX_ID_CHARS]


def _number(fields: dict[str, Any], name: str) -> float:
    try:
        value = float(fields.get(name) or 0.0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return value if math.isfinite(value) else 0.0


def _origin(given: dict[str, Any]) -> Origin:
    try:
        return Origin(int(_word(given, "origin")))
    except ValueError:
        return Origin.UNKNOWN


def _made_up(given: dict[str, Any]) -> str:
    """The same for the same message: without an id it must not come twice either."""
    whole = json.dumps(given, sort_keys=True, default=str)
    return "none-" + hashlib.sha256(whole.encode()).hexdigest()[:40]
