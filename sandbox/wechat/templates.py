"""Template messages, and the event that tells what became of each (reference, 7.2)."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field

from sandbox.wechat.chats import Chats
from sandbox.wechat.codes import BAD_ARGUMENT, BAD_TEMPLATE, MUST_FOLLOW, NOT_AUTHORISED
from sandbox.wechat.followers import Follower, Followers
from sandbox.wechat.messages import Messages
from sandbox.wx.calls import Body, Clock, Endpoint, JsonObject, Setting, require

_SAME_S = 600.0
_KEPT = 10_000


class TemplateSettings(Setting):
    """``known``: ids of the account's templates; None: any. ``fails``: the platform itself cannot
    deliver."""

    known: tuple[str, ...] | None = Field(default=None, max_length=100)
    fails: bool = False


class Value(Body):
    value: str


class Sent(Body):
    touser: str = ""
    template_id: str = ""
    url: str = ""
    client_msg_id: str = Field(default="", max_length=32)
    miniprogram: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Value] = Field(default_factory=dict)


class Templates:
    """``finished`` is told the follower, the message's id and what became of it."""

    def __init__(
        self,
        clock: Clock,
        followers: Followers,
        chats: Chats,
        messages: Messages,
        finished: Callable[[str, int, str], None],
    ) -> None:
        self._clock, self._followers = clock, followers
        self._chats, self._messages, self._finished = chats, messages, finished
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self.settings = TemplateSettings()

    def endpoints(self) -> Iterator[Endpoint]:
        yield Endpoint("message/template/send", Sent, self.send)

    def send(self, sent: Sent) -> JsonObject:
        """Its id, larger than JavaScript's numbers; the same again for the same client_msg_id.
        Raises Refused."""
        require(self._messages.rules.certified, NOT_AUTHORISED, "api unauthorized")
        follower = self._followers.get(sent.touser)
        known = self.settings.known
        right = sent.template_id and (known is None or sent.template_id in known)
        require(right, BAD_TEMPLATE, "invalid template_id")
        require(follower.subscribed, MUST_FOLLOW, "require subscribe", "nobody")
        require(sent.data, BAD_ARGUMENT, "argument invalid! data")
        before = self._before(sent)
        if before is not None:
            return {"msgid": before}
        msgid = 2**61 + secrets.randbelow(2**60)
        self._remember(sent, msgid)
        self._show(sent, follower, msgid)
        return {"msgid": msgid}

    def clear(self) -> None:
        self._known.clear()
        self.settings = TemplateSettings()

    def _show(self, sent: Sent, follower: Follower, msgid: int) -> None:
        status = "failed:user block" if follower.user_blocks else "success"
        if self.settings.fails:
            status = "failed: system failed"
        if status == "success":
            self._chats.add(sent.touser, "template", "template", sent.model_dump())
        self._finished(sent.touser, msgid, status)

    def _before(self, sent: Sent) -> int | None:
        at, msgid = self._known.get(_key(sent), (0.0, 0))
        fresh = sent.client_msg_id and self._clock.now() - at < _SAME_S
        return msgid if fresh and msgid else None

    def _remember(self, sent: Sent, msgid: int) -> None:
        if sent.client_msg_id:
            self._known[_key(sent)] = (self._clock.now(), msgid)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)


def _key(sent: Sent) -> str:
    return f"{sent.touser}\n{sent.client_msg_id}"
