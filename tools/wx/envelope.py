"""What goes around a message, both ways: envelopes in XML and JSON, and passive replies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tools.wx import xml
from tools.wx.crypto import CallbackKeys, Freshness, Sealed
from tools.wx.xml import MAX_BYTES, Buildable, Fields, refused

MAX_TEXT_BYTES = 2_048
"""Of a passive reply; WeCom cuts longer ones off."""
MAX_ARTICLES = 8

SUCCESS = b"success"
"""Answers a callback without saying anything; WeCom prefers an empty body to it."""

_BOM = b"\xef\xbb\xbf"


def is_json(body: bytes) -> bool:
    return body.removeprefix(_BOM).lstrip()[:1] == b"{"


def fields_of(body: bytes, *, max_bytes: int = MAX_BYTES) -> Fields:
    """Of an envelope or a message in either form; numbers are text in both, for a MsgId is none to
    calculate with. Raises CallbackRefused."""
    if not is_json(body):
        return xml.parse(body, max_bytes=max_bytes)
    if len(body) > max_bytes:
        raise refused(f"超过 {max_bytes} 字节")
    try:
        found: object = json.loads(
            body.removeprefix(_BOM).decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=str,
            parse_float=str,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError) as error:
        raise refused("不是有效的 JSON") from error
    if not isinstance(found, dict):
        raise refused("不是 JSON 对象")
    _check_leaves(found, 0)
    return found


def encrypted_of(body: bytes, *, max_bytes: int = MAX_BYTES) -> str:
    """The encrypted text exactly as it came: it is what the signature covers."""
    fields = fields_of(body, max_bytes=max_bytes)
    # WeCom's JSON has the key in lower case, WeChat's has it not.
    given = [name for name in ("Encrypt", "encrypt") if name in fields]
    if len(given) != 1:
        raise refused("没有唯一的 Encrypt")
    return xml.text(fields, given[0])


def received(
    keys: CallbackKeys,
    freshness: Freshness,
    body: bytes,
    *,
    msg_signature: str,
    timestamp: str,
    nonce: str,
) -> bytes:
    """The message in an encrypted callback that is fresh and the platform's own; raises
    CallbackRefused. That it comes for the first time is for the caller to find out."""
    freshness.check(timestamp)
    encrypted = encrypted_of(body)
    return keys.open(encrypted, msg_signature=msg_signature, timestamp=timestamp, nonce=nonce)


def reply(sealed: Sealed, *, as_json: Literal["wecom", "wechat"] | None = None) -> bytes:
    """The body around an encrypted passive reply; the platforms' JSON differs."""
    if as_json == "wecom":
        return _dumped(
            {
                "encrypt": sealed.encrypt,
                "msgsignature": sealed.msg_signature,
                "timestamp": sealed.timestamp,
                "nonce": sealed.nonce,
            }
        )
    fields: dict[str, Buildable] = {
        "Encrypt": sealed.encrypt,
        "MsgSignature": sealed.msg_signature,
        "TimeStamp": int(sealed.timestamp),
        "Nonce": sealed.nonce,
    }
    return _dumped(fields) if as_json else xml.build(fields)


@dataclass(frozen=True, slots=True)
class Article:
    title: str
    description: str = ""
    picture_url: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class PassiveReply:
    """Answers one message in the response to its callback. ``to``: who wrote it; ``sender``: whom
    it was for (CorpID, or the account's gh_ id); ``at``: seconds since the epoch.

    Each method gives the XML, to be sealed where the callback was encrypted. ValueError for what
    the customer would see a system error instead of.
    """

    to: str
    sender: str
    at: int

    def text(self, content: str) -> bytes:
        if not content.strip() or len(content.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
            raise ValueError(f"content must have 1 to {MAX_TEXT_BYTES} bytes")
        return self._built("text", {"Content": content})

    def image(self, media_id: str) -> bytes:
        return self._built("image", {"Image": {"MediaId": media_id}})

    def news(self, articles: Sequence[Article]) -> bytes:
        """Official accounts show one article only to a customer who has written."""
        if not 1 <= len(articles) <= MAX_ARTICLES:
            raise ValueError(f"{len(articles)} articles, not 1 to {MAX_ARTICLES}")
        items = [
            {
                "Title": article.title,
                "Description": article.description,
                "PicUrl": article.picture_url,
                "Url": article.url,
            }
            for article in articles
        ]
        return self._built("news", {"ArticleCount": len(items), "Articles": {"item": items}})

    def transfer_customer_service(self, kf_account: str = "") -> bytes:
        """Hands over to the official account's own console of human agents."""
        chosen = {"TransInfo": {"KfAccount": kf_account}} if kf_account else {}
        return self._built("transfer_customer_service", chosen)

    def _built(self, kind: str, content: Mapping[str, Buildable]) -> bytes:
        return xml.build(
            {
                "ToUserName": self.to,
                "FromUserName": self.sender,
                "CreateTime": self.at,
                "MsgType": kind,
                **content,
            }
        )


def _dumped(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key comes twice")
    return fields


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_leaves(value: object, depth: int) -> None:
    """XML cannot be nested deeply here, nor hold NUL and lone surrogates; no more can JSON."""
    if depth > xml.MAX_DEPTH:
        raise refused("嵌套太深")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_leaves(name, depth)
            _check_leaves(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_leaves(inner, depth + 1)
    elif isinstance(value, str) and not xml.can_hold(value):
        raise refused("含有不能用的字符")
