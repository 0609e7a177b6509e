"""What a follower sees of a response to a callback: a message, the system's error line, nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree

import orjson

from sandbox.wx.calls import JsonObject, Refused, bytes_of
from sandbox.wxcrypt import Unreadable

_NOTHING = (b"", b"success")
_MEDIA_TYPES = {"image": "Image", "voice": "Voice", "video": "Video"}


class Wrong(Exception):
    """A response instead of which the follower sees the error line."""


@dataclass(frozen=True, slots=True)
class Judged:
    """``reason``: why the follower sees an error."""

    sees: Literal["message", "error", "nothing"]
    msgtype: str = ""
    content: JsonObject = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """``open_sealed``: what an encrypted response holds, raises Unreadable; None: it must not be
    encrypted. ``must_seal``: it must be. ``has_media``: raises Refused for an unknown id."""

    openid: str
    account: str
    as_json: bool
    max_text_bytes: int
    has_media: Callable[[str], object]
    open_sealed: Callable[[bytes], bytes] | None = None
    must_seal: bool = False

    def judge(self, body: bytes) -> Judged:
        """Nothing that a service can answer is an error of ours."""
        if body in _NOTHING:
            return Judged("nothing")
        try:
            return self._judged(self._opened(body))
        except Wrong as wrong:
            return Judged("error", reason=str(wrong))

    def _opened(self, body: bytes) -> dict[str, Any]:
        fields = self._fields(body)
        if "Encrypt" not in fields:
            if self.must_seal:
                raise Wrong("it is not encrypted")
            return fields
        if self.open_sealed is None:
            raise Wrong("it is encrypted, which plain mode does not know")
        try:
            from_inside = self.open_sealed(body)
        except Unreadable as error:
            raise Wrong(str(error)) from None
        if from_inside in _NOTHING:
            return {}
        return self._fields(from_inside)

    def _fields(self, body: bytes) -> dict[str, Any]:
        try:
            fields = orjson.loads(body) if self.as_json else _of_xml(body)
        except (ValueError, ElementTree.ParseError) as error:
            raise Wrong(f"it is no {'JSON' if self.as_json else 'XML'}: {error}") from None
        if not isinstance(fields, dict):
            raise Wrong("it is no object")
        return fields

    def _judged(self, fields: Mapping[str, Any]) -> Judged:
        if not fields:
            return Judged("nothing")
        self._check_ends(fields)
        msgtype = str(fields.get("MsgType", ""))
        if msgtype == "transfer_customer_service":
            return Judged("nothing", msgtype)
        if msgtype == "text":
            return Judged("message", msgtype, {"content": self._text(fields)})
        if msgtype == "news":
            return Judged("message", msgtype, {"articles": _articles(fields)})
        if msgtype == "music":
            return Judged("message", msgtype, _lower(_part(fields, "Music")))
        if msgtype in _MEDIA_TYPES:
            return Judged("message", msgtype, self._media(_part(fields, _MEDIA_TYPES[msgtype])))
        raise Wrong(f"its MsgType is {msgtype!r}")

    def _check_ends(self, fields: Mapping[str, Any]) -> None:
        if fields.get("ToUserName") != self.openid:
            raise Wrong("its ToUserName is not the follower")
        if fields.get("FromUserName") != self.account:
            raise Wrong("its FromUserName is not the account")
        created = str(fields.get("CreateTime", ""))
        if not (created.isascii() and created.isdigit()):
            raise Wrong("its CreateTime is no integer")

    def _text(self, fields: Mapping[str, Any]) -> str:
        text = fields.get("Content")
        if not isinstance(text, str) or not text.strip():
            raise Wrong("its Content is empty")
        if bytes_of(text) > self.max_text_bytes:
            raise Wrong(f"its Content has more than {self.max_text_bytes} bytes")
        return text

    def _media(self, part: Mapping[str, Any]) -> JsonObject:
        media_id = str(part.get("MediaId", ""))
        try:
            self.has_media(media_id)
        except Refused as refused:
            raise Wrong(f"its MediaId: {refused.reason}") from None
        return {"media_id": media_id, "title": str(part.get("Title", ""))}


def _articles(fields: Mapping[str, Any]) -> list[JsonObject]:
    """Since 2018 a message is answered with one article."""
    items = _part(fields, "Articles").get("item")
    if str(fields.get("ArticleCount", "")) != "1" or not isinstance(items, dict):
        raise Wrong("it has not one article")
    if not items.get("Title"):
        raise Wrong("its article has no title")
    return [_lower(items)]


def _part(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = fields.get(name)
    if not isinstance(part, dict):
        raise Wrong(f"it has no {name}")
    return part


def _lower(part: Mapping[str, Any]) -> JsonObject:
    return {name.lower(): value for name, value in part.items()}


def _of_xml(body: bytes) -> dict[str, Any]:
    if b"<!DOCTYPE" in body.partition(b"<xml")[0]:
        raise ValueError("a document type is not allowed")
    root = ElementTree.fromstring(body)  # noqa: S314 - without a document type nothing is expanded
    if root.tag != "xml":
        raise ValueError(f"its root is {root.tag!r}")
    found = _element(root)
    return found if isinstance(found, dict) else {}


def _element(element: ElementTree.Element) -> Any:
    if not len(element):
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        value = _element(child)
        if child.tag in found:
            before = found[child.tag]
            found[child.tag] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[child.tag] = value
    return found
