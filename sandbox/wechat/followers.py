"""Followers, and how many customer-service messages each may still get (reference, 7.1)."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from sandbox.wechat.codes import BAD_OPENID, BLACKLISTED, QUOTA_SPENT, WINDOW_CLOSED
from sandbox.wx.calls import Clock, JsonObject, Setting, require

Trigger = Literal["message", "click", "subscribe", "scan", "payment"]
_MAX_FOLLOWERS = 100_000
_KEPT_WINDOWS = 20


class Quota(Setting):
    """0 messages: without end."""

    messages: int = Field(ge=0, le=1_000)
    seconds: float = Field(gt=0, le=31_536_000)


_PUSHED = Quota(messages=3, seconds=60)


class Quotas(Setting):
    """What each trigger allows."""

    message: Quota = Quota(messages=5, seconds=172_800)
    click: Quota = _PUSHED
    subscribe: Quota = _PUSHED
    scan: Quota = _PUSHED
    payment: Quota = Quota(messages=0, seconds=172_800)

    def of(self, trigger: Trigger) -> Quota:
        found: Quota = getattr(self, trigger)
        return found


@dataclass(slots=True)
class _Window:
    trigger: Trigger
    quota: Quota
    ends_at: float
    sent: int = 0

    @property
    def is_spent(self) -> bool:
        return bool(self.quota.messages) and self.sent >= self.quota.messages


@dataclass(slots=True)
class Follower:
    """``user_blocks``: template messages; ``is_blacklisted``: by the account."""

    openid: str
    subscribed_at: float
    subscribed: bool = True
    scene: str = ""
    user_blocks: bool = False
    is_blacklisted: bool = False
    said_at: float = 0.0
    is_typing: bool = False
    windows: deque[_Window] = field(default_factory=lambda: deque(maxlen=_KEPT_WINDOWS))

    def shown(self, now: float) -> JsonObject:
        return {
            "openid": self.openid,
            "subscribed": self.subscribed,
            "scene": self.scene,
            "user_blocks": self.user_blocks,
            "is_blacklisted": self.is_blacklisted,
            "windows": [
                {
                    "trigger": one.trigger,
                    "sent": one.sent,
                    "allowed": one.quota.messages,
                    "left_s": round(one.ends_at - now, 3),
                }
                for one in self.windows
                if one.ends_at > now
            ],
        }


class Followers:
    """Of too many it forgets the oldest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.quotas = Quotas()
        self._known: OrderedDict[str, Follower] = OrderedDict()

    def meet(self, openid: str) -> Follower:
        """Whoever is not known follows from now on."""
        known = self._known.get(openid)
        if known is None:
            known = self._known[openid] = Follower(openid, self._clock.now())
            while len(self._known) > _MAX_FOLLOWERS:
                self._known.popitem(last=False)
        return known

    def get(self, openid: str) -> Follower:
        """Raises Refused."""
        known = self._known.get(openid)
        require(known, BAD_OPENID, "invalid openid", "nobody")
        assert known is not None
        return known

    def find(self, openid: str) -> Follower | None:
        return self._known.get(openid)

    def trigger(self, openid: str, trigger: Trigger) -> None:
        """A window opens; a new message begins a new count."""
        follower, quota = self.meet(openid), self.quotas.of(trigger)
        if trigger == "message":
            kept = [one for one in follower.windows if one.trigger != "message"]
            follower.windows = deque(kept, _KEPT_WINDOWS)
        follower.windows.append(_Window(trigger, quota, self._clock.now() + quota.seconds))

    def spend(self, openid: str) -> Follower:
        """One message of what the windows allow, of the one that ends first. Raises Refused."""
        follower = self.get(openid)
        window = self._window(follower)
        window.sent += 1
        follower.is_typing = False
        return follower

    def reachable(self, openid: str) -> Follower:
        """Raises Refused unless a message would be taken."""
        follower = self.get(openid)
        self._window(follower)
        return follower

    def shown(self) -> list[JsonObject]:
        now = self._clock.now()
        return [follower.shown(now) for follower in self._known.values()]

    def clear(self) -> None:
        self.quotas = Quotas()
        self._known.clear()

    def _window(self, follower: Follower) -> _Window:
        now = self._clock.now()
        require(not follower.is_blacklisted, BLACKLISTED, "user is in blacklist", "window")
        is_open = [one for one in follower.windows if one.ends_at > now]
        late = "response out of time limit or subscription is canceled"
        require(follower.subscribed and is_open, WINDOW_CLOSED, late, "window")
        left = [one for one in is_open if not one.is_spent]
        require(left, QUOTA_SPENT, "out of response count limit", "quota")
        return min(left, key=lambda one: one.ends_at)
