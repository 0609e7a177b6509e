"""What the service sends: customer-service messages, and that it is typing (reference, 7.1)."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from sandbox.wechat.chats import Chats
from sandbox.wechat.codes import (
    BAD_ACCOUNT_TYPE,
    BAD_ARGUMENT,
    BAD_COMMAND,
    BAD_MESSAGE_TYPE,
    BAD_OPENID,
    EMPTY_TEXT,
    NO_TYPING,
    NOT_AUTHORISED,
    TOO_LONG,
    TOO_MANY_ARTICLES,
    TYPING_ALREADY,
)
from sandbox.wechat.followers import Followers
from sandbox.wx.calls import Body, Clock, Endpoint, JsonObject, Setting, bytes_of, require
from sandbox.wx.media import MediaStore

_TYPING_S = 30.0
# By type: what must be there and not empty.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "text": ("content",),
    "image": ("media_id",),
    "voice": ("media_id",),
    "video": ("media_id",),
    "music": ("musicurl", "hqmusicurl", "thumb_media_id"),
    "news": ("articles",),
    "mpnews": ("media_id",),
    "mpnewsarticle": ("article_id",),
    "msgmenu": ("list",),
    "wxcard": ("card_id",),
    "miniprogrampage": ("title", "appid", "pagepath", "thumb_media_id"),
    "link": ("title", "url"),
}
_OF_MEDIA = {"image": "image", "voice": "voice", "video": "video"}


class Rules(Setting):
    """``certified``: may send at all. ``menus``: may send menus (test accounts may not)."""

    certified: bool = True
    menus: bool = True
    max_text_bytes: int = Field(default=2_048, ge=1, le=100_000)


class Sent(Body):
    """The content stands under the name of its type."""

    model_config = Body.model_config | {"extra": "allow"}
    touser: str = ""
    msgtype: str = ""

    def content(self) -> dict[str, Any]:
        found = (self.model_extra or {}).get(self.msgtype)
        require(isinstance(found, dict), BAD_ARGUMENT, f"argument invalid! {self.msgtype}")
        assert isinstance(found, dict)
        return found


class Typing(Body):
    touser: str = ""
    command: str = ""


class Messages:
    def __init__(self, clock: Clock, followers: Followers, chats: Chats, media: MediaStore) -> None:
        self._clock, self._followers = clock, followers
        self._chats, self._media = chats, media
        self.rules = Rules()

    def endpoints(self) -> Iterator[Endpoint]:
        yield Endpoint("message/custom/send", Sent, self.send)
        yield Endpoint("message/custom/typing", Typing, self.typing)

    def send(self, sent: Sent) -> JsonObject:
        """A customer-service message. Raises Refused."""
        self._authorise()
        require(sent.touser, BAD_OPENID, "invalid openid", "nobody")
        require(sent.msgtype in _NEEDS, BAD_MESSAGE_TYPE, "invalid message type")
        content = sent.content()
        self._check(sent.msgtype, content)
        self._followers.spend(sent.touser)
        self._chats.add(sent.touser, "custom", sent.msgtype, content)
        return {}

    def typing(self, wanted: Typing) -> JsonObject:
        """Shown to whoever was heard of within half a minute. Raises Refused."""
        self._authorise()
        known = wanted.command in ("Typing", "CancelTyping")
        require(known, BAD_COMMAND, "invalid command")
        follower = self._followers.reachable(wanted.touser)
        recent = self._clock.now() - follower.said_at <= _TYPING_S
        require(recent, NO_TYPING, "no message of the user within 30 seconds", "window")
        starts = wanted.command == "Typing"
        require(starts != follower.is_typing, TYPING_ALREADY, "already in that state", "state")
        follower.is_typing = starts
        return {}

    def clear(self) -> None:
        self.rules = Rules()

    def _authorise(self) -> None:
        require(self.rules.certified, NOT_AUTHORISED, "api unauthorized")

    def _check(self, msgtype: str, content: Mapping[str, Any]) -> None:
        for name in _NEEDS[msgtype]:
            is_text = name == "content"
            code, reason = (EMPTY_TEXT, "empty content") if is_text else (BAD_ARGUMENT, name)
            require(content.get(name), code, reason)
        if msgtype == "text":
            text = content["content"]
            require(isinstance(text, str), BAD_ARGUMENT, "argument invalid! content")
            short = bytes_of(text) <= self.rules.max_text_bytes
            require(short, TOO_LONG, "content size out of limit")
        elif msgtype == "news":
            articles = content["articles"]
            one = isinstance(articles, list) and len(articles) == 1
            require(one, TOO_MANY_ARTICLES, "article size out of limit")
            require(isinstance(articles[0], dict), BAD_ARGUMENT, "argument invalid! articles")
        elif msgtype == "msgmenu":
            require(self.rules.menus, BAD_ACCOUNT_TYPE, "invalid account type")
            items = content["list"]
            right = isinstance(items, list) and all(isinstance(one, dict) for one in items)
            require(right, BAD_ARGUMENT, "argument invalid! list")
        elif msgtype in _OF_MEDIA:
            self._media.get(str(content["media_id"]), _OF_MEDIA[msgtype])
