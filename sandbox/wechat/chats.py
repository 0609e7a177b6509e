"""What followers see, each in one chat: what they said and what came, in that order."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sandbox.changes import Changes
from sandbox.grouped import ChatLog
from sandbox.wx.calls import Clock, JsonObject

Source = Literal["said", "did", "passive", "custom", "template", "error"]
ERROR_LINE = "该公众号暂时无法提供服务，请稍后再试"


class Seen(BaseModel):
    """``text``: what of it can be read. ``answers``: the MsgId whose response it came in, or event.
    ``error``: the line that WeChat shows instead of an answer."""

    model_config = ConfigDict(frozen=True)
    number: int
    source: Source
    msgtype: str
    text: str
    content: JsonObject
    answers: str
    at: float


class Chats:
    def __init__(self, max_items: int, changes: Changes, clock: Clock) -> None:
        self.log = ChatLog(max_items, changes)
        self._clock = clock
        self._number = 0
        self.by_source: dict[str, int] = {}

    def add(
        self, openid: str, source: Source, msgtype: str, content: JsonObject, *, answers: str = ""
    ) -> Seen:
        self._number += 1
        self.by_source[source] = self.by_source.get(source, 0) + 1
        seen = Seen(
            number=self._number,
            source=source,
            msgtype=msgtype,
            text=readable(msgtype, content),
            content=content,
            answers=answers,
            at=self._clock.now(),
        )
        self.log.put(f"c{self._number}", seen, seen.at, group=openid)
        return seen

    def clear(self) -> None:
        self.log.clear()
        self.by_source.clear()
        self._number = 0


def readable(msgtype: str, content: JsonObject) -> str:
    """What a person would read of a message."""
    match msgtype:
        case "text":
            return str(content.get("content", ""))
        case "news":
            return "\n".join(str(one.get("title", "")) for one in content.get("articles", ()))
        case "msgmenu":
            items = [f"· {one.get('content', '')}" for one in content.get("list", ())]
            ends = content.get("head_content", ""), content.get("tail_content", "")
            return "\n".join([str(ends[0]), *items, str(ends[1])])
        case "template":
            values = (one.get("value", "") for one in content.get("data", {}).values())
            return "\n".join(map(str, values))
    names = ("title", "label", "recognition", "content", "key", "url", "media_id")
    told = next((str(content[name]) for name in names if content.get(name)), "")
    return f"[{msgtype}] {told}".rstrip()
