"""What every call at WeCom has in common: its form, its refusals, and the time there."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sandbox.peer import Sandbox

JsonObject = dict[str, Any]
# ``again``: a message that was taken before, as a client repeats it whose answer was lost.
Rule = Literal[
    "token",
    "quota",
    "window",
    "state",
    "msgid",
    "again",
    "nobody",
    "welcome",
    "frequency",
    "media",
    "form",
]

BUSY, BAD_SECRET, BAD_USERID, BAD_MEDIA_TYPE, BAD_TYPE_PARAMETER = -1, 40001, 40003, 40004, 40005
BAD_MEDIA_ID, BAD_MESSAGE_TYPE, BAD_CORP_ID, BAD_TOKEN, BAD_AGENT = (
    40007,
    40008,
    40013,
    40014,
    40056,
)
BAD_PARAMETER, BAD_TAG, TAG_EXISTS, BAD_CUSTOMER, NO_TOKEN = 40058, 40068, 40071, 40096, 41001
BAD_WELCOME_CODE, WELCOMED, WELCOME_IN_USE, EXPIRED_TOKEN = 41050, 41051, 41096, 42001
EMPTY_MEDIA, EMPTY_CONTENT, TOO_LARGE_MEDIA, TOO_LARGE_CONTENT = 44001, 44004, 45001, 45002
TOO_OFTEN, UNKNOWN_USER, NOBODY_LEFT, NO_RELATION = 45009, 60111, 81013, 84061
BAD_OPEN_KFID, KF_QUOTA, KF_WINDOW, NO_OPEN_KFID, BAD_SYNC_TOKEN = 95000, 95001, 95002, 95004, 95007
TOO_MANY_ITEMS, BAD_ITEM, NO_SERVICER, BAD_TRANSITION = 95008, 95009, 95014, 95016
BAD_SESSION_STATE, SERVICER_STOPPED = 95018, 95019


class Refused(Exception):
    """``rule``: what kind of rule the caller has broken."""

    def __init__(self, code: int, reason: str, rule: Rule = "form") -> None:
        self.code, self.reason, self.rule = code, reason, rule
        super().__init__(reason)


class Body(BaseModel):
    """What a call takes; like WeCom it ignores what it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Setting(BaseModel):
    """What the sandbox's own routes take; they know their fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Body):
    """A call without arguments."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``takes`` is read from the query of a GET and the JSON body of a POST."""

    path: str
    takes: type[Body]
    answer: Callable[[Any], JsonObject]
    methods: tuple[str, ...] = ("POST",)


GET = ("GET",)
BOTH = ("GET", "POST")


def answered(fields: JsonObject | None = None) -> JsonObject:
    return {"errcode": 0, "errmsg": "ok", **(fields or {})}


def refusal(code: int, reason: str) -> JsonObject:
    """With the hint that real servers add, for nobody to match on the text."""
    link = f"more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    hint = f"hint: [{secrets.token_hex(12)}], from ip: 127.0.0.1, {link}"
    return {"errcode": code, "errmsg": f"{reason}, {hint}"}


class Clock:
    """WeCom's time: the sandbox's, moved by as much as somebody wants."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.shift_s = 0.0

    def now(self) -> float:
        return self._sandbox.clock() + self.shift_s


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that broke a rule."""

    at: float
    path: str
    errcode: int
    rule: Rule
    reason: str
    body: Any


class RefusedCalls:
    """The latest calls that broke a rule, and how many there were of each rule."""

    def __init__(self, clock: Clock, kept: int = 10_000) -> None:
        self._clock = clock
        self._latest: deque[Broken] = deque(maxlen=kept)
        self.counts: dict[str, int] = {}

    def add(self, path: str, refused: Refused, body: Any) -> None:
        broken = Broken(
            self._clock.now(), path, refused.code, refused.rule, refused.reason, _brief(body)
        )
        self._latest.append(broken)
        self.counts[refused.rule] = self.counts.get(refused.rule, 0) + 1

    def shown(self, rules: Iterable[str] = ()) -> list[JsonObject]:
        wanted = set(rules)
        return [asdict(one) for one in self._latest if not wanted or one.rule in wanted]

    def clear(self) -> None:
        self._latest.clear()
        self.counts.clear()


def _brief(body: Any) -> Any:
    text = str(body)
    return body if len(text) <= 2_000 else text[:2_000]


def require(condition: object, code: int, reason: str, rule: Rule = "form") -> None:
    if not condition:
        raise Refused(code, reason, rule)


def bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
