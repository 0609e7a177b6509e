"""Which messages customer service takes from the service, and how long they may be."""

import re
from typing import Any

from pydantic import Field, ValidationError

from sandbox.wecom.api import (
    BAD_ITEM,
    BAD_MESSAGE_TYPE,
    BAD_PARAMETER,
    EMPTY_CONTENT,
    TOO_LARGE_CONTENT,
    TOO_MANY_ITEMS,
)
from sandbox.wx.calls import Body, JsonObject, Refused, bytes_of, require
from sandbox.wx.media import MediaStore

TEXT_BYTES = 2_048
_MSGID = re.compile(r"[0-9a-zA-Z_-]{1,32}")
_MEDIA = frozenset({"image", "voice", "video", "file"})
_MOST: dict[str, dict[str, int]] = {
    "text": {"content": TEXT_BYTES},
    "link": {"title": 128, "desc": 512, "url": 2_048},
    "miniprogram": {"title": 64},
    "msgmenu": {"head_content": 1_024, "tail_content": 1_024},
    "location": {},
    "ca_link": {"link_url": 2_048},
    **{kind: {} for kind in _MEDIA},
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "text": ("content",),
    "link": ("title", "url", "thumb_media_id"),
    "miniprogram": ("appid", "pagepath", "thumb_media_id"),
    "ca_link": ("link_url",),
    **dict.fromkeys(_MEDIA, ("media_id",)),
}
_MENU_ITEMS = 10


class _Click(Body):
    id: str = Field(default="1", min_length=1)
    content: str = Field(min_length=1)


class _View(Body):
    url: str = Field(pattern=r"^https?://")
    content: str = Field(min_length=1)


class _Mini(Body):
    appid: str = Field(min_length=1)
    pagepath: str = Field(min_length=1)
    content: str = Field(min_length=1)


class _Text(Body):
    content: str = Field(min_length=1)


_ITEMS: dict[str, type[Body]] = {
    "click": _Click,
    "view": _View,
    "miniprogram": _Mini,
    "text": _Text,
}


class _Location(Body):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


def checked_msgid(msgid: str) -> str:
    """Raises Refused."""
    require(_MSGID.fullmatch(msgid), BAD_PARAMETER, f"invalid msgid {msgid[:80]!r}", "msgid")
    return msgid


def checked(msgtype: str, content: Any, media: MediaStore) -> JsonObject:
    """What a message of this type consists of. Raises Refused."""
    if msgtype not in _MOST:
        raise Refused(BAD_MESSAGE_TYPE, "invalid message type")
    if not isinstance(content, dict):
        raise Refused(BAD_PARAMETER, f"invalid Request Parameter, {msgtype} missing")
    for name in _NEEDED.get(msgtype, ()):
        value = content.get(name)
        filled = isinstance(value, str) and value.strip()
        require(filled, EMPTY_CONTENT, f"empty {msgtype}.{name}")
    for name, most in _MOST[msgtype].items():
        fits = bytes_of(str(content.get(name, ""))) <= most
        require(fits, TOO_LARGE_CONTENT, f"{msgtype}.{name} exceed max length {most}")
    _check_parts(msgtype, content, media)
    return content


def _check_parts(msgtype: str, content: JsonObject, media: MediaStore) -> None:
    if msgtype in _MEDIA:
        media.get(content["media_id"], msgtype)
    elif msgtype in ("link", "miniprogram"):
        media.get(content["thumb_media_id"], "image")
    elif msgtype == "location":
        _check_fields(_Location, content, BAD_PARAMETER)
    elif msgtype == "msgmenu":
        _check_menu(content.get("list", []))
    if msgtype in ("link", "ca_link"):
        url = content["url" if msgtype == "link" else "link_url"]
        require(re.match(r"https?://", url), BAD_PARAMETER, "url without scheme")


def _check_menu(items: Any) -> None:
    require(isinstance(items, list), BAD_PARAMETER, "invalid Request Parameter, msgmenu.list")
    require(len(items) <= _MENU_ITEMS, TOO_MANY_ITEMS, "too many menu items")
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in _ITEMS:
            raise Refused(BAD_ITEM, "invalid menu item type")
        _check_fields(_ITEMS[kind], item.get(kind), BAD_ITEM)
        if kind == "click":
            fits = bytes_of(str(item[kind].get("id", ""))) <= 64
            fits = fits and bytes_of(item[kind]["content"]) <= 128
            require(fits, TOO_LARGE_CONTENT, "menu item exceed max length")


def _check_fields(model: type[Body], fields: Any, code: int) -> None:
    try:
        model.model_validate(fields)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Refused(code, f"invalid Request Parameter, {field}") from None
