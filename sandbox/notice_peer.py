"""What the platforms have in common to which staff notices go."""

from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from sandbox.peer import Peer, Sandbox
from sandbox.received import ReceivedLog
from sandbox.wx.calls import Clock
from sandbox.wx.limits import Limiter

CREDENTIAL = "sandbox-credential"


class Notice(BaseModel):
    """A message as its readers see it. ``sent``: as it was sent."""

    model_config = ConfigDict(frozen=True)
    to: str
    title: str = ""
    text: str
    sent: dict[str, Any] = Field(default_factory=dict)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(Body):
    """``per_minute`` 0: none. ``window_s``: how long a minute is here."""

    per_minute: int = Field(ge=0, le=100_000)
    window_s: float = Field(default=60.0, gt=0, le=3_600)


class Secret(Body):
    """None: nothing has to be signed. It is never shown."""

    secret: str | None = Field(max_length=512)


class Keywords(Body):
    """One of them must be in every message; none: no matter what is said."""

    keywords: tuple[str, ...] = Field(default=(), max_length=10)


class Shift(Body):
    """Seconds that the platform's clock goes forward."""

    seconds: float = Field(ge=0, le=31_536_000)


class NoticePeer(Peer):
    """Most know no ids: what is sent twice is shown twice."""

    default_limit: ClassVar[Limit]

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.clock = Clock(sandbox)
        self.limiter = Limiter(self.clock)
        self.limit = self.default_limit
        self._shown = ReceivedLog(sandbox.settings.max_messages, sandbox.changes)
        self._number = 0
        self.admin.add_api_route("/notices", self.notices, methods=["GET"])
        self.admin.add_api_route("/limit", self.set_limit, methods=["PUT"])
        self.admin.add_api_route("/clock", self.move_clock, methods=["POST"])

    def show(self, notice: Notice, item_id: str | None = None) -> int:
        """Its number. With an ``item_id`` that was there before it is not shown again."""
        self._number += 1
        now = self.clock.now()
        _, is_known = self._shown.add(item_id or f"n{self._number}", notice, now)
        self._shown.trim()
        if not is_known:
            self.sandbox.inbox.add(self.name, notice.to, notice.text, now, title=notice.title)
        return self._number

    async def notices(self, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """What was shown, in order; may wait for ``at_least`` messages."""
        await self.sandbox.changes.until(lambda: len(self._shown) >= at_least, wait)
        return {
            "notices": [received.as_dict() for received in self._shown],
            "dropped": self._shown.dropped,
        }

    async def set_limit(self, body: Limit) -> dict[str, Any]:
        """How many messages are taken in how long; what was sent counts."""
        self.limit = body
        return body.model_dump()

    async def move_clock(self, body: Shift) -> dict[str, float]:
        self.clock.shift_s += body.seconds
        return {"now": self.clock.now()}

    def facts(self) -> dict[str, Any]:
        return {"notices": len(self._shown), "dropped": self._shown.dropped}

    async def reset(self) -> None:
        self.limit = self.default_limit
        self.limiter.clear()
        self._shown.clear()
        self.clock.shift_s = 0.0


class RobotPeer(NoticePeer):
    """A group's robot, which takes what is signed with ``secret`` and has one of ``keywords``."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.secret: str | None = CREDENTIAL
        self.keywords: tuple[str, ...] = ()
        self.admin.add_api_route("/secret", self.set_secret, methods=["PUT"])
        self.admin.add_api_route("/keywords", self.set_keywords, methods=["PUT"])

    def lacks_keyword(self, text: str) -> bool:
        return bool(self.keywords) and not any(word in text for word in self.keywords)

    async def set_secret(self, body: Secret) -> dict[str, bool]:
        self.secret = body.secret or None
        return {"configured": self.secret is not None}

    async def set_keywords(self, body: Keywords) -> dict[str, Any]:
        self.keywords = body.keywords
        return body.model_dump()

    async def reset(self) -> None:
        await super().reset()
        self.secret, self.keywords = CREDENTIAL, ()


def read_object(body: bytes) -> dict[str, Any] | None:
    """None for what is no JSON object."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def text_of(found: Any, name: str) -> str:
    """Empty where it is missing or no text."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
