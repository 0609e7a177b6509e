"""What people at WeCom see, chat by chat: everybody's messages in the order in which they came."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sandbox.changes import Changes
from sandbox.grouped import ChatLog
from sandbox.wx.calls import Clock, JsonObject

Who = Literal["customer", "service", "servicer", "welcome", "system"]


class Seen(BaseModel):
    """``who`` wrote it; ``text``: what of it can be read, ``content``: all of it."""

    model_config = ConfigDict(frozen=True)
    number: int
    who: Who
    msgid: str
    msgtype: str
    text: str
    content: JsonObject
    at: float


class Chats:
    """A chat is ``kf/{account}/{customer}``, ``contact/{member}/{customer}`` or
    ``app/{agent}/{member}``."""

    def __init__(self, max_items: int, changes: Changes, clock: Clock) -> None:
        self.log = ChatLog(max_items, changes)
        self._clock = clock
        self._number = 0

    def add(
        self, chat: str, who: Who, msgtype: str, content: JsonObject, *, msgid: str = ""
    ) -> Seen:
        self._number += 1
        seen = Seen(
            number=self._number,
            who=who,
            msgid=msgid,
            msgtype=msgtype,
            text=readable(msgtype, content),
            content=content,
            at=self._clock.now(),
        )
        self.log.put(f"w{self._number}", seen, seen.at, group=chat)
        return seen

    def clear(self) -> None:
        self.log.clear()
        self._number = 0


def readable(msgtype: str, content: JsonObject) -> str:
    """What a person would read of a message."""
    if msgtype in ("text", "markdown"):
        return str(content.get("content", ""))
    if msgtype == "msgmenu":
        items = [_menu_item(item) for item in content.get("list", [])]
        return "\n".join([content.get("head_content", ""), *items, content.get("tail_content", "")])
    named = _first(content, ("title", "name", "content", "media_id", "url"))
    return f"[{msgtype}] {named}".rstrip()


def _menu_item(item: JsonObject) -> str:
    part = item.get(item.get("type", ""), {})
    return f"· {part.get('content', '')}"


def _first(content: JsonObject, names: Iterable[str]) -> str:
    return next((str(content[name]) for name in names if content.get(name)), "")
